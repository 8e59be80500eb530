"""What a llama.cpp server says of a completion: tokens, timings, and a log line a round."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

DONE = "stop processing"
"""What it logs when a completion has ended."""

STAMP = r"^(?:(\d+)\.)(\d+)\.(\d+)\.(\d+) "
ROUND = re.compile(STAMP + r".*accepted +(\d+)/ *(\d+) draft tokens", re.MULTILINE)
"""Minutes, seconds, ms, µs since its start; accepted and drafted tokens (if LLAMA_TRACE=1)."""


@dataclass(frozen=True)
class EngineRound:
    """A round that verified a draft.

    Attributes
    ----------
    drafted, accepted
        Tokens.
    seconds
        Since the round before ended; None: of the first.

    """

    drafted: int
    accepted: int
    seconds: float | None


@dataclass(frozen=True)
class Completion:
    """What a server answered.

    Attributes
    ----------
    tokens
        The ids it delivered; the first one comes from the prompt's own pass.
    seconds
        Of all passes behind that, by the server's own clock.
    drafted, accepted
        Tokens.
    logged
        The rounds that verified a draft. All others delivered one token in a pass of one.

    """

    tokens: tuple[int, ...]
    seconds: float
    drafted: int
    accepted: int
    logged: tuple[EngineRound, ...] = ()

    @classmethod
    def of(cls, tokens: Sequence[int], timings: Mapping[str, float], log: str) -> "Completion":
        """Read the answer's `timings`, and what was logged meanwhile."""
        drafted, accepted = (int(timings.get(name, 0)) for name in ("draft_n", "draft_n_accepted"))
        seconds = timings["predicted_ms"] / 1e3
        return cls(tuple(tokens), seconds, drafted, accepted, tuple(_rounds(log)))

    @property
    def rounds(self) -> int:
        """Target passes behind the prompt."""
        return len(self.tokens) - 1 - self.accepted


def _rounds(log: str) -> Iterator[EngineRound]:
    found = [[int(group) for group in match.groups()] for match in ROUND.finditer(log)]
    ends = [60 * m + s + ms / 1e3 + us / 1e6 for m, s, ms, us, *_ in found]
    seconds = [None, *(after - before for before, after in pairwise(ends))]
    for (*_, accepted, drafted), took in zip(found, seconds, strict=False):
        yield EngineRound(drafted, accepted, took)
