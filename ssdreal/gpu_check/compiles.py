"""Which functions the check's commands compile, and for which shapes; asked without torch.

What is compiled is written in `ssdreal.static` and `ssdreal.models.device_layers`; a test holds
this list to it.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from ssdreal.channel.pass_shapes import branch_widths, draft_widths, roomy
from ssdreal.command.config import request_from
from ssdreal.executor.pair import Pair
from ssdreal.executor.scripted import prompts
from ssdreal.executor.setup import Setup
from ssdreal.executor.sitting import Sitting
from ssdreal.gpu_check.decoding import composed, options
from ssdreal.gpu_check.timetable import Shape
from ssdreal.models.catalog import shared_vocabulary
from ssdreal.places.topology import OneGpu
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdreal.profile.options import profile_options
from ssdreal.profile.scripted_pair import SHORT, random_tasks

ELSEWHERE = {"topology", "split", "passes", "pair.tp"}
"""Options that this machine may not have, and that change no shape."""


class Planned(NamedTuple):
    """A run before it is made.

    Attributes
    ----------
    setup, pair, dtype
        Its settings and its models.
    longest
        Tokens of its longest prompt.

    """

    setup: Setup
    pair: Pair
    dtype: str
    longest: int


def shapes(runs: Iterable[Planned]) -> frozenset[Shape]:
    """Return what runs compile together."""
    return frozenset(shape for run in runs for shape in _shapes(run))


def decoding_runs(methods: Sequence[str], words: Sequence[str]) -> list[Planned]:
    """Return the runs of `ssdreal.gpu_check.decoding` with these methods and options."""
    return [planned(options(method, words)) for method in methods]


def profile_runs(words: Sequence[str]) -> list[Planned]:
    """Return the runs of `ssdreal.profile` with these arguments."""
    found = []
    for asked in profile_options(list(words)):
        short, long = random_tasks(asked.models, asked.room)
        topology = OneGpu(asked.share)
        sitting = Sitting(asked.models, asked.dtype)  # nothing is loaded before it is asked
        made = sitting, topology, short, long, asked.visit_tokens, asked.script
        calibration = CalibrationRuns(*made)
        for number, visit in enumerate(asked.visits(calibration)):
            longest = max(len(task.tokens) for task in calibration.tasks(visit, number))
            setup = calibration.setup(visit, number)
            found.append(Planned(setup, asked.models, asked.dtype, longest))
    return found


def planned(words: Sequence[str]) -> Planned:
    """Return the run that options ask for, wherever it is to be made; groups are registered."""
    return _planned(tuple(word for word in words if word.partition("=")[0] not in ELSEWHERE))


@cache
def _planned(here: tuple[str, ...]) -> Planned:
    config, _ = composed([*here, "topology=cpu"])
    request = request_from(config, [word.partition("=")[0] for word in here])
    setup, pair = request.setup, request.pair
    longest = SHORT  # of real prompts, which a tokenizer would have to be loaded for
    if setup.acceptance:
        tasks = prompts(setup, shared_vocabulary(*pair.models))
        longest = max(len(task.tokens) for task in tasks)
    return Planned(setup, pair, request.dtype, longest)


def _shapes(run: Planned) -> Iterator[Shape]:
    setup, pair, _, longest = run
    slots, width = setup.slots, setup.pass_width
    yield from _passes(pair.target, slots, {width}, setup.capacity("target", longest))
    yield from _verifying(setup, pair)
    if setup.draft_on is None:
        return
    branches = setup.branches()[0] if "policy" in setup.method.uses else 0
    widths = draft_widths(setup.drafted, branches)
    yield from _passes(pair.draft, slots, widths, setup.capacity("draft", longest))
    yield from _drafting(setup, pair, branches)


def _passes(model: str, slots: int, widths: set[int], capacity: int) -> Iterator[Shape]:
    for width in widths:
        yield "through", model, slots, width, roomy(capacity)
        yield "begun", model, slots, width
        yield "ended", model, slots, width


def _drafting(setup: Setup, pair: Pair, branches: int) -> Iterator[Shape]:
    decoding, slots = setup.decoding, setup.slots
    sampled = ("drawn", "uniforms") if decoding.needs_probabilities else ("chosen",)
    chosen = {1, *branch_widths(branches)}
    yield from ((name, pair.draft, slots, width, decoding) for name in sampled for width in chosen)
    if branches:
        yield "ranked", pair.draft, slots, setup.drafted + 1, decoding
    if decoding.perturbed:
        yield "gumbel", pair.draft, slots


def _verifying(setup: Setup, pair: Pair) -> Iterator[Shape]:
    decoding, slots, width = setup.decoding, setup.slots, setup.pass_width
    if setup.exit is not None and setup.exit.tokens:
        yield "ranked", pair.target, slots, width, decoding
    if decoding.perturbed:
        yield "gumbel", pair.target, slots
    if decoding.needs_probabilities:
        yield "probabilities", pair.target, slots, width, decoding
        yield from (("uniforms", role, slots, width) for role in ("accept", "last"))
        yield from ((name, pair.target, slots, width) for name in ("tested", "settled"))
