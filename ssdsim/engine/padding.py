"""The shape to which all verifies of a run are padded, where the machine pads them."""

from math import ceil
from typing import TYPE_CHECKING

from ssdsim.acceptance.base import Source
from ssdsim.workloads.base import Request, Workload

if TYPE_CHECKING:
    from ssdsim.engine.setup import Setup

Shape = tuple[int, int, int]
"""Rows, tokens of all rows together, and tokens in a row's cache."""


def prompt_length(workload: Workload, source: Source, seq: int, request: Request) -> int:
    """Return the tokens of a prompt: the request's own, else the source's, else the workload's."""
    said = (request.prompt_tokens, source.prompt_tokens(seq))
    known = (tokens for tokens in said if tokens is not None)
    return next(known, workload.longest_prompt)


def prompt_lengths(workload: Workload, seed: int, source: Source) -> list[int]:
    """Return the tokens of every prompt."""
    requests = enumerate(workload.requests(seed))
    return [prompt_length(workload, source, seq, request) for seq, request in requests]


def padded(setup: "Setup", source: Source) -> Shape | None:
    """Return the shape of all verifies; None where each has the shape of its rows."""
    padding, workload = setup.machine.padding, setup.workload
    if not padding:
        return None
    nodes = setup.tree.nodes(setup.lookahead)
    width = setup.method.pass_width(nodes, workload.longest_output)
    slots = min(setup.slots, workload.prompts)
    longest = (
        max(prompt_lengths(setup.workload, setup.seed, source)) + workload.longest_output + width
    )
    return slots, slots * width, padding * ceil(longest / padding)
