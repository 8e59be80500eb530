"""What became of a branch of the speculation cache."""

from collections.abc import Sequence
from typing import NamedTuple


class Branch(NamedTuple):
    """What became of one predicted outcome's branch; None is what nobody knows.

    Attributes
    ----------
    drafted
        Tokens drafted for it.
    finished
        Whether it was drafted to its end.
    token
        The bonus token that the outcome names.
    continuation
        The drafted tokens: of a token tree in the order of its nodes.

    """

    drafted: int | None = None
    finished: bool | None = None
    token: int | None = None
    continuation: Sequence[int] | None = None


NO_BRANCH = Branch(drafted=0, finished=False)
"""Of an outcome that nothing was drafted for."""
