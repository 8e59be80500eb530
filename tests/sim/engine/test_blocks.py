"""A draft that makes a block of tokens a pass: worked timelines, and its limits."""

from dataclasses import replace

import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim import Setup, expect, simulate
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.errors import ConfigError
from ssdsim.latency.roofline import Roofline
from ssdsim.lengths.confidence import Confidence
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

ONE = UniformFanout(fanout=1, budget=99)
EVER = ((9, 0),)


def drafting(block, **passes):
    made = machine(**passes)
    return replace(made, draft=replace(made.draft, block=block))


def test_a_chain_takes_as_many_passes_as_it_has_blocks():
    for lookahead, passes in ((1, 1), (4, 1), (5, 2), (8, 2), (9, 3)):
        run = decode(
            Speculative(), EVER, tokens=lookahead + 1, lookahead=lookahead, machine=drafting(4)
        )
        assert rounds(run, "drafted", "end") == near([(lookahead, 1 + 0.2 * passes)])
        assert spans(run, "speculate", "tokens") == [(lookahead,)]


def test_a_branch_costs_a_pass_however_long_it_is():
    ends = {}
    for block in (1, 6):
        slow = drafting(block, step=0.2, tree=0.5, glue=0.1)
        run = decode(Ssd(), EVER, tokens=21, lookahead=6, machine=slow, policy=ONE)
        ends[block] = rounds(run, "hit", "start", "end")
    # Six passes of .5 behind the glue take longer than the verify, one pass does not.
    assert ends[1][:2] == near([(None, 0, 2.2), (True, 2.2, 5.3)])
    assert ends[6] == near([(None, 0, 1.2), (True, 1.2, 2.2), (True, 2.2, 3.2)])


def test_a_branch_that_is_cut_ends_with_the_block_under_way():
    # Blocks of two tokens, .6 each: two have begun when the verify ends.
    slow = drafting(2, tree=0.6)
    run = decode(Ssd("truncate"), EVER, tokens=13, lookahead=6, machine=slow, policy=ONE)
    assert rounds(run, "drafted", "start", "end")[:2] == near([(6, 0, 1.6), (4, 1.6, 2.8)])
    assert spans(run, "prespeculate", "start", "end", "tokens")[0] == near([(0.6, 1.8, 28)])[0]


def test_losing_branches_are_dropped_between_blocks():
    for block, end, tokens in ((3, 1.8, 2 * 7 * 3), (2, 2.7, 2 * 7 * 2 + 2)):
        # Two blocks of all 7 branches have begun when the verify ends; only the winner has a third.
        slow = drafting(block, tree=0.7)
        run = decode(Ssd("prune"), EVER, tokens=14, lookahead=6, machine=slow, policy=ONE)
        first = 6 / block * 0.2
        assert spans(run, "prespeculate", "start", "end", "tokens")[0] == (
            *near([(first, end)])[0],
            tokens,
        )


@pytest.mark.parametrize("method", [Speculative(), Minedraft(), *map(Ssd, ("wait", "prune"))])
def test_a_block_of_one_is_a_chain_and_acceptance_is_the_same_at_any(method):
    setup = Setup(
        method,
        ByDepth((0.9, 0.8, 0.7)),
        drafting(1, step=0.1),
        Closed(4, 4, 60),
        ONE,
        lookahead=5,
        batch=2,
    )
    chain = replace(setup, machine=machine(step=0.1))
    assert simulate(setup).tables == simulate(chain).tables
    columns = ["seq", "round", "accepted"]
    one, five = (
        simulate(replace(setup, machine=drafting(block, step=0.1))).rounds.sort_values(columns)
        for block in (1, 5)
    )
    assert one[columns].to_numpy().tolist() == five[columns].to_numpy().tolist()
    assert five.end.max() < one.end.max()


def test_a_pass_computes_all_tokens_of_its_blocks():
    draft = Roofline("qwen3_0.6b", "h100", block=8)
    wide = replace(machine(), draft=draft)
    run = decode(Speculative("own"), EVER, tokens=9, lookahead=8, batch=1, machine=wide)
    ((start, end),) = spans(run, "speculate", "start", "end")
    seconds = draft.seconds("step", 1, 8, 8) + draft.seconds("fill", 1, 1, 8)
    assert end - start == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"method": Pearl()}, "method=pearl goes on with a token at a time"),
        ({"method": Amusd()}, "method=amusd goes on with a token at a time"),
        (
            {"length": Confidence(), "acceptance": LanguageModel()},
            "length=confidence ends a chain at a token",
        ),
        ({"tree": Widths((2,))}, "tree=widths is no chain"),
    ],
)
def test_what_needs_a_token_a_pass_is_refused(other, says):
    setup = Setup(Speculative(), ByDepth(), drafting(4), lookahead=4)
    with pytest.raises(ConfigError, match=f"latency.draft.block=4: needs 1, a block .*: {says}"):
        simulate(replace(setup, **other))
    with pytest.raises(ConfigError, match=r"latency\.draft\.block: the exact expectation"):
        expect(setup)
