"""So many slots, filled between rounds, as long as memory is no matter."""

from dataclasses import dataclass

from ssdsim.decoding.session import Admission
from ssdsim.decoding.slots import FilledSlots
from ssdsim.serving.base import Load, Serving


@dataclass(frozen=True)
class Slots(Serving):
    """As many sequences as `batch` says; a prompt's pass holds up all others."""

    def slots(self, load: Load) -> int:
        """Return the batch."""
        return load.batch

    def start(self, load: Load) -> Admission:
        """Return the slots."""
        return FilledSlots(load.batch)
