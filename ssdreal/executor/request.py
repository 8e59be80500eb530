"""Everything that a command line asks of a real run, as one object."""

from dataclasses import dataclass

from ssdreal.executor.pair import Pair
from ssdreal.executor.setup import Setup
from ssdreal.places.topology import Topology
from ssdreal.workers.hiring import Passes


@dataclass(frozen=True)
class Request:
    """All that a command line asks for.

    Attributes
    ----------
    setup
        How to decode what.
    pair, dtype, topology
        With which models, in which type, on which devices.
    passes
        How GPUs compute passes.
    prompts
        File of prompts; None: the project's own.
    texts
        Whether the generated texts are wanted.

    """

    setup: Setup
    pair: Pair
    topology: Topology
    dtype: str = "bfloat16"
    passes: Passes = "graph"
    prompts: str | None = None
    texts: bool = False
