"""Replays what real models did: an acceptance trace, or a run's rounds, as acceptance source."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ssdsim.acceptance.recorded_rounds import is_run, texts_of_run
from ssdsim.acceptance.trace_checks import AcceptanceTrace
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.acceptance.trace_replay import RecordedText, ReplayText
from ssdsim.acceptance.trace_row import holds_back, is_deterministic
from ssdsim.acceptance.trace_table import Table
from ssdsim.errors import require
from ssdsim.sampling.distributions import Array, certain
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.settings import Sampling

Columns = dict[str, NDArray[Any]]
Texts = tuple[RecordedText, ...]


@dataclass(frozen=True)
class Recorded:
    """What a pair of models did, replayed for other lookaheads, policies, backups and timings.

    An acceptance trace replays any of them. At a temperature between two recorded ones, texts of
    both are replayed, each by its own numbers: the upper one's share of the prompts grows
    linearly from one to the other and is spread evenly over them. So means over prompts are
    linear between temperatures, as times are between the points of a table, and as there nothing
    is guessed outside. Greedy decoding is temperature 0 of either coupling.

    A run's own rounds replay others of greedy or `gumbel` decoding exactly, and under `maximal`
    the run itself (`own_rounds`).

    Attributes
    ----------
    path
        The directory of an acceptance trace (acceptance.parquet; between two recorded
        temperatures, prompts are shared out between both) or of a run that drafted, whose rounds
        are replayed.
    kinds
        Which kinds of prompts to replay; all by default.
    exit_layer
        Which recorded layer's early view the target sends in mid-verify; null: the deepest.

    """

    path: str
    kinds: tuple[str, ...] = ()
    exit_layer: int | None = None
    uses: ClassVar[frozenset[str]] = frozenset({"temperature", "coupling", "saguaro"})

    def open(self, sampling: Sampling, rng: Generator) -> "RecordedSource":
        """Return the source of the texts recorded at this temperature and coupling.

        Raises
        ------
        ConfigError
            The trace is not readable (`read_trace`), or has no such temperature and coupling (nor
            temperatures around it), no such kind of prompt, or no such Saguaro setting; the
            message lists what it has. Likewise for a run (`texts_of_run`).

        """
        texts, vocabulary = _load(self, sampling, self.written())
        return RecordedSource(texts, vocabulary, int(rng.integers(2**63)))

    def written(self) -> tuple[int, ...]:
        """Return when each file of the directory was written last, in ns since the epoch."""
        return tuple(file.stat().st_mtime_ns for file in sorted(Path(self.path).glob("*")))


@dataclass(frozen=True)
class RecordedSource:
    """Recorded texts; sequences beyond their number start over with fresh draws.

    `described` says whether chains of a text begun now have tokens, confidences and candidates.
    """

    texts: Texts
    vocabulary: int
    key: int
    described: Callable[[], bool] = lambda: True

    def text(self, seq: int) -> ReplayText:
        """Return the text of sequence `seq` at its prompt's end."""
        return ReplayText(self._recorded(seq), Noise(self.key, seq), self.described())

    def outlined(self, noted: Callable[[], bool] = lambda: False) -> "RecordedSource":
        """Return the same source with nothing but outcomes in texts begun unless `noted()`."""
        return replace(self, described=noted)

    def prompt(self, seq: int) -> tuple[str, str]:
        """Return the name and the kind of the prompt of sequence `seq`."""
        return self._recorded(seq).name, self._recorded(seq).kind

    def prompt_tokens(self, seq: int) -> int | None:
        """Return the length of the prompt; None where the trace does not hold it."""
        return len(self._recorded(seq).prompt) or None

    def length(self, seq: int) -> int:
        """Return how many tokens of sequence `seq` are recorded."""
        return self._recorded(seq).length

    def _recorded(self, seq: int) -> RecordedText:
        return self.texts[seq % len(self.texts)]


@lru_cache(maxsize=8)
def _load(
    config: Recorded,
    sampling: Sampling,
    written: tuple[int, ...],  # noqa: ARG001 - part of the key: a file written anew is read anew
) -> tuple[Texts, int]:
    """Read and select once for all replications of a run."""
    if is_run(config.path):
        return texts_of_run(config.path, config.kinds, sampling)
    trace = read_trace(config.path)
    below, above = _around(trace, sampling)
    texts = _texts_at(trace, config, replace(sampling, temperature=below))
    if below < above:
        upper = _texts_at(trace, config, replace(sampling, temperature=above))
        share = (sampling.temperature - below) / (above - below)
        texts = _shared_out(texts, upper, share)
        right = f"{config.path} has no prompt at both {below} and {above}"
        require(bool(texts), "temperature", sampling.temperature, right)
    return texts, trace.vocabulary


def _around(trace: AcceptanceTrace, sampling: Sampling) -> tuple[float, float]:
    """Return the recorded temperatures next to the one asked for.

    They are equal to it if it was recorded itself, or lies outside (`_select` then says so).
    """
    greedy = trace.columns["temperature"] == 0  # of either coupling
    own = greedy | (trace.columns["coupling"] == sampling.coupling)
    recorded, asked = np.unique(trace.columns["temperature"][own]), sampling.temperature
    at = int(np.searchsorted(recorded, asked))
    if np.isclose(recorded, asked).any() or at in {0, len(recorded)}:
        return asked, asked
    return float(recorded[at - 1]), float(recorded[at])


