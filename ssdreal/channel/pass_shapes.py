"""The widths and capacities of passes on a GPU: few, as each is compiled and captured anew."""

FEW, GRAIN = 16, 8
"""Branches that have a narrower pass of their own; and what widths are multiples of."""

ROOM = 512
"""Capacities are multiples of it, so that the runs of a sitting share what is compiled."""


def roomy(capacity: int) -> int:
    """Return the cache entries of a row that passes attend to, for at least so many."""
    return capacity + -capacity % ROOM


def branch_widths(branches: int) -> list[int]:
    """Return the columns of the passes that grow so many branches, ascending.

    Weights take as long to read for one branch as for many, so two widths do.
    """
    widest = branches + -branches % GRAIN
    return sorted({min(FEW, widest), widest} - {0})


def draft_widths(lookahead: int, branches: int) -> set[int]:
    """Return the columns of all of a draft's passes: steps, texts and blocks, and branches."""
    return {1, lookahead + 1, *branch_widths(branches)}
