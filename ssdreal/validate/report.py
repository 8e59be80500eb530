"""The results of a validation, as tables and as a JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
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
        Before anything was measured.
    runs
        As measured.
    causes
        Of the first run's error.
    agreement
        Of its replay; None where a replay need not have the same rounds.

    """

    wanted: Configuration
    predicted: Predicted
    runs: Sequence[Run]
    causes: Causes
    agreement: Agreement | None

    @property
    def compared(self) -> Compared:
        """Tokens/s, predicted and measured."""
        low, high = self.predicted.interval()
        measured = tuple(run.metrics["tokens_per_s"] for run in self.runs)
        wanted, middle = self.wanted, self.predicted.middle()
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
            "predicted": {name: _summary(self.predicted, name) for name in METRICS},
            "measured": {name: [run.metrics[name] for run in self.runs] for name in METRICS},
            "causes": asdict(self.causes),
            "replay": None if self.agreement is None else asdict(self.agreement),
        }


def verdicts(found: Sequence[Found], baselines: Mapping[str, str]) -> dict[str, Verdict]:
    """Return the verdicts on tokens/s and on speedups, over configurations not fitted to.

    `baselines` names for every group the configurations that are AR and SD in it.
    """
    unseen = [one.compared for one in found if one.wanted.part != "fit"]
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
        "verdicts": {name: asdict(one) for name, one in judged.items()},
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
            f"{of.predicted:.1f}",
            f"{of.low:.1f} – {of.high:.1f}",
            f"{of.middle:.1f}",
            f"{of.spread:.1%}",
            f"{of.error:+.1%}",
            f"{sum(of.covered)}/{len(of.covered)}",
        )
    return table


def _causes(found: Sequence[Found]) -> Table:
    names = ("scheduling", "durations", "acceptance", "contention")
    table = _table("what each guess adds to the error of the first run", ("configuration", *names))
    for one in found:
        steps = one.causes.steps()
        table.add_row(one.wanted.title, *(f"{steps[name]:+.1%}" for name in names))
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
        table.add_row(label, *(f"{getattr(one, name):.1%}" for one in judged.values()))
    for name in ("configurations", "measurements", "pairs"):
        table.add_row(name, *(str(getattr(one, name)) for one in judged.values()))
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left")
    return table


def _summary(predicted: Predicted, name: str) -> dict[str, Any]:
    middle, (low, high) = predicted.middle(name), predicted.interval(name)
    values = {"middle": middle, "low": low, "high": high}
    return {key: None if isnan(value) else value for key, value in values.items()}
