"""What an acceptance trace holds, and whether that can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import ConfigError

SAGUARO = ("saguaro_a", "saguaro_e")
EXITS = ("exit_ids", "exit_p")
MOST_LAYERS = 4
_TEXT = ("prompt", "temperature", "coupling", "position")


@dataclass(frozen=True)
class AcceptanceTrace:
    """What `read_trace` found, checked.

    Attributes
    ----------
    columns
        An array a column, shape (rows,); lists have shape (rows, M) or (rows, len(grid)).
    grid
        The recorded Saguaro settings (C, F).
    vocabulary
        Number of token ids.
    prompts
        Token ids of every prompt by name.
    exit_layers
        Layers whose early view is recorded, the shallowest first.

    """

    columns: dict[str, NDArray[Any]]
    grid: tuple[tuple[float, int], ...]
    vocabulary: int
    prompts: dict[str, list[int]]
    exit_layers: tuple[int, ...] = ()

    def at(self, temperature: float, coupling: str) -> NDArray[np.bool_]:
        """Return which rows were recorded so, shape (rows,).

        Greedy decoding is the same under either coupling: rows of the other one serve as well.
        """
        warm = np.isclose(self.columns["temperature"], temperature)
        own = warm & (self.columns["coupling"] == coupling)
        return np.asarray(own if temperature > 0 or own.any() else warm)


def check(trace: AcceptanceTrace, file: Path) -> None:
    """Raise `ConfigError` for columns that contradict each other or `run.json`."""
    if trace.exit_layers:
        _check_exits(trace, file)
    columns = trace.columns
    exits = EXITS if trace.exit_layers else ()
    for name in ("a", "e", *_saguaro(trace), *exits[1:]):
        inside = bool(((columns[name] >= 0) & (columns[name] <= 1)).all())
        require_of(inside, file, f"column {name!r} has values outside [0, 1]")
    for name in ("token", "top_ids", *exits[:1]):
        inside = bool(((columns[name] >= 0) & (columns[name] < trace.vocabulary)).all())
        require_of(inside, file, f"column {name!r} has ids outside 0..{trace.vocabulary - 1}")
    for name, width in _widths(trace).items():
        right = f"column {name!r} has lists of {columns[name].shape[1]}, must have {width}"
        require_of(columns[name].shape[1] == width, file, right)
    unknown = sorted(set(columns["prompt"]) - set(trace.prompts))
    require_of(not unknown, file, f"prompts {unknown[:3]} are not among those of run.json")
    counted: dict[tuple[Any, ...], int] = {}
    for *text, position in zip(*(columns[name].tolist() for name in _TEXT), strict=True):
        expected = counted.get(tuple(text), 0)
        right = f"column 'position' has {position} in {text}, must count 0, 1, ... in each text"
        require_of(position == expected, file, right)
        counted[tuple(text)] = expected + 1


def _check_exits(trace: AcceptanceTrace, file: Path) -> None:
    layers, width = len(trace.exit_layers), trace.columns["exit_ids"].shape[1]
    right = f"column 'exit_ids' has lists of {width}, must have as many for each of {layers} layers"
    require_of(
        layers <= MOST_LAYERS and width % layers == 0, file, f"{right}, {MOST_LAYERS} at most"
    )


def _widths(trace: AcceptanceTrace) -> dict[str, int]:
    top = trace.columns["top_ids"].shape[1]
    grid = dict.fromkeys(_saguaro(trace), len(trace.grid))
    exits = trace.columns["exit_ids"].shape[1] if trace.exit_layers else 0
    return {"top_q": top, "top_p": top, **grid, **({"exit_p": exits} if exits else {})}


def _saguaro(trace: AcceptanceTrace) -> Sequence[str]:
    return SAGUARO if trace.grid else ()


def require_of(condition: bool, file: Path, problem: str) -> None:
    """Raise `ConfigError` in a line that names the file, unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{file}: {problem}")
