"""What a round costs by how much of its speculations is verified, for a verification cut."""

from collections.abc import Callable, Sequence
from functools import partial

from ssdsim.cuts.base import Cost
from ssdsim.decoding.abilities import CuttableDraft
from ssdsim.decoding.protocol import Row, Target


def cost_of_a_round(
    draft: CuttableDraft,
    target: Target,
    rows: Sequence[Row],
    lookahead: int,
    waited: float,
    round_seconds: Callable[[float, float], float],
) -> Cost:
    """Return what a round of these rows costs.

    Branches are as many as in the round before: what is predicted in this one depends on what is
    verified.

    Parameters
    ----------
    waited
        Seconds of the backup's draft, which come before the verify.
    round_seconds
        What drafting and verifying take together.

    """
    branches = sum(row.predicted for row in rows)
    drafting = (
        draft.tree_seconds(rows, branches, lookahead)
        if branches
        else draft.speculate_seconds(rows, lookahead)
    )
    verify = partial(target.verify_seconds_of, rows)
    return Cost(draft.nodes, verify, lambda seconds: waited + round_seconds(drafting, seconds))
