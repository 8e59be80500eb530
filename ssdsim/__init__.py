"""A discrete-event simulator of draft/target timelines for LLM speculative decoding."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssdsim.analytic import expect
    from ssdsim.simulation import Setup, Simulation, simulate
    from ssdsim.trace import Run, load_run

__all__ = ["Run", "Setup", "Simulation", "expect", "load_run", "simulate"]

_HOMES = {
    "Run": "ssdsim.trace",
    "load_run": "ssdsim.trace",
    "Setup": "ssdsim.simulation",
    "Simulation": "ssdsim.simulation",
    "simulate": "ssdsim.simulation",
    "expect": "ssdsim.analytic",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `--help` needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ssdsim' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
