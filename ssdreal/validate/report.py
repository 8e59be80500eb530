"""The results of a validation, as tables and as a JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan, nan
from pathlib import Path
from typing import Any

from rich.table import Table

from ssdreal.validate.configurations import Configuration
from ssdsim.calibration.agreement import Agreement
from ssdsim.calibration.error_causes import CAUSES, Causes
from ssdsim.calibration.prediction import METRICS, Predicted
from ssdsim.calibration.prediction_errors import Compared, Interval, Verdict, verdict
from ssdsim.calibration.stalled_passes import LOST
from ssdsim.run.trace import Run
from ssdsim.system.atomic_files import write_text

UNKNOWN = Interval(nan, nan, nan)


@dataclass(frozen=True)
class Found:
    """Everything about one configuration.

    Attributes
    ----------
    wanted
        What was asked for.
    alone, predicted
        Before anything was measured: by the profile alone, for any hour; and for each run, from the
        anchor before its sitting. None where there is no prediction.
    runs
        As measured.
    causes
        Of the error of the run of median speed; None where they are not known, or not yet.
    agreement
        Of the first run's replay; None where a replay need not have the same rounds.
    missing
        Which of these there cannot be ("predicted", "causes", "replay"), and why.
    lost
        Of every run the share of its seconds in passes that something held up.

    """

    wanted: Configuration
    alone: Predicted | None
    predicted: Sequence[Predicted | None]
    runs: Sequence[Run]
    causes: Causes | None
    agreement: Agreement | None
    missing: Mapping[str, str] = field(default_factory=dict)
    lost: Sequence[float] = ()

    @property
    def speeds(self) -> tuple[float, ...]:
        """Tokens/s of every run."""
        return tuple(run.metrics["tokens_per_s"] for run in self.runs)

    @property
    def typical(self) -> int:
        """Which run is of median speed."""
        return sorted(range(len(self.runs)), key=self.speeds.__getitem__)[len(self.runs) // 2]

    @property
    def compared(self) -> Compared:
        """Tokens/s, predicted and measured; NaN is predicted where nothing is."""
        return self._compared(self.predicted, self.speeds)

    @property
    def compared_alone(self) -> Compared:
        """The same, predicted for any hour."""
        return self._compared([self.alone] * len(self.runs), self.speeds)

    def over(self, baseline: "Found") -> Compared:
        """Return the speedup over a baseline, repeat by repeat, as far as both have."""
        both = zip(self.predicted, baseline.predicted, strict=False)
        ratios = [one and base and one.over(base) for one, base in both]
        pairs = zip(self.speeds, baseline.speeds, strict=False)
        return self._compared(ratios, tuple(one / base for one, base in pairs))

    def _compared(
        self, predicted: Sequence[Predicted | None], measured: tuple[float, ...]
    ) -> Compared:
        intervals = tuple(UNKNOWN if one is None else one.interval() for one in predicted)
        wanted = self.wanted
        return Compared(wanted.title, wanted.group, intervals, measured, wanted.baseline)

    @property
    def held_up(self) -> dict[int, float]:
        """By repeat, what share of its seconds a run lost in passes that something held up."""
        return {repeat: share for repeat, share in enumerate(self.lost, 1) if share > LOST}

    @property
    def remarks(self) -> str:
        """What there is to say of it besides."""
        held_up = [
            f"repeat {repeat} held up for {share:.0%}" for repeat, share in self.held_up.items()
        ]
        return "; ".join([*filter(None, [self.missing.get("predicted")]), *held_up])

    def plain(self, bases: "Mapping[str, Found | None]") -> dict[str, Any]:
        """Return all of it as plain dictionaries and lists; `bases` are AR and SD."""
        wanted, over = self.wanted, {name: self.over(base) for name, base in bases.items() if base}
        first = self.predicted[0]
        return {
            "part": wanted.part,
            "name": wanted.name,
            "group": wanted.group,
            "overrides": wanted.overrides,
            "baseline": wanted.baseline,
            "lookahead": wanted.setup.drafted,
            "predicted": first and _summaries(first),
            "predicted_alone": self.alone and _summaries(self.alone),
            "measured": {name: [run.metrics[name] for run in self.runs] for name in METRICS},
            "intervals": [_known(asdict(one)) for one in self.compared.predicted],
            "speedups": {name: _speedups(compared) for name, compared in over.items()},
            "held_up": {str(repeat): share for repeat, share in self.held_up.items()},
            "causes": self.causes and _known(asdict(self.causes)),
            "replay": self.agreement and asdict(self.agreement),
            "missing": dict(self.missing),
        }


def verdicts(found: Sequence[Found]) -> dict[str, Verdict]:
    """Return the verdicts on tokens/s and on speedups, over configurations not fitted to."""
    unseen = [one for one in found if one.wanted.part != "fit" and one.alone]
    result = {"tokens/s": verdict([one.compared for one in unseen])}
    for label in ("ar", "sd"):
        pairs = [(one, base) for one in unseen if (base := baselines(found, one)[label])]
        if pairs:
            result[f"× {label.upper()}"] = verdict([one.over(base) for one, base in pairs])
    return result | {"tokens/s for any hour": verdict([one.compared_alone for one in unseen])}


def baselines(found: Sequence[Found], of: Found) -> dict[str, Found | None]:
    """Return the baselines of a configuration's group that are AR and SD."""
    group = [one for one in found if one.wanted.baseline and one.wanted.group == of.wanted.group]
    return {
        "ar": next((one for one in group if not one.wanted.setup.drafted), None),
        "sd": next((one for one in group if one.wanted.setup.drafted), None),
    }


