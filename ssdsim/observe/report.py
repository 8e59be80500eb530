"""An observation as the terminal shows it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ssdsim.observe.reading import Observation
from ssdsim.observe.told import Told

if TYPE_CHECKING:
    from rich.table import Table


def tables(observation: Observation) -> "Iterator[Table]":
    """Yield what was found, and the checks."""
    yield _found(observation.told)
    if observation.gates:
        yield _checks(observation)


def sentences(observation: Observation) -> Iterator[str]:
    """Yield what was read, what in it cannot be quite right, and what is not known."""
    for each in observation.found:
        told = each.told
        unread = f", {told.unread:,} not understood" if told.unread else ""
        yield f"{each.format.title}: {each.names}, {told.read:,} lines or records read{unread}"
    for said in observation.told.suspicious:
        yield f"caution: {said}"
    for said in observation.told.unknown:
        yield f"not known: {said}"


def _found(told: Told) -> "Table":
    table = _table("found")
    for name, value in _quantities(told):
        table.add_row(name, value)
    return table


def _quantities(told: Told) -> Iterator[tuple[str, str]]:
    for name, value, form in (
        ("rounds", told.rounds or None, "{:,.0f}"),
        ("K, tokens drafted a round", told.lookahead, "{:.4g}"),
        ("tokens a round", told.tau, "{:.3f}"),
        ("sequences at a time", told.requests, "{:.4g}"),
        ("cache a request, %", _times(told.kv_per_request, 100), "{:.3g}"),
        ("prompt tokens a request", told.prompt_tokens, "{:.5g}"),
        ("output tokens a request", told.output_tokens, "{:.5g}"),
        ("round, ms", _times(told.round_seconds, 1000), "{:.4g}"),
        ("drafting in it, ms", _times(told.draft_seconds, 1000), "{:.4g}"),
        ("timed passes", len(told.passes) or None, "{:,}"),
    ):
        if value is not None:
            yield name, form.format(value)
    if told.positions:
        yield "accepted up to position", " ".join(f"{p:.3f}" for p in told.positions)
    if told.conditional:
        yield "  after those before it", " ".join(f"{p:.3f}" for p in told.conditional)
    if told.hits:
        yield "hit rate, %", f"{100 * told.hits.rate:.3g}"
        yield "tokens a round after a hit", f"{told.hits.tau}"
        yield "tokens a round after a miss", f"{told.hits.tau_miss}"
    if told.ranks:
        yield "texts scored", f"{len(told.ranks.ranks):,}"


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _checks(observation: Observation) -> "Table":
    table = _table("checked")
    for gate in observation.gates:
        table.add_row(gate.what, gate.numbers, "" if gate.passed else "NO")
    return table


def _table(title: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_header=False)
    table.title_justify = "left"
    return table
