"""A comparison as the terminal shows it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ssdsim.calibration.error_causes import CAUSES
from ssdsim.compare.alignment import Alignment, Parting
from ssdsim.compare.comparison import Comparison
from ssdsim.run.report import ABSENT, FIGURES, SECTIONS, figures, method_of

if TYPE_CHECKING:
    from rich.table import Table

LONGEST = 32
"""Characters of a setting's value: a table of times is not for a table of settings."""
MEANINGS = {
    "scheduling": "how ssdsim puts the run's own pieces together",
    "durations": "durations as the profile has them",
    "contention": "how far both models slow each other",
    "drift": "the machine's state before the run",
    "acceptance": "other texts than the run's",
}


def tables(found: Comparison) -> "Iterator[Table]":
    """Yield a comparison's tables."""
    yield _metrics(found)
    if found.settings:
        yield _settings(found)
    if found.explanation and found.explanation.causes:
        yield _causes(found.explanation.causes.steps())


def sentences(found: Comparison) -> Iterator[str]:
    """Yield what there is to say below them."""
    first, *others = found.names
    for name, alignment in zip(others, found.alignments, strict=True):
        yield f"rounds of {first} and {name}: {_agreement(alignment)}"
        if alignment.first:
            yield f"first round that differs: {_parting(alignment.first)}"
    if found.explanation and found.explanation.missing:
        yield f"causes of the error: not known, {found.explanation.missing}"


def _agreement(alignment: Alignment) -> str:
    one, other = alignment.rounds
    if not alignment.met:
        return f"of {one:,} and {other:,} none begins at the same token of the same prompt"
    share = f"{alignment.agreeing:,} of them are the same ({alignment.share:.1%})"
    return f"{alignment.met:,} of {one:,} and {other:,} begin at the same token, {share}"


def _parting(parting: Parting) -> str:
    one, other = parting.values
    rounds = " and ".join(str(number) for number in dict.fromkeys(parting.rounds))
    where = f"prompt {parting.prompt!r}, round {rounds}, after {parting.place} tokens"
    return f"{where}: {parting.field} is {one} and {other}"


def _metrics(found: Comparison) -> "Table":
    """Return a row a metric: the first run's value, and each other's with its ratio."""
    labels = [f"{name}\n{_kind(run)}" for name, run in zip(found.names, found.runs, strict=True)]
    over = f"÷ {found.names[0]}"
    heads = [labels[0], *(each for label in labels[1:] for each in (label, over))]
    table = _table("", heads, "± 95 % confidence; ratios as of independent runs")
    cells = [dict(figures(run.metrics)) for run in found.runs]
    for name, label, _ in FIGURES:
        if any(label in of for of in cells):
            shown = [of.get(label, ABSENT) for of in cells]
            ratios = [_ratio(ratio) for ratio in found.ratios(name)]
            pairs = (each for pair in zip(shown[1:], ratios, strict=True) for each in pair)
            table.add_row(label, shown[0], *pairs, end_section=name in SECTIONS)
    return table


def _kind(run: Any) -> str:
    source = {"sim": "simulated", "real": "measured"}.get(run.info["source"], run.info["source"])
    return f"{source}, {method_of(run)}"


def _ratio(ratio: tuple[float, float] | None) -> str:
    if ratio is None:
        return ABSENT
    value, half_width = ratio
    return f"{value:.3f} ± {half_width:.3f}" if half_width else f"{value:.3f}"


def _settings(found: Comparison) -> "Table":
    from rich.markup import escape

    table = _table("settings that differ", found.names)
    for name, values in found.settings.items():
        table.add_row(name, *(escape(_short(value)) for value in values))
    return table


def _causes(steps: dict[str, float]) -> "Table":
    table = _table("what each guess adds to the prediction's error", ("",))
    table.show_header = False
    for name in CAUSES:
        table.add_row(f"{name}: {MEANINGS[name]}", f"{steps[name]:+.1%}")
    table.add_row("all of them", f"{sum(steps.values()):+.1%}")
    return table


def _table(title: str, heads: Any, caption: str | None = None) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title or None, caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    table.add_column("")
    for head in heads:
        table.add_column(head, justify="right", overflow="fold")
    return table


def _short(value: object) -> str:
    text = ABSENT if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