def save(file: Path, found: Sequence[Found], judged: Mapping[str, Verdict], info: Any) -> None:
    """Write everything down."""
    content = {
        **info,
        "verdicts": {name: _known(asdict(one)) for name, one in judged.items()},
        "configurations": [one.plain(baselines(found, one)) for one in found],
    }
    write_text(file, json.dumps(content, indent=1) + "\n")


def tables(found: Sequence[Found], judged: Mapping[str, Verdict]) -> list[Table]:
    """Return what the command prints."""
    return [_configurations(found), _causes(found), _replays(found), _verdicts(judged)]


def _configurations(found: Sequence[Found]) -> Table:
    table = _table(
        "tokens/s of single runs; the interval should hold 90 % of them",
        (
            *("configuration", "predicted", "90 % interval", "measured", "repeats ±", "error"),
            *("inside", "for any hour"),
        ),
    )
    for one in found:
        of, interval = one.compared, one.compared.predicted[0]
        table.add_row(
            of.name + (" (baseline)" if of.baseline else ""),
            _shown(of.expected, ".1f"),
            f"{interval.low:.1f} – {interval.high:.1f}" if one.alone else "–",
            f"{of.middle:.1f}",
            f"{of.spread:.1%}",
            _shown(of.error, "+.1%"),
            f"{sum(of.covered)}/{len(of.covered)}" if one.alone else "–",
            _shown(one.compared_alone.error, "+.1%"),
            one.remarks,
        )
    return table


def _causes(found: Sequence[Found]) -> Table:
    title = "what each guess adds to the error of the run of median speed"
    table = _table(title, ("configuration", *CAUSES))
    for one in found:
        steps = one.causes.steps() if one.causes else {}
        cells = [_shown(steps.get(name, nan), "+.1%") for name in CAUSES]
        table.add_row(one.wanted.title, *cells, one.missing.get("causes"))
    return table


def _replays(found: Sequence[Found]) -> Table:
    table = _table(
        "rounds of the measured texts, replayed",
        ("configuration", "rounds", "unlike", "largest margin", "not compared"),
    )
    for one in found:
        if one.agreement is not None:
            differing = {(d.seq, d.round) for d in one.agreement.differences}
            margins = [d.margin for d in one.agreement.differences if d.margin is not None]
            table.add_row(
                one.wanted.title,
                str(one.agreement.rounds),
                str(len(differing)),
                f"{max(margins):.3f}" if margins else "–",
                str(one.agreement.skipped),
            )
        elif "replay" in one.missing:
            table.add_row(one.wanted.title, *("–",) * 4, one.missing["replay"])
    return table


def _verdicts(judged: Mapping[str, Verdict]) -> Table:
    table = _table("configurations that the profile was not fitted to", ("", *judged))
    rows = {
        "median error": "median_error",
        "95th percentile": "high_error",
        "in the right order": "ordered",
        "regret of the choice": "regret",
        "measurements inside": "coverage",
    }
    for label, name in rows.items():
        table.add_row(label, *(_shown(getattr(one, name), ".1%") for one in judged.values()))
    for name in ("configurations", "measurements", "pairs"):
        table.add_row(name, *(str(getattr(one, name)) for one in judged.values()))
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left")
    table.add_column("")  # why there is nothing
    return table


def _summaries(predicted: Predicted) -> dict[str, Any]:
    return {name: _summary(predicted, name) for name in METRICS}


def _summary(predicted: Predicted, name: str) -> dict[str, Any]:
    return _known(asdict(predicted.interval(name)))


def _speedups(compared: Compared) -> dict[str, Any]:
    intervals = [_known(asdict(one)) for one in compared.predicted]
    return {"measured": list(compared.measured), "intervals": intervals}


def _known(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON has them, which knows no NaN."""
    return {key: None if isnan(value) else value for key, value in values.items()}


def _shown(value: float, form: str) -> str:
    """Return a number as tables have it."""
    return "–" if isnan(value) else format(value, form)
