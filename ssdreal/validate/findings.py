"""What a validation has found so far: predicted, measured, explained, and what could not be."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from ssdreal.validate.configurations import Configuration
from ssdreal.validate.replayed import Replays
from ssdreal.validate.report import Found, baselines_of, save, tables, verdicts
from ssdsim.calibration.agreement import Agreement
from ssdsim.calibration.error_causes import Causes, causes
from ssdsim.calibration.prediction import Predicted, Profile
from ssdsim.run.results import provenance
from ssdsim.run.trace import Run


@dataclass
class Findings:
    """Everything that is known of configurations, written down at any time.

    Attributes
    ----------
    file
        For the results as JSON.
    wanted
        The configurations.
    predicted, runs, causes, agreements
        By a configuration's title; without an entry where there is none yet, or cannot be.
    missing
        By title, what there cannot be and why.

    """

    file: Path
    wanted: Sequence[Configuration] = ()
    predicted: dict[str, Predicted] = field(default_factory=dict)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    causes: dict[str, Causes] = field(default_factory=dict)
    agreements: dict[str, Agreement] = field(default_factory=dict)
    missing: dict[str, dict[str, str]] = field(default_factory=dict)

    def predict(self, profile: Profile, wanted: Iterable[Configuration]) -> None:
        """Predict what can be predicted."""
        for one in wanted:
            with self._noting("predicted", one):
                self.predicted[one.title] = profile.predict(one.simulated(profile), one.title)

    def explain(self, profile: Profile, replays: Replays) -> None:
        """Explain what can be explained of the first runs."""
        for one in self.wanted:
            with self._noting("causes", one):
                run = self.runs[one.title][0]
                self.causes[one.title] = causes(run, one.simulated(profile), profile)
        for part in dict.fromkeys(one.part for one in self.wanted):
            compared = [one for one in replays.comparable(self.wanted) if one.part == part]
            with self._noting("replay", *compared):
                replays.record(part, self.wanted)
                for one in compared:
                    with self._noting("replay", one):
                        self.agreements[one.title] = replays.agreement(one, profile)

    @contextmanager
    def _noting(self, what: str, *ones: Configuration) -> Iterator[None]:
        """Let an error be the reason why something is missing: no measurement is lost."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is said where it belongs
            reason = " ".join(str(error).split()) or type(error).__name__
            for one in ones:
                self.missing.setdefault(one.title, {})[what] = reason

    def found(self) -> list[Found]:
        """Return all of what has been measured."""
        return [
            Found(
                one,
                self.predicted.get(one.title),
                runs,
                self.causes.get(one.title),
                self.agreements.get(one.title),
                self.missing.get(one.title, {}),
            )
            for one in self.wanted
            if (runs := self.runs.get(one.title))
        ]

    def save(self, *, complete: bool) -> None:
        """Write down all that there is."""
        found = self.found()
        judged = verdicts(found, baselines_of(found))
        save(self.file, found, judged, {**provenance(), "complete": complete})

    def tables(self) -> list[Table]:
        """Return all that there is as the command prints it."""
        found = self.found()
        return tables(found, verdicts(found, baselines_of(found)))
