"""The draft of a target that drafts for itself, as a method sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

from simpy import Event

from ssdreal.lanes.draft import RealDraft
from ssdreal.lanes.speculations import Drafted
from ssdsim.decoding.protocol import Row
from ssdsim.outcomes import Speculator


@dataclass(eq=False)
class SelfDraft(RealDraft):
    """The draft that a target is for itself: the prompts are in its cache already."""

    def speculate(self, rows: Sequence[Row], lookahead: int, speculator: Speculator) -> Event:
        """Draft at most `lookahead` tokens a row in series, unless that has failed before."""
        if self.remote.failed is None:
            return super().speculate(rows, lookahead, speculator)
        return self.env.event().succeed([Drafted((), "none") for _ in rows])

    def prefill(self, rows: Sequence[Row]) -> Event:  # noqa: ARG002 - whatever they are
        """Have nothing to do."""
        return self.env.event().succeed()
