"""Refuses sizes that no run could hold in memory or finish, before anything is allocated."""

from ssdsim.errors import require
from ssdsim.trees.base import MOST_NODES, TokenTree

MOST_DRAFTED = 10**7
"""Drafted tokens of all rows in one round: a gigabyte."""

MOST_PROMPTS = 10**6
"""Sequences, which are all there from the start: some gigabytes."""

MOST_TOKENS = 10**10
"""Tokens of all sequences: a simulation of more than a day, or one that counts past 64 bits."""

MOST_LANES = 10**4
"""Copies of a model, each a worker with a lane of its own: a hundred megabytes."""


def check_workload(prompts: int, prompt_tokens: int, output_tokens: int) -> None:
    """Refuse more sequences, or longer ones, than there is memory and time for."""
    right = f"needs at most {MOST_PROMPTS}"
    require(prompts <= MOST_PROMPTS, "workload.prompts", prompts, right)
    for name, tokens in (("output_tokens", output_tokens), ("prompt_tokens", prompt_tokens)):
        right = f"needs at most {MOST_TOKENS // prompts} for each of {prompts} prompts"
        require(tokens * prompts <= MOST_TOKENS, f"workload.{name}", tokens, right)


def check_lookahead(lookahead: int) -> None:
    """Refuse a draft of more tokens than a run can hold of a row."""
    require(lookahead >= 0, "lookahead", lookahead, "needs a number >= 0")
    right = f"needs at most {MOST_NODES} tokens, which is what a run can hold of a row's draft"
    require(lookahead <= MOST_NODES, "lookahead", lookahead, right)


def check_drafting(tree: TokenTree, lookahead: int, rows: int) -> None:
    """Refuse drafts of more tokens than a run can hold in all rows together."""
    nodes = min(tree.nodes(lookahead), MOST_NODES)  # else the tree's own check names its option
    most = MOST_DRAFTED // (nodes + 1)
    right = f"needs at most {most} sequences at a time, with {nodes} tokens drafted for each"
    require(rows <= most, "batch", rows, right)


def check_lanes(option: str, copies: int, least: int = 1) -> None:
    """Refuse more copies of a model than a run can hold workers for."""
    right = f"needs a number from {least} to {MOST_LANES}"
    require(least <= copies <= MOST_LANES, option, copies, right)
