"""Checks of a `Setup` before it runs, so that a run is refused early rather than fails late."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING, Protocol

from ssdsim.acceptance.base import Source
from ssdsim.cuts.all import All
from ssdsim.drafters.base import Drafter, Lookup
from ssdsim.engine.padding import padded, prompt_lengths
from ssdsim.errors import ConfigError, require
from ssdsim.kinds import short_name
from ssdsim.latency.base import Latency, Pass
from ssdsim.latency.machine import Slowdown
from ssdsim.lengths.base import Length
from ssdsim.methods.base import Method
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.base import Policy
from ssdsim.sampling.streams import stream
from ssdsim.serving.base import Load, Serving
from ssdsim.serving.slots import Slots
from ssdsim.trees.base import Levels, TokenTree, halving, parents_of
from ssdsim.trees.chain import Chain
from ssdsim.trees.widths import Widths
from ssdsim.workloads.base import Request

if TYPE_CHECKING:
    from ssdsim.engine.setup import Setup


class Drafting(Protocol):
    """What the settings of every run, simulated or real, say about what is drafted."""

    @property
    def method(self) -> Method:
        """The decoding method."""
        ...

    @property
    def control(self) -> Length:
        """The length control, where the method has use for one."""
        ...

    @property
    def tree(self) -> TokenTree:
        """The tree."""
        ...

    @property
    def drafter(self) -> Drafter:
        """Who drafts, where the method leaves that to choose."""
        ...

    @property
    def lookahead(self) -> int:
        """Its levels."""
        ...


def check_source(setup: "Setup", source: Source) -> None:
    """Refuse a source without what method and backup read, or with fewer tokens than asked for."""
    setup.method.check(setup.sampling, source)
    right = "needs an acceptance source with token ids (recorded, language_model)"
    if setup.lookup:
        known = source.vocabulary is not None
        require(known, "drafter", type(setup.drafter).__name__.lower(), right)
    if "backup" in setup.method.uses and setup.backup.needs_tokens:
        require(source.vocabulary is not None, "backup", type(setup.backup).__name__.lower(), right)
    check_hearing(setup.method, setup.policy)
    check_signal(setup, source)
    _check_cut(setup, source)
    check_lengths(setup.workload.prompts, setup.workload.longest_output, source)


def check_lengths(prompts: int, asked: int, source: Source) -> None:
    """Refuse to decode more tokens of a prompt than the source has."""
    for seq in range(prompts):
        most = source.length(seq)
        right = f"prompt {source.prompt(seq)[0]!r} has only {most} recorded tokens"
        require(most is None or asked <= most, "workload.output_tokens", asked, right)


def check_hearing(method: Method, policy: Policy) -> None:
    """Refuse to predict by what the target says in mid-verify before that begins."""
    name = short_name(type(policy))
    right = "goes by what the target says in mid-verify: needs method=two_phase, "
    right += f"method.second={name}"
    fine = "policy" not in method.uses or not policy.hears_target
    require(fine, "policy", name, right)


def check_signal(setup: "Setup", source: Source) -> None:
    """Refuse a source without what the length control reads of drafted tokens."""
    needs = setup.control.needs
    if needs:
        drafted = source.text(0).speculate(1, "primary")
        right = f"needs an acceptance source that knows the {needs} of drafted tokens "
        right += "(recorded from an acceptance trace, language_model)"
        require(bool(getattr(drafted, needs)), "length", type(setup.length).__name__.lower(), right)


def _check_cut(setup: "Setup", source: Source) -> None:
    """Refuse to cut what has no order of levels, or by what a source does not know."""
    if isinstance(setup.cut, All) or not setup.lookahead:
        return
    name = type(setup.verify).__name__.lower()
    right = f"verify={name} cuts levels that are always the same: needs tree=chain or widths"
    require(
        isinstance(setup.tree, Chain | Widths), "tree", type(setup.tree).__name__.lower(), right
    )
    needs = setup.cut.needs
    drafted = source.text(0).speculate(1, "primary")
    right = "needs an acceptance source that knows the confidences of drafted tokens "
    right += "(recorded from an acceptance trace, language_model)"
    known = needs is None or bool(getattr(drafted, needs))
    require(known, "verify.chances", "confidence", right)


def check_tree(setup: "Setup", source: Source) -> None:
    """Refuse a tree that method, length, lookahead, source or a block's pass cannot draft."""
    check_shape(setup)
    _check_block(setup)
    if not isinstance(setup.tree, Chain) and setup.lookahead:
        setup.tree.speculate(source.text(0), setup.lookahead, "primary")


