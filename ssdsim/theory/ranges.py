"""Range checks for the arguments of closed forms."""

import math

from ssdsim.errors import require


def check_share(option: str, value: float) -> None:
    """Refuse what is no probability."""
    require(0 <= value <= 1, option, value, "must lie in [0, 1]")


def check_positive(option: str, value: float) -> None:
    """Refuse what is negative or without end."""
    require(0 <= value < math.inf, option, value, "must be a finite number, 0 or more")


def check_whole(option: str, value: int, least: int) -> None:
    """Refuse what is no whole number, or under `least`."""
    require(isinstance(value, int) and value >= least, option, value, f"must be whole, >= {least}")
