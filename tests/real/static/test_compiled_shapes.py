"""How often a GPU would have to compile: once for each shape that reaches a fused function."""

from dataclasses import replace
from functools import partial

import pytest
from compiled_shapes import Shapes
from device_models import both
from inline_crew import decode
from static_servers import KINDS, NAMES, THREE, turn
from tiny_runs import POLICIES, SSDS, TWICE, prompts

from ssdreal.channel.pass_shapes import branch_widths, draft_widths
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.methods.speculative import Speculative
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed


def captured(work):
    """Do the work as a graph's capture does, whether or not it is ever replayed."""
    work()
    return work


SERVERS = [partial(kind, capturing=lambda: captured) for kind in KINDS]


def shapes_of(setups, drafts=True):
    """Return the shapes that some runs need in one sitting."""
    shapes = Shapes()
    models = [shapes.model(both(name)[1], name) for name in ("tiny_target", "tiny_draft")]
    with shapes.watching():
        for setup in setups:
            decode(setup, models[0], models[1] if drafts else None, prompts(), servers=SERVERS)
    return shapes


@pytest.mark.parametrize("tree", [Widths((2, 2)), Confident(2, 3, 6), Widths((2, 1), "sampled")])
def test_trees_come_to_an_end(tree):
    decoding = THREE[2] if tree.sampled else THREE[0]
    setup = replace(
        turn(SSDS[0], decoding, 2), tree=tree, lookahead=3, workload=Closed(2, output_tokens=12)
    )
    counts = shapes_of([setup]).counts
    assert counts["through"] == 2  # texts are read by each model in passes of one width
    assert sum(counts.values()) == 6


def test_a_target_that_drafts_for_itself_compiles_its_verifies_alone():
    method = SelfSpeculative(skipped_attention=(1,), skipped_mlp=(1,))
    setups = [turn(method, THREE[0], at) for at in (0, 1)]
    counts = shapes_of(setups, drafts=False).counts
    assert counts == {"begun": 1, "ended": 1, "through": 1}


def checklist():
    """Return the sittings that a GPU is asked for first: K=4, AR, SD and SSD, a tiny pair's too."""
    methods = Autoregressive(), Speculative(), SSDS[0]
    setups = [
        replace(
            turn(method, THREE[0], 0),
            workload=Closed(2, output_tokens=6),
            policy=POLICIES["uniform_fanout"],
        )
        for method in methods
    ]
    return [*setups, replace(setups[0], width=setups[2].pass_width)]


def test_a_target_that_speaks_compiles_a_ranking_more():
    setup = replace(checklist()[2], method=TWICE[0])
    plain, speaking = (shapes_of([one]).counts for one in (checklist()[2], setup))
    assert speaking == plain | {"ranked": plain["ranked"] + 1}


def test_the_first_runs_on_a_gpu_compile_few_shapes():
    counts = shapes_of(checklist()).counts
    # The target reads one token and K + 1, the draft also a column a branch.
    assert counts["through"] == counts["begun"] == counts["ended"] == 2 + 3
    assert sum(counts.values()) <= 20  # a pair: the tiny one, and the one of true sizes


@pytest.mark.parametrize("at", [1, 2], ids=NAMES[1:])
def test_so_do_they_where_there_is_chance(at):
    setups = [replace(setup, decoding=THREE[at]) for setup in checklist()]
    assert shapes_of(setups).total <= (22, 30)[at - 1]


@pytest.mark.parametrize(
    ("branches", "widths"),
    [(0, []), (1, [8]), (12, [16]), (16, [16]), (17, [16, 24]), (64, [16, 64])],
)
def test_two_widths_do_for_any_number_of_branches(branches, widths):
    assert branch_widths(branches) == widths
    assert draft_widths(4, branches) == {1, 5, *widths}


def test_longer_texts_share_what_is_compiled():
    one, other = (
        replace(turn(SSDS[0], THREE[0], 0), workload=Closed(1, output_tokens=n)) for n in (6, 70)
    )
    assert one.capacity("draft", 11) != other.capacity("draft", 11)
    assert shapes_of([one, other]).counts == shapes_of([one]).counts
