"""Rounds of a simulated run as an engine would have counted them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True)
class Logged:
    """Rounds of ordinary speculation with K drafts in each, in `batch` slots that are all busy.

    Attributes
    ----------
    requests
        What each request accepted, round by round.
    seconds
        Of every round, request after request.

    """

    requests: list[list[int]]
    seconds: list[float]
    K: int
    batch: int = 1

    @classmethod
    def of(cls, run, K, batch=1):
        rounds = run.rounds.sort_values(["seq", "round"])
        requests = [of["accepted"].tolist() for _, of in rounds.groupby("seq")]
        return cls(requests, (rounds["end"] - rounds["start"]).tolist(), K, batch)

    def intervals(self, every) -> "Iterator[Logged]":
        """Yield them as a log that counts so many rounds at a time."""
        for at in range(0, self.rounds, every):
            part = slice(at, at + every)
            yield Logged([self.accepted[part]], self.seconds[part], self.K, self.batch)

    @property
    def accepted(self):
        return [*chain.from_iterable(self.requests)]

    @property
    def rounds(self):
        return len(self.seconds)

    @property
    def tokens(self):
        return sum(self.accepted) + self.rounds

    @property
    def drafted(self):
        return self.K * self.rounds

    @property
    def duration(self):
        return sum(self.seconds) / self.batch

    @property
    def round_seconds(self):
        return sum(self.seconds) / self.rounds

    @property
    def tau(self):
        return self.tokens / self.rounds

    @property
    def positions(self):
        """Shares of rounds in which at least j drafts were accepted, j = 1..K."""
        return shares(self.accepted, self.K)

    @property
    def rates(self):
        """The same as logs print them."""
        return ", ".join(f"{share:.3f}" for share in self.positions)


def shares(accepted, K):
    return [sum(k >= j for k in accepted) / len(accepted) for j in range(1, K + 1)]
