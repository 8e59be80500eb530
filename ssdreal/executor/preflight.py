"""Checks of a real run before any weights are read: context, memory, vocabulary."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ssdreal.executor.pair import Alone, Pair
from ssdreal.executor.request import Request
from ssdreal.executor.self_drafting import check_layers
from ssdreal.executor.setup import Setup
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import BYTES, Description, describe, shared_vocabulary
from ssdreal.models.folders import find_folder, is_local
from ssdreal.models.random_weights import shape_file
from ssdreal.models.shared_tokens import check_tokens
from ssdreal.models.tensors import check_weights
from ssdreal.places.places import Role
from ssdsim.engine.preflight import check_admission
from ssdsim.errors import ConfigError, require
from ssdsim.kinds import short_name
from ssdsim.trees.chain import Chain

PROCESS_BYTES = 600 << 20
"""What Python and torch take in a worker, before any weights."""

Models = tuple[Description, ...]
"""Target and draft; the target alone where it drafts for itself."""


def check_pair(pair: Pair, dtype: str) -> Models:
    """Return what is known of target and draft, of whose vocabularies only what both have counts.

    Raises
    ------
    ConfigError
        A model is unknown or alone has weights, the target cannot be sharded so, or their ids mean
        different tokens.

    """
    target = _described("pair.target", pair.target, dtype, pair.tp)
    if isinstance(pair, Alone):
        return (target,)
    draft = _described("pair.draft", pair.draft, dtype)
    alike = bool(shape_file(pair.target)) == bool(shape_file(pair.draft))
    right = "needs weights or none as the target does: with random ones its tokens mean nothing"
    require(alike, "pair.draft", pair.draft, right)
    check_tokens(target, draft)
    vocabulary = shared_vocabulary(*pair.models)
    return tuple(
        replace(model, vocabulary=vocabulary, rows=min(model.rows, vocabulary))
        for model in (target, draft)
    )


def _described(option: str, name: str, dtype: str, ranks: int = 1) -> Description:
    try:
        described = describe(name, dtype, ranks)
        if is_local(name) and not shape_file(name):
            check_weights(name, find_folder(name))
    except ConfigError as error:
        raise ConfigError(re.sub("^model=", f"{option}=", str(error))) from error
    return described


def check_room(
    request: Request, models: Models, tasks: Sequence[Task] = (), loaded: bool = False
) -> None:
    """Refuse prompts, outputs and batches that do not fit context or memory.

    Parameters
    ----------
    request, models
        What is asked for, and of which models.
    tasks
        The prompts. Before they are known, what is impossible with any can be refused already.
    loaded
        Whether the models are in memory.

    Raises
    ------
    ConfigError
        Naming the prompt or the option that is too large.

    """
    setup = request.setup
    check_layers(setup.skipped, models[0])
    _check_slow(request, models)
    _check_context(setup, models, tasks)
    chains = isinstance(setup.tree, Chain) or request.pair.tp == 1
    right = f"needs tree=chain with pair.tp={request.pair.tp}: a sharded target verifies chains"
    require(chains, "tree", type(setup.tree).__name__.lower(), right)
    rows, widest = models[-1].rows, setup.tree.most_children(setup.drafted)
    right = f"needs at most the {rows} tokens that the draft knows"
    require(widest <= rows, "tree: children of a node", widest, right)
    setup.branches()  # the policy may not fit the lookahead
    prompts = [len(task.tokens) for task in tasks] or [1]
    requests = setup.workload.requests(setup.seed)
    check_admission(setup.serving, setup.load, prompts, requests)
    if request.topology.places(None).target.device == "cpu":
        _check_memory(request, models, tasks, loaded)


def context(models: Models) -> int:
    """Return the positions that all models can handle."""
    return min(model.context for model in models)


def reach(lookahead: int) -> int:
    """Return how many positions behind a sequence's last token passes may still look at.

    K drafted tokens are verified there; a tree, or the junk that fills up a row of a pass, begins
    behind those and takes K more.
    """
    return 2 * max(lookahead, 1)


def _check_context(setup: Setup, models: Models, tasks: Sequence[Task]) -> None:
    positions = context(models)
    behind, nodes = reach(setup.lookahead), setup.tree.nodes(setup.drafted)
    asked = setup.workload.longest_output
    right = f"needs 2 K + 2 <= the models' context of {positions}"
    require(behind + 2 <= positions, "lookahead", setup.lookahead, right)
    right = f"has {nodes} nodes, the models' context of {positions} has room for {positions - 2}"
    require(nodes + 2 <= positions, "tree", type(setup.tree).__name__.lower(), right)
    behind = max(behind, nodes)
    room = positions - behind - 1
    right = f"the models' context of {positions} has room for {room}"
    require(asked <= room, "workload.output_tokens", asked, right)
    for task in tasks:
        length = len(task.tokens)
        right = f"its tokenizer gives ids up to {max(task.tokens, default=0)}, the target has only "
        known = max(task.tokens, default=0) < models[0].vocabulary
        require(known, "prompts", task.name, f"{right}{models[0].vocabulary}")
        right = f"has {length} tokens, the models' context is {positions}"
        require(0 < length < positions, "prompts", task.name, right)
        room = positions - behind - length
        right = f"beside the {length} tokens of prompt {task.name!r} the context has room for "
        require(asked <= room, "workload.output_tokens", asked, f"{right}{max(room, 0)}")


def _check_slow(request: Request, models: Models) -> None:
    """Refuse what models do not do that run by transformers' layers."""
    slow = ", ".join(model.name for model in models if not model.fast)
    places = request.topology.places(None)
    right = f"must be on a host: {slow} runs by transformers' layers"
    for device in (places.target.device, places.draft.device):
        require(not slow or device == "cpu", "topology: device", device, right)
    right = f"needs a Llama, Mistral, Qwen2 or Qwen3 model, {slow} runs by transformers' layers"
    skips = request.setup.skipped is not None
    require(not slow or not skips, "method", "self_speculative", right)
    speaks = request.setup.exit is not None
    require(models[0].fast or not speaks, "method.exit", request.setup.method.exit, right)
    right = f"needs 1 with pair.tp={request.pair.tp}: a sharded target does not speak in mid-verify"
    alone = request.pair.tp == 1 or not speaks
    require(alone, "method.exit", request.setup.method.exit, right)
    tree = request.setup.tree
    right = "needs tree=chain with method=two_phase: on a GPU a target speaks amid chains alone"
    fine = isinstance(tree, Chain) or not speaks or places.target.device == "cpu"
    require(fine, "tree", short_name(type(tree)), right)


