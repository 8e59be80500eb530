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
from ssdsim.calibration.error_causes import Causes
from ssdsim.calibration.prediction import METRICS, Predicted
from ssdsim.calibration.prediction_errors import Compared, Verdict, over, verdict
from ssdsim.run.trace import Run
from ssdsim.system.atomic_files import write_text


@dataclass(frozen=True)
class Found:
    """Everything about one configuration.

    Attributes
    ----------
    wanted
        What was asked for.
    predicted
        Before anything was measured; None where there is no prediction.
    runs
        As measured.
    causes
        Of the first run's error; None where they are not known, or not yet.
    agreement
        Of its replay; None where a replay need not have the same rounds.
    missing
        Which of these there cannot be ("predicted", "causes", "replay"), and why.

    """

    wanted: Configuration
    predicted: Predicted | None
    runs: Sequence[Run]
    causes: Causes | None
    agreement: Agreement | None
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def compared(self) -> Compared:
        """Tokens/s, predicted and measured; NaN is predicted where nothing is."""
        middle, low, high = (nan,) * 3
        if self.predicted is not None:
            middle, (low, high) = self.predicted.middle(), self.predicted.interval()
        measured = tuple(run.metrics["tokens_per_s"] for run in self.runs)
        wanted = self.wanted
        return Compared(wanted.title, wanted.group, middle, low, high, measured, wanted.baseline)

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain dictionaries and lists."""
        wanted = self.wanted
        return {
            "part": wanted.part,
            "name": wanted.name,
            "group": wanted.group,
            "overrides": wanted.overrides,
            "baseline": wanted.baseline,
            "lookahead": wanted.setup.drafted,
            "predicted": self.predicted and _summaries(self.predicted),
            "measured": {name: [run.metrics[name] for run in self.runs] for name in METRICS},
            "causes": self.causes and asdict(self.causes),
            "replay": self.agreement and asdict(self.agreement),
            "missing": dict(self.missing),
        }


def verdicts(found: Sequence[Found], baselines: Mapping[str, str]) -> dict[str, Verdict]:
    """Return the verdicts on tokens/s and on speedups, over configurations not fitted to.

    `baselines` names for every group the configurations that are AR and SD in it.
    """
    unseen = [one.compared for one in found if one.wanted.part != "fit" and one.predicted]
    by_name = {one.name: one for one in unseen}
    result = {"tokens/s": verdict(unseen)}
    for label in ("ar", "sd"):
        bases = {
            one.group: by_name.get(baselines.get(f"{one.group} {label}", "")) for one in unseen
        }
        pairs = [(one, bases[one.group]) for one in unseen]
        if speedups := [over(one, base) for one, base in pairs if base]:
            result[f"× {label.upper()}"] = verdict(speedups)
    return result


def baselines_of(found: Sequence[Found]) -> dict[str, str]:
    """Return for "GROUP ar" and "GROUP sd" the baseline of that kind."""
    return {
        f"{one.wanted.group} {'sd' if one.wanted.setup.drafted else 'ar'}": one.wanted.title
        for one in found
        if one.wanted.baseline
    }


def save(file: Path, found: Sequence[Found], judged: Mapping[str, Verdict], info: Any) -> None:
    """Write everything down."""
    content = {
        **info,
        "verdicts": {name: _known(asdict(one)) for name, one in judged.items()},
        "configurations": [one.plain() for one in found],
    }
    write_text(file, json.dumps(content, indent=1) + "\n")


def tables(found: Sequence[Found], judged: Mapping[str, Verdict]) -> list[Table]:
    """Return what the command prints."""
    return [_configurations(found), _causes(found), _replays(found), _verdicts(judged)]


def _configurations(found: Sequence[Found]) -> Table:
    table = _table(
        "tokens/s of single runs; the interval should hold 90 % of them",
        ("configuration", "predicted", "90 % interval", "measured", "repeats ±", "error", "inside"),
    )
    for one in found:
        of = one.compared
        table.add_row(
            of.name + (" (baseline)" if of.baseline else ""),
            _shown(of.predicted, ".1f"),
            f"{of.low:.1f} – {of.high:.1f}" if one.predicted else "–",
            f"{of.middle:.1f}",
            f"{of.spread:.1%}",
            _shown(of.error, "+.1%"),
            f"{sum(of.covered)}/{len(of.covered)}" if one.predicted else "–",
            one.missing.get("predicted"),
        )
    return table


def _causes(found: Sequence[Found]) -> Table:
    names = ("scheduling", "durations", "acceptance", "contention")
    table = _table("what each guess adds to the error of the first run", ("configuration", *names))
    for one in found:
        steps = one.causes.steps() if one.causes else {}
        cells = [f"{steps[name]:+.1%}" if name in steps else "–" for name in names]
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
    middle, (low, high) = predicted.middle(name), predicted.interval(name)
    return _known({"middle": middle, "low": low, "high": high})


def _known(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON has them, which knows no NaN."""
    return {key: None if isnan(value) else value for key, value in values.items()}


def _shown(value: float, form: str) -> str:
    """Return a number as tables have it."""
    return "–" if isnan(value) else format(value, form)
