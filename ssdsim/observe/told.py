"""What a source tells of the server that wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


class TimedPass(NamedTuple):
    """One pass of an engine, or the mean over many alike.

    Attributes
    ----------
    prompt_tokens
        Tokens of prompts that it read.
    requests
        Sequences that it decoded a token or a round of.
    tokens
        Tokens that it computed for those; with K drafts K + 1 each.
    drafted
        Tokens that the draft sent for each of them, K; 0 where none was drafted.
    seconds
        What it took, drafting included.
    context
        Tokens in the caches of all its sequences together; None where the source does not say.
    weight
        How many passes it stands for.

    """

    prompt_tokens: float
    requests: float
    tokens: float
    drafted: float
    seconds: float
    context: float | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Hits:
    """What an engine that predicts outcomes says of its speculation cache.

    Attributes
    ----------
    rate
        Share of rounds whose outcome had been predicted.
    accepted
        Of those, the share in which n = 0..K drafts were accepted.
    tau, tau_miss
        Tokens a round after a hit and after a miss, bonus included.
    fanout
        F of every number of accepted tokens; None where the log does not say.
    handshake, verify, tree
        Seconds of a round's messages, of a verify, and of drafting for all outcomes.

    """

    rate: float
    accepted: tuple[float, ...] = ()
    tau: float | None = None
    tau_miss: float | None = None
    fanout: int | None = None
    handshake: float | None = None
    verify: float | None = None
    tree: float | None = None


@dataclass(frozen=True)
class Ranks:
    """The rank of every token of some texts among the draft's candidates, 1 its first choice.

    Attributes
    ----------
    tokens, ranks
        A text each: ids of its output, and their ranks.
    prompts
        Ids of the texts' prompts; empty where the source does not say where the output begins.
    logprobs
        The draft's natural log-probability of every token.
    top
        For every token the ids and natural log-probabilities of the draft's best candidates.

    """

    tokens: tuple[tuple[int, ...], ...]
    ranks: tuple[tuple[int, ...], ...]
    prompts: tuple[tuple[int, ...], ...]
    logprobs: tuple[tuple[float, ...], ...]
    top: tuple[tuple[tuple[tuple[int, float], ...], ...], ...]


@dataclass(frozen=True)
class Told:
    """What one source, or several of one server, tell; None or empty where they do not.

    Attributes
    ----------
    rounds
        Rounds with a draft that were counted: the weight of what is told of acceptance.
    lookahead
        K, tokens drafted a round; a mean where that varies.
    varies
        Whether it does: then the rates by position are underestimates.
    tau
        Tokens a round, bonus included.
    positions
        P(at least j drafts accepted), j = 1..K.
    conditional
        P(draft j accepted | drafted, and those before it accepted).
    round_seconds, draft_seconds
        Of a round, and of drafting in it.
    requests
        Sequences decoded at a time, in the mean.
    kv_per_request
        Share of the cache that one of them takes.
    prompt_tokens, output_tokens
        Means a request.
    throughput, tpot_seconds
        Tokens a second of all sequences, and seconds a token of one, prefill left out.
    passes
        Timed passes.
    arrivals
        Of every request when it was sent, in seconds, and the tokens of its prompt and its output.
    hits, ranks
        Of the few sources that know.
    suspicious
        What in it cannot be quite right.
    unknown
        What its reader could not find out.
    read, unread
        Lines (or records) understood, and others that look as if they should have been.

    """

    rounds: float = 0.0
    lookahead: float | None = None
    varies: bool = False
    tau: float | None = None
    positions: tuple[float, ...] = ()
    conditional: tuple[float, ...] = ()
    round_seconds: float | None = None
    draft_seconds: float | None = None
    requests: float | None = None
    kv_per_request: float | None = None
    prompt_tokens: float | None = None
    output_tokens: float | None = None
    throughput: float | None = None
    tpot_seconds: float | None = None
    passes: tuple[TimedPass, ...] = ()
    arrivals: tuple[tuple[float, int, int], ...] = ()
    hits: Hits | None = None
    ranks: Ranks | None = None
    suspicious: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    read: int = 0
    unread: int = 0


def conditional_of(positions: Sequence[float]) -> tuple[float, ...]:
    """Turn P(at least j accepted) into P(accepted at j | those before it were)."""
    alive = (1.0, *positions)
    return tuple(
        min(1.0, after / before) if before > 0 else 0.0 for before, after in pairwise(alive)
    )


@dataclass
class RoundCounts:
    """Counts rounds by how many tokens were drafted and accepted.

    With drafts of various lengths a position counts only where it was drafted: then the
    conditional rates are right where shares of all rounds would be too low.
    """

    counts: dict[tuple[int, int], float] = field(default_factory=dict)

    def add(self, accepted: int, drafted: int, rounds: float = 1.0) -> None:
        """Count rounds that accepted so many of so many drafted tokens."""
        key = min(accepted, drafted), drafted
        self.counts[key] = self.counts.get(key, 0.0) + rounds

    @property
    def rounds(self) -> float:
        """All of them."""
        return sum(self.counts.values())

    @property
    def lookahead(self) -> float:
        """Mean tokens drafted."""
        return sum(drafted * n for (_, drafted), n in self.counts.items()) / self.rounds

    @property
    def varies(self) -> bool:
        """Whether they differ in length."""
        return len({drafted for _, drafted in self.counts}) > 1

    @property
    def tau(self) -> float:
        """Mean accepted + 1."""
        return 1 + sum(accepted * n for (accepted, _), n in self.counts.items()) / self.rounds

    @property
    def positions(self) -> tuple[float, ...]:
        """Shares of all rounds in which at least j were accepted, j = 1..K."""
        reached = [self._sum(at, 0) for at in range(1, self._most() + 1)]
        return tuple(count / self.rounds for count in reached)

    @property
    def conditional(self) -> tuple[float, ...]:
        """P(draft j accepted | drafted, and those before it accepted), j = 1..K."""
        places = range(1, self._most() + 1)
        tried = [self._sum(at - 1, at) for at in places]
        return tuple(
            self._sum(at, at) / n if n else 0.0 for at, n in zip(places, tried, strict=True)
        )

    def told(self) -> Told:
        """Return what they tell of acceptance."""
        return Told(
            rounds=self.rounds,
            lookahead=self.lookahead,
            varies=self.varies,
            tau=self.tau,
            positions=self.positions,
            conditional=self.conditional,
        )

    def _most(self) -> int:
        return max(drafted for _, drafted in self.counts)

    def _sum(self, accepted: int, drafted: int) -> float:
        """Return the rounds that accepted and drafted at least so many."""
        return sum(n for (k, K), n in self.counts.items() if k >= accepted and drafted <= K)


def rates_for(tau: float, lookahead: float) -> tuple[float, ...]:
    """Return the one chance of acceptance at every position with which a round makes `tau` tokens.

    1 + a + a² + ... up to `lookahead`, of which a last part counts by its share, is `tau`.
    """
    whole_ones, part = divmod(lookahead, 1)

    def length(a: float) -> float:
        tokens: float = part * a ** (whole_ones + 1)
        return tokens + sum(a**j for j in range(int(whole_ones) + 1))

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if length(middle) < tau else (low, middle)
    return (low,) * max(1, int(whole_ones) + (part > 0.02))
