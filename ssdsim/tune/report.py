"""The tables that a tuning prints."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ssdsim.tune.findings import Findings
from ssdsim.tune.lookahead_table import lookahead_table
from ssdsim.tune.search_space import Options, written
from ssdsim.tune.sensitivity import Effect

if TYPE_CHECKING:
    from rich.table import Table

ABSENT = "–"
CHOSEN = "▸ "
"""Before the choice, which is not always the one with most tokens/s in the profile's own world."""


def tables(found: Findings) -> "list[Table]":
    """Return the tables that are printed."""
    title = "best lookaheads at other loads"
    shown = [leaders_table(found), effects_table(found.effects)]
    shown.append(lookahead_table(found.lookaheads, title=title))
    return [*shown, refusals_table(found.refusals)] if found.refusals else shown


def leaders_table(found: Findings) -> "Table":
    """Return a table of the choice, the best of every method, and the other finalists."""
    from rich.markup import escape

    table = _table("the best configuration of every method, and what comes near the choice")
    table.add_column("configuration", overflow="fold", ratio=1)
    for heading in ("tokens/s", "× AR", "per\ndevice", "90 %\nbetween", "as good as\nthe best"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("expected\nregret", justify="right", no_wrap=True)
    plain = (
        found.possible[found.leaders["autoregressive"]]
        if "autoregressive" in found.leaders
        else None
    )
    chances, regret = found.selection.probabilities, found.selection.regret
    for options in _shown(found):
        figures = found.possible[options]
        over = f"{figures.tokens_per_s / plain.tokens_per_s:.2f}" if plain else ABSENT
        finalist = options in chances
        low, high = found.selection.interval(options) if finalist else (0, 0)
        table.add_row(
            f"{CHOSEN if options == found.choice else ''}{escape(_named(options))}",
            f"{figures.tokens_per_s:.1f}",
            over,
            f"{figures.per_device:.1f}",
            f"{low:.0f} – {high:.0f}" if finalist else ABSENT,
            f"{100 * chances[options]:.0f} %" if finalist else ABSENT,
            f"{100 * regret[options]:.1f} %" if finalist else ABSENT,
            style="bold" if options == found.choice else None,
        )
    table.caption = _caption(found)
    return table


def effects_table(effects: Sequence[Effect]) -> "Table":
    """Return a table of what changes of the world do to the choice."""
    from rich.markup import escape

    table = _table("what the choice hangs on")
    table.add_column("if", no_wrap=True)
    table.add_column("the best of these is", overflow="fold", ratio=1)
    for heading in ("tokens/s", "the choice is\nbehind by", "changes at"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in effects:
        if one.winner is None:
            table.add_row(one.says, escape(one.refused), *[ABSENT] * 3)
            continue
        same = not one.behind
        best = "the choice" if same else _named(one.winner)
        behind = ABSENT if same else f"{100 * one.behind:.1f} %"
        table.add_row(
            one.says, escape(best), f"{one.tokens_per_s:.1f}", behind, one.from_ or ABSENT
        )
    return table


def refusals_table(refusals: Counter[str]) -> "Table":
    """Return a table of what was left out."""
    from rich.markup import escape

    table = _table("left out, since they cannot be here")
    table.add_column("evaluated", justify="right")
    table.add_column("reason", overflow="fold", ratio=1)
    for reason, count in refusals.most_common():
        table.add_row(str(count), escape(reason))
    return table


def _table(title: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption_justify = "left"
    return table


def _shown(found: Findings) -> list[Options]:
    """Return the rows, fastest first."""
    rows = {found.choice, *found.leaders.values(), *found.selection.candidates}
    return [options for options in found.possible if options in rows]


def _named(options: Options) -> str:
    """Return a configuration in short: the method, then its options."""
    (_, method), *others = sorted(options, key=lambda option: option[0] != "method")
    return " ".join([str(method), *(f"{name}={written(value)}" for name, value in others)])


def _caption(found: Findings) -> str:
    race, worlds = found.selection.race, len(found.selection.seen)
    known, screened = found.evaluations.known.values(), len(found.search.screened)
    simulated = sum(1 for figures in known if not figures.refused)
    end = {
        "separated": "the choice is told apart from all others",
        "alike": "no other finalist is better by more than 0.2 %",
        None: f"others may be better by {100 * race.gap:.1f} %",
    }[race.over]
    sure = f"with {100 * race.rule.confidence:g} % confidence"
    return (
        f"{simulated} simulations, {screened} exact expectations; finalists compared over"
        f" {worlds} worlds that the profile leaves possible: {end}, {sure}"
    )
