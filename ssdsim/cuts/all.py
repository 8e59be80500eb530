"""Verifies all that was drafted."""

from dataclasses import dataclass

from ssdsim.cuts.base import Cut


@dataclass(frozen=True)
class All(Cut):
    """Everything, whatever it takes."""
