"""What is checked before any weights are read, so that no run dies half way."""

from collections.abc import Sequence
from pathlib import Path

from ssdreal.config import Pair, Request
from ssdreal.execution import Setup, Task
from ssdreal.models import Description, describe
from ssdreal.pages import TREES
from ssdsim.errors import require

PROCESS_BYTES = 600 << 20
"""What Python and torch take in a worker, before any weights."""


def check_pair(pair: Pair, dtype: str) -> tuple[Description, Description]:
    """Return what is known of target and draft.

    Raises
    ------
    ConfigError
        A model is unknown, or the two do not share a vocabulary.

    """
    target, draft = describe(pair.target, dtype), describe(pair.draft, dtype)
    right = f"needs the target's vocabulary of {target.vocabulary}, has {draft.vocabulary}"
    require(target.vocabulary == draft.vocabulary, "pair.draft", pair.draft, right)
    return target, draft


def check_room(
    request: Request, models: tuple[Description, Description], tasks: Sequence[Task]
) -> None:
    """Refuse prompts, outputs and batches that do not fit context or memory.

    Raises
    ------
    ConfigError
        Naming the prompt or the option that is too large.

    """
    setup = request.setup
    _check_context(setup, min(model.context for model in models), tasks)
    longest = max(len(task.tokens) for task in tasks)
    needed = sum(model.bytes + PROCESS_BYTES for model in models)
    for role, model in zip(("target", "draft"), models, strict=True):
        entry = 2 * model.layers * model.kv_heads * model.head_dim * _bytes(request.dtype)
        needed += setup.slots * setup.capacity(role, longest) * entry
    needed += _pages(setup, models[1])
    if request.topology.places(None).target.device == "cpu":
        free = _free_memory()
        right = f"needs about {needed >> 20} MB of memory, {free >> 20} MB are free"
        require(needed <= free, "batch", setup.batch, right)


def _check_context(setup: Setup, context: int, tasks: Sequence[Task]) -> None:
    drafts = setup.drafted + 1
    require(drafts <= context, "lookahead", setup.lookahead, f"needs K + 1 <= context {context}")
    for task in tasks:
        length = len(task.tokens)
        right = f"{task.name!r} has {length} tokens, the models' context is {context}"
        require(0 < length < context, "prompts", task.name, right)
        room = context - length - drafts
        right = f"with the {length} tokens of prompt {task.name!r} only {room} fit the context"
        asked = setup.workload.output_tokens
        require(asked <= room, "workload.output_tokens", asked, right)


def _pages(setup: Setup, draft: Description) -> int:
    """Return the bytes of the shared probabilities; a head covers the vocabulary at most."""
    if not setup.decoding.needs_probabilities:
        return 0
    rows = (TREES + 1) * setup.slots * setup.branches()[0] * setup.drafted
    return 4 * rows * draft.vocabulary


def _bytes(dtype: str) -> int:
    return 4 if dtype == "float32" else 2


def _free_memory() -> int:
    """Return the bytes that processes may still take."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return 1 << 62
    lines = dict(line.split(":") for line in info.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024
