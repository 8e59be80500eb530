"""The shape to which all verifies of a run are padded, where the machine pads them."""

from math import ceil
from typing import TYPE_CHECKING

from ssdsim.acceptance.base import Source

if TYPE_CHECKING:
    from ssdsim.engine.setup import Setup

Shape = tuple[int, int, int]
"""Rows, tokens of all rows together, and tokens in a row's cache."""


def prompt_lengths(setup: "Setup", source: Source) -> list[int]:
    """Return the tokens of every prompt, the workload's where the source has none."""
    workload = setup.workload
    known = (source.prompt_tokens(seq) for seq in range(workload.prompts))
    return [workload.prompt_tokens if length is None else length for length in known]


def padded(setup: "Setup", source: Source) -> Shape | None:
    """Return the shape of all verifies; None where each has the shape of its rows."""
    padding, workload = setup.machine.padding, setup.workload
    if not padding:
        return None
    nodes = setup.tree.nodes(setup.lookahead)
    width = setup.method.pass_width(nodes, workload.output_tokens)
    slots = min(setup.batch, workload.prompts)
    longest = max(prompt_lengths(setup, source)) + workload.output_tokens + width
    return slots, slots * width, padding * ceil(longest / padding)
