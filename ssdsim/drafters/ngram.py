"""Prompt lookup (Saxena 2023): go on as the text did where it had the same few tokens before.

It needs no model and no device. Where the last tokens never occurred before, nothing is drafted,
and the round is an ordinary step of the target.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ssdsim.errors import require


@dataclass(frozen=True)
class Ngram:
    """Prompt lookup: what followed the last n tokens when they last occurred, for the largest n.

    Attributes
    ----------
    longest, shortest
        Largest and smallest n that counts.
    seconds
        What one lookup takes; on real models it is measured.

    """

    longest: int = 3
    shortest: int = 1
    seconds: float = 0.0

    def __post_init__(self) -> None:
        shortest, longest = self.shortest, self.longest
        require(shortest >= 1, "drafter.shortest", shortest, "needs a number >= 1")
        right = f"needs a number >= drafter.shortest={shortest}"
        require(longest >= shortest, "drafter.longest", longest, right)
        require(self.seconds >= 0, "drafter.seconds", self.seconds, "needs seconds >= 0")

    def look_up(self, tokens: Sequence[int], length: int) -> list[int]:
        """Return up to `length` tokens that followed then."""
        places = self._places(tokens)
        if not places:
            return []
        at = max(places)[1]
        return list(tokens[at : at + length])

    def followers(self, tokens: Sequence[int]) -> list[int]:
        """Return what followed each occurrence: of the longest first, of those the latest."""
        return list(dict.fromkeys(tokens[at] for _, at in sorted(self._places(tokens))[::-1]))

    def _places(self, tokens: Sequence[int]) -> list[tuple[int, int]]:
        """Return n and the place of what followed, for every earlier occurrence that counts."""
        matched = ((self._matched(tokens, at), at) for at in _followed(tokens))
        return [(n, at) for n, at in matched if n >= self.shortest]

    def _matched(self, tokens: Sequence[int], at: int) -> int:
        """Return how many tokens before `at`, the last of which matches, are the text's last."""
        n, most = 1, min(self.longest, at)
        while n < most and tokens[at - 1 - n] == tokens[-1 - n]:
            n += 1
        return n


def _followed(tokens: Sequence[int]) -> Iterator[int]:
    """Yield the places behind earlier occurrences of the last token."""
    at = 0
    try:
        while tokens:
            at = tokens.index(tokens[-1], at, len(tokens) - 1) + 1
            yield at
    except ValueError:
        return
