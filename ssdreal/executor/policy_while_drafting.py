"""The policy of a real run, whose draft may be lost on the way."""

from dataclasses import dataclass

from ssdreal.workers.remote import Remote
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.base import Budget, Predictor


@dataclass
class WhileItLasts:
    """A policy that predicts nothing any more once the draft is lost.

    Attributes
    ----------
    policy
        What predicts until then.
    draft
        Who drafts.

    """

    policy: Predictor
    draft: Remote

    @property
    def budget(self) -> Budget:
        """What it may spend."""
        return 0 if self.draft.lost else self.policy.budget

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        """Return at most `budget` outcomes."""
        if self.draft.lost:
            return frozenset()
        return self.policy.predict(speculation, budget)

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """See how a verify ended."""
        self.policy.observe(speculation, outcome)
