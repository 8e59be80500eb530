"""The draft model of the pair."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """The draft model, on the devices that the method gives it."""
