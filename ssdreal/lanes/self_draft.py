"""The draft that a target is for itself, as a method sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

from simpy import Event

from ssdreal.lanes.draft import RealDraft
from ssdsim.decoding.protocol import Row


@dataclass(eq=False)
class SelfDraft(RealDraft):
    """The draft that a target is for itself: the prompts are in its cache already."""

    def prefill(self, rows: Sequence[Row]) -> Event:  # noqa: ARG002 - whatever they are
        """Have nothing to do."""
        return self.env.event().succeed()
