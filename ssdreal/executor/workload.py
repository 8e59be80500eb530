"""What a real run decodes: prompts as token ids, and how many unless told otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssdsim.workloads.closed import Closed

SIZES = {"prompts": 8, "output_tokens": 64}
"""Of a workload unless told otherwise: what is over in a minute on two cores."""

FEW = Closed(**SIZES)
"""So many prompts, all there from the start."""


@dataclass(frozen=True)
class Task:
    """A prompt made ready: name, kind, token ids, and the field of its record that had the text."""

    name: str
    kind: str
    tokens: Sequence[int]
    field: str | None = None
