"""A discrete-event simulator of draft/target timelines for LLM speculative decoding."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssdsim.command.composing import setup
    from ssdsim.engine.exact_expectation import expect
    from ssdsim.engine.setup import Setup
    from ssdsim.engine.simulation import Simulation, simulate
    from ssdsim.run.trace import Run, load_run

__all__ = ["Run", "Setup", "Simulation", "expect", "load_run", "setup", "simulate"]

_HOMES = {
    "Run": "ssdsim.run.trace",
    "load_run": "ssdsim.run.trace",
    "setup": "ssdsim.command.composing",
    "Setup": "ssdsim.engine.setup",
    "Simulation": "ssdsim.engine.simulation",
    "simulate": "ssdsim.engine.simulation",
    "expect": "ssdsim.engine.exact_expectation",
}
_RUNS = frozenset({"Run", "Simulation", "load_run", "simulate"})


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `--help` needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ssdsim' has no attribute {name!r}")
    if name in _RUNS:
        import_module("ssdsim.page.notebook")  # which gives runs their page
    return getattr(import_module(_HOMES[name]), name)
