"""Prompt lookup as llama.cpp does it by default: its `ngram-simple`.

Only the latest place counts where the last n tokens stood before, and nothing is drafted unless n
tokens at least follow there, the last one of the text not among them. A text that repeats itself in
a period of n tokens or less is therefore never drafted for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ssdsim.errors import require


@dataclass(frozen=True)
class NgramSimple:
    """llama.cpp's `--spec-type ngram-simple`.

    Attributes
    ----------
    ngram
        n, the tokens that must match, and the fewest that must follow; the engine's own default
        is 12 (`--spec-ngram-simple-size-n`). Its lookahead, `--spec-ngram-simple-size-m`, must not
        be less.
    seconds
        What one lookup takes; on real models it is measured.

    """

    ngram: int = 3
    seconds: float = 0.0

    def __post_init__(self) -> None:
        require(self.ngram >= 1, "drafter.ngram", self.ngram, "needs a number >= 1")
        require(self.seconds >= 0, "drafter.seconds", self.seconds, "needs seconds >= 0")

    def look_up(self, tokens: Sequence[int], length: int) -> list[int]:
        """Return up to `length` tokens that followed the latest match; none if too few did."""
        at = next(self._places(tokens), len(tokens))
        found = tokens[at : len(tokens) - 1]
        return list(found[:length]) if len(found) >= self.ngram else []

    def followers(self, tokens: Sequence[int]) -> list[int]:
        """Return what followed each match, the latest first; none where nothing is drafted."""
        if not self.look_up(tokens, 1):
            return []
        return list(dict.fromkeys(tokens[at] for at in self._places(tokens)))

    def _places(self, tokens: Sequence[int]) -> Iterator[int]:
        """Yield the places behind earlier matches, the latest first.

        The engine looks for none at the text's first token, nor for one that ends in the token
        before the last.
        """
        n = self.ngram
        last = list(tokens[-n:])
        for at in range(len(tokens) - 2, n, -1):
            if tokens[at - 1] == last[-1] and list(tokens[at - n : at]) == last:
                yield at