def _check_memory(request: Request, models: Models, tasks: Sequence[Task], loaded: bool) -> None:
    setup, free = request.setup, _free_memory()
    roles: tuple[Role, Role] = ("target", "draft")
    parts = list(zip(roles, (request.pair.tp, 1), models, strict=False))
    weights = 0 if loaded else sum(n * (model.bytes + PROCESS_BYTES) for _, n, model in parts)
    pair = ", ".join(model.name for model in models)
    require(weights <= free, "pair", pair, _memory(weights, free))
    longest = max((len(task.tokens) for task in tasks), default=1)
    pages = setup.pages(models[-1].rows)
    needed = weights + (0 if pages is None else pages.bytes)
    for role, n, model in parts:
        entry = n * 2 * model.layers * model.kv_heads * model.head_dim * BYTES[request.dtype]
        needed += setup.slots * setup.capacity(role, longest) * entry
    require(needed <= free, *_asked_at_once(setup), _memory(needed, free))


def _asked_at_once(setup: Setup) -> tuple[str, int]:
    """Return the option that says how many sequences are decoded at a time, and its value."""
    return setup.serving.limited_by, setup.serving.slots(setup.load)


def _memory(needed: int, free: int) -> str:
    return f"needs about {needed >> 20} MB of memory, {free >> 20} MB are free"


def _free_memory() -> int:
    """Return the bytes that processes may still take, on this machine and in this container."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return 1 << 62
    lines = dict(line.split(":") for line in info.read_text().splitlines())
    return min(int(lines["MemAvailable"].split()[0]) * 1024, _left_in_container())


def _left_in_container(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return what a control group's limit leaves; what only caches files can be taken back."""
    try:
        limit, used = (int((root / f"memory.{name}").read_text()) for name in ("max", "current"))
        statistics = dict(line.split() for line in (root / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # there is no limit, or it says "max"
        return 1 << 62
    return limit - used + int(statistics.get("inactive_file", 0))
