"""What a round is expected to take, by how much is drafted and by how much of it is verified."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from ssdsim.cuts.base import Cost
from ssdsim.decoding.abilities import CuttableDraft
from ssdsim.decoding.protocol import Draft, Row, Target


@dataclass(frozen=True)
class RoundCosts:
    """The costs of a session's rounds.

    Attributes
    ----------
    draft, target
        The workers.
    together
        What a round takes, from what drafting and verifying take.

    """

    draft: Draft
    target: Target
    together: Callable[[float, float], float]

    def seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return what a round of these rows takes that drafts so many tokens."""
        verify = self.target.verify_seconds(rows, lookahead)
        if not lookahead:
            return self.together(0.0, verify)
        drafting = self.draft.speculate_seconds(rows, lookahead)
        return self.draft.exchange_seconds(rows, lookahead) + self.together(drafting, verify)

    def verified(self, rows: Sequence[Row], lookahead: int, waited: float) -> Cost:
        """Return what a round of these rows costs by how much of its speculations is verified.

        The backup's draft comes before that and takes `waited` seconds. Branches are as many as
        in the round before: what is predicted in this one depends on what is verified.
        """
        draft = cast("CuttableDraft", self.draft)
        branches = sum(row.predicted for row in rows)
        drafting = (
            draft.tree_seconds(rows, branches, lookahead)
            if branches
            else draft.speculate_seconds(rows, lookahead)
        )
        verify = partial(self.target.verify_seconds_of, rows)
        return Cost(draft.nodes, verify, lambda seconds: waited + self.together(drafting, seconds))
