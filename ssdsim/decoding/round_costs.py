"""What a round is expected to take, by how much is drafted and by how much of it is verified."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from ssdsim.cuts.base import Cost
from ssdsim.decoding.abilities import CuttableDraft
from ssdsim.decoding.protocol import Draft, Row, Target

Together = Callable[[float], float]
"""What drafting and verifying take together, in seconds, by what the verify takes."""


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

    def verified(self, rows: Sequence[Row], waited: float, beside: Together) -> Cost:
        """Return what a round of these rows costs by how much of its speculations is verified.

        The backup's draft comes before that and takes `waited` seconds.
        """
        nodes, verify = self._cuttable.nodes, partial(self.target.verify_seconds_of, rows)
        return Cost(nodes, verify, lambda seconds: waited + beside(seconds))

    def branches(self, rows: Sequence[Row], lookahead: int) -> Together:
        """Return what rounds take in which all branches are begun at once, or chains are drafted.

        Branches are as many as in the round before: what is predicted in this one depends on what
        is verified.
        """
        branches = sum(row.predicted for row in rows)
        drafting = (
            self._cuttable.tree_seconds(rows, branches, lookahead)
            if branches
            else self.draft.speculate_seconds(rows, lookahead)
        )
        return partial(self.together, drafting)

    def phases(
        self, rows: Sequence[Row], phases: Sequence[tuple[int, int]], share: float
    ) -> Together:
        """Return what rounds take in which branches are begun in two phases.

        Parameters
        ----------
        rows
            Of the batch.
        phases
            Branches of all rows, and how deep each is; none of a phase that takes what time there
            is.
        share
            Of the verify after which the second begins, if the first is over by then.

        """
        glue = self._cuttable.tree_seconds(rows, 0, 0)
        first, second = (
            self._cuttable.tree_seconds(rows, branches, depth) - glue if branches else 0.0
            for branches, depth in phases
        )
        first += glue if first else 0.0

        def together(verify: float) -> float:
            begun = max(share * verify, first)
            ends = begun + second if begun < verify else first
            return max(verify, ends)

        return together

    @property
    def _cuttable(self) -> CuttableDraft:
        return cast("CuttableDraft", self.draft)
