"""Keyed noise: random numbers as a function of (seed, sequence, position, role, sibling).

A branch of a tree, a batch-mate, a redraft after a miss or another process that asks for the same
(seed, sequence, position, role, sibling) gets the same number, and two different addresses never
share one. That makes runs comparable token by token, and keeps noise that must be independent
apart: a residual drawn with its proposal's noise gives wrong tokens (docs/sampling.md, "Traps").

The generator is Philox 4x64 (Salmon et al. 2011), which is counter-based: an address is a counter,
and nothing has to be stored or skipped.
"""

from dataclasses import dataclass
from threading import local
from typing import Any, Literal

import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

Role = Literal["propose", "accept", "residual", "bonus"]

ROLES: dict[str, int] = {"propose": 0, "accept": 1, "residual": 2, "bonus": 3, "gumbel": 4}
_WORDS = 4  # a Philox counter value gives four 64-bit words


class _Keyed(local):
    """A generator a thread, which starts over from another key and counter for every draw.

    A new one asks the system for entropy that it has no use for; that takes five times as long.
    """

    def __init__(self) -> None:
        self.philox = Philox(key=0)
        self.fresh = self.philox.state

    def draw(
        self, key: tuple[int, int], counter: tuple[int, int, int, int], words: int
    ) -> NDArray[np.uint64]:
        """Return the first `words` 64-bit words from there on."""
        address = {"counter": np.array(counter, np.uint64), "key": np.array(key, np.uint64)}
        state: Any = {**self.fresh, "state": address}
        self.philox.state = state
        bits: NDArray[np.uint64] = self.philox.random_raw(words)
        return bits


_GENERATOR = _Keyed()


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of one sequence.

    Attributes
    ----------
    seed
        Of the run, 0 to 2^64 - 1.
    sequence
        Which sequence of the run, likewise.

    """

    seed: int
    sequence: int

    def uniform(self, position: int, role: Role, sibling: int = 0) -> float:
        """Return the one number in (0, 1) at this address.

        Parameters
        ----------
        position
            Absolute, in tokens from the start of the sequence (of its prompt, where it has one).
        role
            What the number decides.
        sibling
            Tells the children of a tree's node apart; 0 in a chain.

        """
        return self._draw((position, sibling, ROLES[role], 0), 1).item()

    def uniforms(self, start: int, count: int, role: Role, sibling: int = 0) -> NDArray[np.float64]:
        """Return `uniform(start + j, role, sibling)` for j = 0 .. count - 1, in one go."""
        return self._draw((start, sibling, ROLES[role], 0), _WORDS * count)[::_WORDS]

    def block(self, start: int, count: int) -> dict[Role, NDArray[np.float64]]:
        """Return the uniforms of positions start .. start + count - 1 for verifying a chain."""
        return {
            "accept": self.uniforms(start, count, "accept"),
            "residual": self.uniforms(start, count, "residual"),
            "bonus": self.uniforms(start, count, "bonus"),
        }

    def gumbel(self, position: int, size: int) -> NDArray[np.float64]:
        """Return standard Gumbel noise for the `size` token ids of one position.

        Draft and target (and the siblings of a tree) share it: that is the coupling.
        """
        # The position is the counter's second word here: the first one counts along the ids.
        uniform = self._draw((0, position, ROLES["gumbel"], 0), size)
        return np.asarray(-np.log(-np.log(uniform)))

    def _draw(self, counter: tuple[int, int, int, int], words: int) -> NDArray[np.float64]:
        bits = _GENERATOR.draw((self.seed, self.sequence), counter, words)
        # 52 bits and a half: strictly inside (0, 1), so that logarithms stay finite.
        return np.asarray(((bits >> np.uint64(12)) + 0.5) * 2.0**-52, np.float64)
