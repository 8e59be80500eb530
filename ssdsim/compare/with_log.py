"""A run beside what an engine's log tells: tokens a round, seconds of one, and both together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdsim.errors import require
from ssdsim.observe.reading import Observation, observe
from ssdsim.run.trace import Run

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """A quantity of the run and of the log; None where one of them does not have it."""

    name: str
    run: float | None
    log: float | None
    scale: float = 1.0

    @property
    def ratio(self) -> float | None:
        """Run over log."""
        return self.run / self.log if self.run is not None and self.log else None


@dataclass(frozen=True)
class WithLog:
    """A run beside a log.

    Attributes
    ----------
    name
        Of the run.
    observation
        What the log's files tell.
    figures
        What both are asked for; the first three are tokens a second of a sequence, tokens a round
        and rounds a second of a sequence, of which the first is the product of the others.

    """

    name: str
    observation: Observation
    figures: tuple[Figure, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        each = [
            {"name": f.name, "run": f.run, "log": f.log, "ratio": f.ratio} for f in self.figures
        ]
        return {"run": self.name, "log": self.observation.plain(), "figures": each}


def compare_with_log(run: Run, path: Path, files: Sequence[Path]) -> WithLog:
    """Compare a run with the log of an engine.

    Raises
    ------
    ConfigError
        The log cannot be read, or run and log have nothing in common.

    """
    observation = observe([str(file) for file in files])
    figures = tuple(_figures(run, observation))
    right = "has no tokens a round, nor seconds of one, to compare with the run's"
    both = any(figure.ratio is not None for figure in figures)
    require(both, "LOG", " ".join(map(str, files)), right)
    return WithLog(path.resolve().name, observation, figures)


def table(found: WithLog) -> "Table":
    """Return a row a figure."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("")
    for head in (found.name, "log", "run ÷ log"):
        shown.add_column(head, justify="right", overflow="fold")
    for figure in found.figures:
        if figure.run is not None and figure.log is not None:
            cells = (_shown(figure.run, figure.scale), _shown(figure.log, figure.scale))
            shown.add_row(figure.name, *cells, _shown(figure.ratio, 1))
    return shown


def sentence(found: WithLog) -> str:
    """Say how the difference in speed divides; nothing where one factor is not known."""
    speed, tokens, rounds = (figure.ratio for figure in found.figures[:3])
    if not (speed and tokens and rounds):
        return ""
    return f"tokens/s {speed:.3f} = tokens a round {tokens:.3f} × rounds a second {rounds:.3f}"


def _figures(run: Run, observation: Observation) -> list[Figure]:
    told, metrics = observation.told, run.metrics
    tau = 1 + sum(told.positions) if told.positions else told.tau
    own, seconds = metrics.get("acceptance_length"), metrics.get("step_seconds")
    logged, rate = told.round_seconds, told.hits.rate if told.hits else None
    found = [
        Figure("tokens/s of a sequence", _over(own, seconds), _over(tau, logged)),
        Figure("tokens a round", own, tau),
        Figure("rounds/s of a sequence", _over(1.0, seconds), _over(1.0, logged)),
        Figure("round, ms", seconds, logged, 1000),
        Figure("tokens drafted a round", _drafted(run), told.lookahead),
        Figure("sequences at a time", _batch(run), told.requests),
        Figure("hit rate, %", metrics.get("hit_rate"), rate, 100),
    ]
    reached = _reached(run, len(told.positions))
    for place, (mine, theirs) in enumerate(zip(reached, told.positions, strict=False), 1):
        found.append(Figure(f"accepted up to position {place}, %", mine, theirs, 100))
    return found


def _over(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None


def _batch(run: Run) -> float | None:
    batch = (run.info.get("config") or {}).get("batch")
    return None if batch is None else float(batch)


def _drafted(run: Run) -> float | None:
    drafted = run.rounds["drafted"]
    return float(drafted.mean()) if len(drafted) else None


def _reached(run: Run, most: int) -> list[float]:
    """Return the shares of rounds that accepted at least so many drafts."""
    accepted = run.rounds["accepted"]
    return [float((accepted >= j).mean()) for j in range(1, most + 1)] if len(accepted) else []


def _shown(value: float | None, scale: float) -> str:
    return "–" if value is None else f"{value * scale:.4g}"
