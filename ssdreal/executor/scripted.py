"""Scripted runs, whose outcomes come from an acceptance source: checks, and random prompts."""

from collections.abc import Iterator

from ssdreal.executor.setup import Setup
from ssdreal.executor.workload import Task
from ssdreal.models.random_weights import shape_file
from ssdsim.command.applicable import acceptance_rules
from ssdsim.command.applicable_serving import Rule
from ssdsim.engine.padding import prompt_lengths
from ssdsim.engine.preflight import check_lengths
from ssdsim.errors import require
from ssdsim.sampling.streams import stream
from ssdsim.trees.chain import Chain


def is_scripted(*models: str) -> bool:
    """Whether models of these names are shapes, so that their tokens would mean nothing."""
    return any(map(shape_file, models))


def check(setup: Setup, scripted: bool) -> None:
    """Refuse an acceptance source for a pair with weights, and a scripted pair without one.

    Raises
    ------
    ConfigError
        Naming the option; also where a scripted run's options do not fit its source.

    """
    name = type(setup.acceptance).__name__.lower()
    right = "has no effect: both models have weights, so what is accepted is measured"
    require(scripted or setup.acceptance is None, "acceptance", name, right)
    if not scripted:
        return
    right = "a pair without weights needs a source that says what is accepted: acceptance=NAME"
    source = setup.source()
    require(source is not None, "acceptance", None, right)
    assert source is not None
    found = getattr(setup.acceptance, "found", 1.0)
    require(found == 1, "acceptance.found", found, "must be 1: a real draft always has a draft")
    right = "needs weights: they tell which layers to leave out"
    require(setup.skipped is None, "method", "self_speculative", right)
    right = "needs tree=chain: what becomes of a tree's nodes is not scripted"
    tree = type(setup.tree).__name__.lower()
    require(isinstance(setup.tree, Chain) or not setup.drafted, "tree", tree, right)
    right = "goes by its draft's confidences, which mean nothing where weights are random"
    require(not setup.control.needs, "length", type(setup.length).__name__.lower(), right)
    right = "reads the text, which means nothing where weights are random"
    lookup = type(setup.drafter).__name__.lower()
    require(setup.lookup is None, "drafter", lookup, right)
    reads = "backup" in setup.method.uses and setup.backup.needs_tokens
    require(not reads, "backup", type(setup.backup).__name__.lower(), right)
    setup.method.check(setup.decoding, source)
    check_lengths(setup.workload.prompts, setup.workload.longest_output, source)


def rules(setup: Setup) -> Iterator[Rule]:
    """Tell which options have an effect beside the acceptance source, or beside none."""
    source = setup.source()
    if source is None or setup.acceptance is None:
        why = "prompts are as long as their file has them"
        for option in ("workload.prompt_tokens", "workload.correlation"):
            yield option, False, why
        return
    for option in ("prompts", "texts", "workload.stop_at_end"):
        yield option, False, "the tokens of a pair without weights mean nothing"
    why = "the acceptance source brings prompts of its own"
    yield "workload.prompt_tokens", source.vocabulary is None, why
    why = f"acceptance={type(setup.acceptance).__name__.lower()} does not depend on it"
    yield "saguaro", "saguaro" in setup.acceptance.uses, why
    yield from acceptance_rules(setup.acceptance, setup.decoding)


def prompts(setup: Setup, vocabulary: int) -> list[Task]:
    """Return random token ids, each as many as the source's prompt has, or the workload says.

    Raises
    ------
    ConfigError
        The source names token ids that the pair lacks.

    """
    source, rng = setup.source(), stream(setup.seed, "prompts")
    assert source is not None
    right = f"needs token ids below the pair's {vocabulary}, has {source.vocabulary}"
    fits = (source.vocabulary or 0) <= vocabulary
    require(fits, "acceptance", type(setup.acceptance).__name__.lower(), right)
    sizes = prompt_lengths(setup.workload, setup.seed, source)
    require(min(sizes) > 0, "workload.prompt_tokens", min(sizes), "needs a number >= 1")
    return [
        Task(f"random ids {seq}", "random ids", rng.integers(vocabulary, size=size).tolist())
        for seq, size in enumerate(sizes)
    ]
