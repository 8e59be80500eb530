"""The base of backups that choose between two others, from running means of what each yields."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from simpy import Event

from ssdsim.backups.base import Backup
from ssdsim.backups.jit import Jit
from ssdsim.backups.random import Random
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Speculating
from ssdsim.errors import require
from ssdsim.run.tables import Round
from ssdsim.run.trace import Recorder

if TYPE_CHECKING:
    from ssdsim.decoding.session import Session


@dataclass(frozen=True)
class TwoBackups:
    """Two backups, and first guesses of what each yields.

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


class Mean:
    """A running mean, starting from a guess that counts for `prior` values."""

    def __init__(self, guess: float, prior: float) -> None:
        self.total = guess * prior
        self.count = prior

    def see(self, value: float) -> None:
        """Count one more."""
        self.total += value
        self.count += 1

    @property
    def value(self) -> float:
        """The mean."""
        return self.total / self.count


@dataclass
class ChosenBackup:
    """A choice at work in one run; who decides says so in `slow_pays`.

    Attributes
    ----------
    config
        What it began with.
    slow, fast
        The two backups at work.
    hit, on_hit, lengths
        Running means of the hit rate, and of accepted + 1 after a hit and after the "slow" and the
        "fast" backup drafted.

    """

    config: TwoBackups
    slow: Speculating
    fast: Speculating
    drafted_by: dict[int, str] = field(default_factory=dict)
    rounds: int = 0

    def __post_init__(self) -> None:
        config, prior = self.config, self.config.prior
        self.hit = Mean(config.hit_rate, prior)
        self.on_hit = Mean(config.length_on_hit, prior)
        self.lengths = {
            "slow": Mean(config.length_slow, prior),
            "fast": Mean(config.length_fast, prior),
        }

    def speculate(self, session: "Session", rows: Sequence[Row]) -> Event:
        """Let one of the two draft for each row."""
        if not self.rounds:
            session.recorder.readers.append(partial(self._read, session.recorder))
        self._read(session.recorder)
        name = self._choose(session, rows)
        for row in rows:
            self.drafted_by[row.seq] = name
        return self._of(name).speculate(session, rows)

    def speculate_seconds(self, session: "Session", rows: Sequence[Row]) -> float:
        """Return the seconds of the one that it would choose now."""
        return self._of(self._choose(session, rows)).speculate_seconds(session, rows)

    def slow_pays(self, session: "Session", rows: Sequence[Row]) -> bool:
        """Return whether the slow one shall draft for these rows now."""
        raise NotImplementedError

    def see(self, ended: Round) -> None:
        """Learn from a round."""
        if ended.hit is not None:
            self.hit.see(ended.hit)
        by = self.lengths[self.drafted_by.get(ended.seq, "slow")]
        (self.on_hit if ended.speculator == "primary" else by).see(ended.accepted + 1)

    def _read(self, recorder: Recorder) -> None:
        """Learn from the rounds that have ended meanwhile."""
        for ended in recorder.rounds[self.rounds - recorder.gone :]:
            self.see(ended)
        self.rounds = recorder.gone + len(recorder.rounds)

    def _choose(self, session: "Session", rows: Sequence[Row]) -> str:
        return "slow" if self.slow_pays(session, rows) else "fast"

    def _of(self, name: str) -> Speculating:
        return self.slow if name == "slow" else self.fast
