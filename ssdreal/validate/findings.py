"""What a validation has found so far: predicted, measured, explained, and what could not be."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from ssdreal.validate.anchors import Anchors
from ssdreal.validate.configurations import Configuration
from ssdreal.validate.replayed import Replays
from ssdreal.validate.report import Found, save, tables, verdicts
from ssdsim.calibration.agreement import Agreement
from ssdsim.calibration.error_causes import Causes, causes
from ssdsim.calibration.machine_state import Anchor
from ssdsim.calibration.prediction import KnownPrompt, Predicted, Profile
from ssdsim.calibration.stalled_passes import lost
from ssdsim.calibration.timings import timings
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
    predicted
        By sitting (the name of its first anchor; "" for any hour) and a configuration's title.
    runs, sittings
        By title; the sitting that each run was made in.
    causes, agreements
        By title; without an entry where there is none yet, or cannot be.
    missing
        By title, what there cannot be and why.
    lost
        By run, the share of its seconds in passes that something held up.

    """

    file: Path
    wanted: Sequence[Configuration] = ()
    predicted: dict[tuple[str, str], Predicted] = field(default_factory=dict)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    sittings: Callable[[str], str] = lambda _: ""
    causes: dict[str, Causes] = field(default_factory=dict)
    agreements: dict[str, Agreement] = field(default_factory=dict)
    missing: dict[str, dict[str, str]] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)

    def predict(
        self,
        profile: Profile,
        wanted: Iterable[Configuration],
        prompts: Mapping[str, Sequence[KnownPrompt]],
        anchors: Mapping[str, Anchor],
    ) -> None:
        """Predict what can be predicted, for any hour and as each sitting's first anchor says.

        `prompts` are those of every part.
        """
        for one in wanted:
            with self.noting("predicted", one):
                setup = one.simulated(profile)
                for name, known in {"": None, **anchors}.items():
                    self.predicted[name, one.title] = profile.predict(
                        setup, one.title, prompts=prompts[one.part], known=known
                    )

    def explain(self, profile: Profile, replays: Replays, anchors: Anchors) -> None:
        """Explain what can be explained: errors by the run of median speed, rounds by the first."""
        for found in self.found():
            one, at = found.wanted, found.typical
            with self.noting("causes", one):
                setup, middle = one.simulated(profile), found.compared.predicted[at].middle
                nearby = anchors.nearby(one.kept_as(at))
                self.causes[one.title] = causes(found.runs[at], setup, profile, nearby, middle)
        for part in dict.fromkeys(one.part for one in self.wanted):
            compared = [one for one in replays.comparable(self.wanted) if one.part == part]
            with self.noting("replay", *compared):
                replays.record(part, self.wanted)
                for one in compared:
                    with self.noting("replay", one):
                        self.agreements[one.title] = replays.agreement(one, profile)

    @contextmanager
    def noting(self, what: str, *ones: Configuration) -> Iterator[None]:
        """Let an error be the reason why something is missing: no measurement is lost."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is said where it belongs
            reason = " ".join(str(error).split()) or type(error).__name__
            for one in ones:
                self.missing.setdefault(one.title, {})[what] = reason

    def found(self) -> list[Found]:
        """Return all of what has been measured."""
        return [self._found(one) for one in self.wanted if one.title in self.runs]

    def _found(self, one: Configuration) -> Found:
        title, runs = one.title, self.runs[one.title]
        sittings = [self.sittings(one.kept_as(repeat)) for repeat in range(len(runs))]
        alone = self.predicted.get(("", title))
        return Found(
            one,
            alone,
            [self.predicted.get((name, title), alone) for name in sittings],
            runs,
            self.causes.get(title),
            self.agreements.get(title),
            self.missing.get(title, {}),
            [self._lost(one.kept_as(repeat), run) for repeat, run in enumerate(runs)],
        )

    def _lost(self, name: str, run: Run) -> float:
        if name not in self.lost:
            self.lost[name] = lost(timings(run)) if "spans" in run.tables else 0.0
        return self.lost[name]

    def save(self, *, complete: bool) -> None:
        """Write down all that there is."""
        found = self.found()
        judged = verdicts(found)
        save(self.file, found, judged, {**provenance(), "complete": complete})

    def tables(self) -> list[Table]:
        """Return all that there is as the command prints it."""
        found = self.found()
        return tables(found, verdicts(found))