def _check_block(setup: "Setup") -> None:
    """Refuse what asks a draft that makes a block a pass for less than a chain."""
    name = type(setup.method).__name__.lower()
    length, tree = (type(one).__name__.lower() for one in (setup.control, setup.tree))
    alone = {
        f"method={name} goes on with a token at a time": not setup.method.drafts_ahead,
        f"length={length} ends a chain at a token": setup.control.needs is None,
        f"tree={tree} is no chain": isinstance(setup.tree, Chain),
    }
    for why, fine in alone.items():
        right = f"needs 1, a block is drafted in one pass: {why}"
        require(fine or setup.block == 1, "latency.draft.block", setup.block, right)


def check_drafter(setup: Drafting) -> None:
    """Refuse a lookup for a method that needs a draft model, or for what a lookup cannot draft."""
    method, drafter = setup.method, setup.drafter
    if not isinstance(drafter, Lookup) or method.draft_on is None:
        return
    name, lookup = type(method).__name__.lower(), type(drafter).__name__.lower()
    right = f"method={name} goes on with a draft model: needs drafter=model, or method=speculative"
    require("drafter" in method.uses, "drafter", lookup, f"{right} or ssd")
    right = f"drafter={lookup} runs on the host: there are no drafts to share branches out among"
    require(method.drafts == 1, "method.drafts", method.drafts, right)
    tree = type(setup.tree).__name__.lower()
    right = f"drafter={lookup} finds chains alone: needs tree=chain"
    require(isinstance(setup.tree, Chain), "tree", tree, right)
    length = type(setup.control).__name__.lower()
    right = f"goes by the {setup.control.needs} of drafted tokens, drafter={lookup} has none"
    require(setup.control.needs is None, "length", length, right)


def check_shape(setup: Drafting) -> None:
    """Refuse a tree that method, length or lookahead cannot draft, whatever it is grown from."""
    tree = setup.tree
    if isinstance(tree, Chain) or not setup.lookahead:
        return
    name, shape = type(setup.method).__name__.lower(), type(tree).__name__.lower()
    right = f"method={name} drafts chains alone: needs tree=chain"
    require("tree" in setup.method.uses, "tree", shape, right)
    length = type(setup.control).__name__.lower()
    right = f"length={length} ends a chain at a token: needs tree=chain"
    require(setup.control.needs is None, "tree", shape, right)
    right = "an early view of the target is one of a chain: needs tree=chain, or another second"
    require(not setup.method.hears_target, "tree", shape, right)
    tree.check(setup.lookahead)
    setup.control.start(setup.lookahead).within(tree)


def check_pool(setup: "Setup") -> None:
    """Refuse a pool of drafts for what goes on drafting unasked, or leaves work unfinished."""
    pool, method, machine = setup.draft_pool, setup.method, setup.machine
    if not pool:
        return
    name = f"method={short_name(type(method))}"
    length = f"length={short_name(type(setup.control))}"
    branches = "policy" in method.uses
    right = "needs 0: "
    wrong = {
        f"{name} has no draft on devices of its own": setup.draft_on != "own" or machine.shared,
        f"{name} goes on drafting unasked": method.drafts_ahead,
        f"{name} leaves branches unfinished": method.stops_branches,
        f"{length} leaves branches unfinished": branches and setup.control.needs is not None,
        "latency.slowdown is of a draft beside its own target": machine.slowdown != Slowdown(),
    }
    for why, holds in wrong.items():
        require(not holds, "draft_pool", pool, right + why)


def check_admission(
    serving: Serving, load: Load, prompts: Sequence[int], requests: Sequence[Request]
) -> None:
    """Refuse requests that could never be admitted, or not in the order that the workload says.

    `prompts` are the tokens of their prompts.
    """
    outputs = [request.output_tokens for request in requests]
    serving.check(load, max(prompts), max(map(sum, zip(prompts, outputs, strict=False))))
    steps = {request.step for request in requests}
    right = "needs 1: serving=continuous admits whoever comes first"
    require(isinstance(serving, Slots) or len(steps) == 1, "workload.steps", len(steps), right)


