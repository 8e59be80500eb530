"""Takes a slow backup in rounds where its additional tokens outweigh its seconds, else a fast one.

One miss delays every row of the batch, so the slow backup costs the same seconds whether one row
missed or all did, and gains a row's tokens for each that did. `adaptive` weighs the two on average
over all rounds; here each round decides for itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from numpy.random import Generator

from ssdsim.backups.choice_of_two import ChosenBackup, TwoBackups
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Speculating
from ssdsim.run.tables import Round
from ssdsim.theory import ssd_speedup

if TYPE_CHECKING:
    from ssdsim.decoding.session import Session


@dataclass(frozen=True)
class Marginal(TwoBackups):
    """The slow one if m·(E_slow - E_fast) > ρ·(T_slow - T_fast).

    m rows are to be drafted for, E are mean lengths after either backup, T its seconds for these
    rows, and ρ the tokens a second of the whole live batch.

    Why (renewal-reward theorem; Dinkelbach 1967): rounds are cycles, and tokens/s are in the long
    run E[tokens] / E[seconds] of a cycle. Let ρ be that of any rule. The rule that maximises
    E[tokens - ρ·seconds], which is 0 for the one that ρ belongs to, makes it 0 or more, so that
    its own tokens/s are ρ or more; and where no rule makes it more, ρ is the best there is. As m
    is known when the choice is made, that maximum is reached round by round. ρ is measured as the
    run goes on, so that it follows the rule's own. What a choice does to later rounds (a row whose
    backup was right less often may also hit less often) is left out of account.

    ρ is first guessed by Cor. 16 (SSD) with the slow backup.
    """

    def start(self, rng: Generator) -> Speculating:
        """Return one that has seen nothing yet."""
        return _Marginal(self, self.slow.start(rng), self.fast.start(rng))


@dataclass
class _Marginal(ChosenBackup):
    tokens: float = 0.0
    seconds: float = 0.0

    def see(self, ended: Round) -> None:
        super().see(ended)
        self.tokens += ended.accepted + 1
        self.seconds += ended.end - ended.start

    def slow_pays(self, session: "Session", rows: Sequence[Row]) -> bool:
        slow, fast = (backup.speculate_seconds(session, rows) for backup in (self.slow, self.fast))
        gain = len(rows) * (self.lengths["slow"].value - self.lengths["fast"].value)
        return gain > len(session.rows) * self._pace(session, slow) * (slow - fast)

    def _pace(self, session: "Session", slow: float) -> float:
        """Return a row's tokens a second so far."""
        guess, K = self.config, session.lookahead
        verify = session.target.verify_seconds(session.rows, K)
        primary = session.draft.speculate_seconds(session.rows, K) / verify
        p, hit, miss = guess.hit_rate, guess.length_on_hit, guess.length_slow
        batch = len(session.rows)
        speedup = ssd_speedup(p, hit, miss, primary, slow / verify, batch=batch)
        tokens = guess.prior * (p * hit + (1 - p) * miss)
        return (tokens + self.tokens) / (tokens * verify / speedup + self.seconds)