def _shared_out(lower: Texts, upper: Texts, share: float) -> Texts:
    """Return a text of every prompt that both have, `share` of them from `upper`."""
    above = {text.name: text for text in upper}
    both = [text for text in lower if text.name in above]
    # Quotients of floats may miss a whole number by an ulp.
    taken = [floor(at * share + 1e-9) for at in range(len(both) + 1)]
    return tuple(
        above[text.name] if after > before else text
        for text, (before, after) in zip(both, pairwise(taken), strict=True)
    )


def _texts_at(trace: AcceptanceTrace, config: Recorded, sampling: Sampling) -> Texts:
    """Return the texts recorded at this very temperature."""
    rows = _select(trace, config, sampling)
    _, first, text = np.unique(
        trace.columns["prompt"][rows], return_index=True, return_inverse=True
    )
    # Texts in the order of their first rows; within a text the rows are in order already.
    together = rows[np.argsort(first[text], kind="stable")]
    columns = {name: column[together] for name, column in trace.columns.items()}
    a, e = _decisions(trace, columns, sampling, config.path)
    table = _table(columns, a, e, sampling)
    return _texts(trace, columns, replace(table, **_exits(trace, columns, config)))


def _select(trace: AcceptanceTrace, config: Recorded, sampling: Sampling) -> NDArray[np.intp]:
    """Return the rows of this temperature and coupling, and of these kinds."""
    columns = trace.columns
    wanted = (sampling.temperature, sampling.coupling)
    recorded = trace.at(*wanted)
    there = sorted(set(zip(columns["temperature"].tolist(), columns["coupling"], strict=True)))
    right = f"{config.path} has {there}"
    require(bool(recorded.any()), "temperature, coupling", wanted, right)
    kinds = sorted(set(columns["kind"]))
    rows = np.flatnonzero(recorded & np.isin(columns["kind"], config.kinds or kinds))
    right = f"{config.path} has {kinds}"
    require(rows.size > 0, "acceptance.kinds", list(config.kinds), right)
    return rows


def _decisions(
    trace: AcceptanceTrace, columns: Columns, sampling: Sampling, path: str
) -> tuple[Array, Array]:
    """Return a and e under this Saguaro setting."""
    if not holds_back(sampling):
        return columns["a"], columns["e"]
    setting = (sampling.saguaro_constant, sampling.saguaro_fanout)
    right = f"{path} has {list(trace.grid)} and C = 1"
    require(setting in trace.grid, "saguaro_constant, saguaro_fanout", setting, right)
    at = trace.grid.index(setting)
    return columns["saguaro_a"][:, at], columns["saguaro_e"][:, at]


def _table(columns: Columns, a: Array, e: Array, sampling: Sampling) -> Table:
    ids, q = columns["top_ids"], columns["top_q"].astype(np.float64)
    sends, excess = _drafting(q, columns["top_p"], sampling)
    return Table(
        token=columns["token"],
        rank=columns["rank"],
        a=a,
        e=e,
        confidence=np.exp(columns["logq"], dtype=np.float64),
        ids=np.pad(ids, ((0, 0), (0, 1)), constant_values=-1),
        q=np.column_stack([q, q[:, -1:] if q.shape[1] else np.zeros(len(q))]),
        sends=sends,
        excess=excess,
        chance=_chances(columns, sends, excess, sampling) if q.shape[1] else None,
    )


def _exits(trace: AcceptanceTrace, columns: Columns, config: Recorded) -> Columns:
    """Return the columns of the early view asked for; none where none is recorded."""
    layers, asked = trace.exit_layers, config.exit_layer
    right = f"{config.path} has {list(layers)}"
    require(asked is None or asked in layers, "acceptance.exit_layer", asked, right)
    if not layers:
        return {}
    each = columns["exit_ids"].shape[1] // len(layers)
    first = each * layers.index(layers[-1] if asked is None else asked)
    return {name: columns[name][:, first : first + each] for name in ("exit_ids", "exit_p")}


def _drafting(q: Array, p: Array, sampling: Sampling) -> tuple[Array, Array]:
    """Return q' and (q' − p)+ at the listed candidates."""
    if is_deterministic(sampling):
        # The draft sends its best candidate, and it is rejected if that is not x.
        sends = np.tile(certain(0, q.shape[1]), (len(q), 1))
        return sends, sends
    sends = q.copy()
    if holds_back(sampling):
        sends[:, : sampling.saguaro_fanout] *= sampling.saguaro_constant
    sends /= 1 - (q - sends).sum(axis=1, keepdims=True)
    return sends, np.maximum(sends - p, 0.0)


def _chances(columns: Columns, sends: Array, excess: Array, sampling: Sampling) -> Array:
    """Return min(1, p/q') in every slot: all tokens not listed have that of their sums."""
    listed = excess.shape[1]
    if is_deterministic(sampling):
        return certain(np.minimum(columns["rank"], listed), listed + 1)
    rest = 1 - columns["top_p"].sum(axis=1), 1 - sends.sum(axis=1)
    ratio = np.divide(*rest, out=np.ones_like(rest[1]), where=rest[1] > 1e-6)
    own = 1 - np.divide(excess, sends, out=np.zeros_like(sends), where=sends > 0)
    return np.column_stack([own, np.clip(ratio, 0.0, 1.0)])


def _texts(trace: AcceptanceTrace, columns: Columns, table: Table) -> Texts:
    """Return where each text lies: the rows of a text stand together."""
    names, first, length = np.unique(columns["prompt"], return_index=True, return_counts=True)
    places = sorted(zip(first.tolist(), length.tolist(), names, strict=True))
    return tuple(
        RecordedText(table, name, columns["kind"][at], tuple(trace.prompts[name]), at, count)
        for at, count, name in places
    )