def check_serving(setup: "Setup", prompts: Sequence[int], requests: Sequence[Request]) -> None:
    """Refuse requests that could never be admitted, and what a method cannot do beside others.

    `prompts` are the tokens of their prompts.
    """
    serving, servers = setup.serving, setup.method.servers
    check_admission(serving, setup.load, prompts, requests)
    name, padding = short_name(type(setup.method)), setup.machine.padding
    wrong = {
        f"each of the {servers} targets of method={name} reads every prompt": servers > 1,
        f"latency.padding={padding} gives every verify the same shape": padding > 0,
    }
    for why, holds in wrong.items():
        fine = not (holds and serving.mixes)
        require(fine, "serving.enable_chunked_prefill", True, f"needs false: {why}")


def check_coverage(setup: "Setup", source: Source) -> None:
    """Ask for the seconds of the smallest and the largest passes that may come."""
    prompts, shape = prompt_lengths(setup.workload, setup.seed, source), padded(setup, source)
    shortest, longest = min(prompts), max(prompts)
    if shape is not None:
        _cover(setup, setup.machine.target, "verify", *shape)
    most = max(1, min(setup.slots, setup.workload.prompts))  # no room at all is refused by itself
    for rows in {1, most}:
        for model, work, tokens in _passes(setup, rows):
            for context in (shortest, longest + setup.workload.longest_output):
                _cover(setup, model, work, rows, tokens, context)
        for prompt in (shortest, longest):
            _cover_prompts(setup, rows, prompt)


def _cover_prompts(setup: "Setup", rows: int, prompt: int) -> None:
    """Ask for the seconds of reading so many prompts, alone and in a verify's pass."""
    budget = setup.serving.budget
    if setup.serving.shares and prompt:  # all but one token may be there already
        for model in _models(setup):
            model.seconds("prefill", 1, 1, prompt)
    for model in _models(setup):
        _cover(setup, model, "prefill", rows, int(min(rows * prompt, max(budget, prompt))), 0)
    if setup.serving.mixes and prompt:
        tokens = int(min(rows * (setup.load.width + prompt), budget))
        _cover(setup, setup.machine.target, "verify", rows, tokens, prompt)


def _cover(
    setup: "Setup", model: Latency, work: Pass, batch: int, tokens: int, context: int
) -> None:
    """Ask for the seconds of a pass; whose they are is said where there are none."""
    try:
        model.seconds(work, batch, tokens, context)
    except ConfigError as error:
        whose = "target" if model is setup.machine.target else "draft"
        raise ConfigError(f"latency.{whose}, {work}: {error}") from error


def _models(setup: "Setup") -> list[Latency]:
    target = setup.machine.target
    return [target] if setup.draft_on is None else [target, setup.draft_latency]


def _passes(setup: "Setup", rows: int) -> Iterator[tuple[Latency, Pass, int]]:
    """Name the passes of a round, with the tokens of the full batch."""
    method, nodes = setup.method, setup.tree.nodes(setup.lookahead)
    width = rows * method.pass_width(nodes, setup.workload.longest_output)
    yield setup.machine.target, "verify", width
    if "lookahead" not in method.uses or not setup.lookahead or setup.draft_on is None:
        return
    most = max(Levels.of(setup.tree, setup.lookahead, setup.block).computed)
    yield setup.draft_latency, "step", rows * min(setup.block, most)
    if not method.drafts_ahead:
        yield setup.draft_latency, "fill", rows
    if most > setup.block:
        yield setup.draft_latency, "tree", rows * most
    if "policy" in method.uses:
        yield setup.draft_latency, "glue", width
        branches = max(_branches(setup), method.roots)
        most *= ceil(rows * branches / method.drafts)
        yield setup.draft_latency, "tree", most


def _branches(setup: "Setup") -> int:
    """Count the outcomes a row is prepared for; 1 where that depends on the times themselves."""
    predictor = setup.policy.start(setup.lookahead, stream(setup.seed, "coverage"))
    if predictor.budget == "verify":
        return 1
    parents = parents_of(setup.tree.grow(setup.lookahead, halving))
    example = Speculation(parents, "primary", truth=Outcome(0, 0))
    return max(1, len(predictor.predict(example, predictor.budget)))
