"""Slow and accurate in small batches, fast in large ones, where one miss delays every row."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from numpy.random import Generator
from simpy import Event

from ssdsim.backups.base import Backup, Speculating
from ssdsim.backups.jit import Jit
from ssdsim.backups.random import Random
from ssdsim.errors import require
from ssdsim.protocol import Row
from ssdsim.theory import critical_batch

if TYPE_CHECKING:
    from ssdsim.session import Session


@dataclass(frozen=True)
class Adaptive:
    """Switches at the batch size b* of Cor. 16 (SSD), from hit rate and lengths seen so far.

    Attributes
    ----------
    slow, fast
        The two backups.
    hit_rate, length_on_hit, length_slow, length_fast
        First guesses: the cache's hit rate, and accepted + 1 of a round after a hit and after
        either backup drafted.
    prior
        How many rounds the guesses count for.

    """

    slow: Backup = Jit()
    fast: Backup = Random()
    hit_rate: float = 0.85
    length_on_hit: float = 5.0
    length_slow: float = 4.0
    length_fast: float = 1.0
    prior: float = 32.0

    def __post_init__(self) -> None:
        fine = 0 <= self.hit_rate <= 1
        require(fine, "backup.hit_rate", self.hit_rate, "needs a share in [0, 1]")
        for name in ("length_on_hit", "length_slow", "length_fast"):
            require(getattr(self, name) >= 1, f"backup.{name}", getattr(self, name), "needs >= 1")
        require(self.prior > 0, "backup.prior", self.prior, "needs a number > 0")

    @property
    def needs_tokens(self) -> bool:
        """Whether one of the two reads token ids."""
        return self.slow.needs_tokens or self.fast.needs_tokens

    def start(self, rng: Generator) -> Speculating:
        """Return one that has seen nothing yet."""
        guesses = (self.hit_rate, self.length_on_hit, self.length_slow, self.length_fast)
        names = ("hit", "on_hit", "slow", "fast")
        means = {
            name: _Mean(guess * self.prior, self.prior)
            for name, guess in zip(names, guesses, strict=True)
        }
        return _Adaptive({"slow": self.slow.start(rng), "fast": self.fast.start(rng)}, means)


@dataclass
class _Mean:
    total: float
    count: float

    def see(self, value: float) -> None:
        self.total += value
        self.count += 1

    @property
    def value(self) -> float:
        return self.total / self.count


@dataclass
class _Adaptive:
    backups: dict[str, Speculating]
    means: dict[str, _Mean]
    drafted_by: dict[int, str] = field(default_factory=dict)
    rounds: int = 0

    def speculate(self, session: "Session", rows: Sequence[Row]) -> Event:
        self._learn(session)
        name = "slow" if len(session.rows) < self._critical_batch(session, rows) else "fast"
        for row in rows:
            self.drafted_by[row.seq] = name
        return self.backups[name].speculate(session, rows)

    def _critical_batch(self, session: "Session", rows: Sequence[Row]) -> float:
        verify = session.target.verify_seconds(rows, session.lookahead)
        step = session.draft.speculate_seconds(rows, session.lookahead) / verify
        # Branches cost about as much as single tokens while a draft is bound by its weights.
        p, on_hit, slow, fast = (mean.value for mean in self.means.values())
        return critical_batch(p, on_hit, step, slow=(slow, step), fast=(fast, 0.0))

    def _learn(self, session: "Session") -> None:
        new, self.rounds = session.recorder.rounds[self.rounds :], len(session.recorder.rounds)
        for ended in new:
            if ended.hit is not None:
                self.means["hit"].see(ended.hit)
            drafter = self.drafted_by.get(ended.seq, "slow")
            name = "on_hit" if ended.speculator == "primary" else drafter
            self.means[name].see(ended.accepted + 1)
