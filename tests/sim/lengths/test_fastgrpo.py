"""FastGRPO (2025): rollouts whose live batch shrinks, `length=concurrency`, a draft that learns."""

from functools import cache, partial

import numpy as np
import pytest
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.online import Online
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.latency.roofline import Roofline
from ssdsim.lengths.concurrency import Concurrency
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.trees.chain import Chain
from ssdsim.trees.confident import Confident
from ssdsim.workloads.closed import Closed

# The draft is of about the size of a layer and a head, and launches next to nothing.
GPU = Machine(Roofline("llama31_8b", "h100"), Roofline("qwen3_0.6b", "h100", launch_overhead=0.0))
BATCH, STEPS = 64, 4


# The length


@pytest.mark.parametrize(
    ("rows", "length"),
    [(1, 7), (2, 6), (4, 5), (20, 2), (64, 1), (65, 0), (128, 0), (300, 0)],
)
def test_a_row_has_its_share_of_what_the_target_verifies_at_once(rows, length):
    # N = 128, 64, 32, 6.4, 2, ...; log2: 7, 6, 5, 2, 1; and at most N - 1.
    assert Concurrency(peak=128).start(20).limit(rows, len) == length


def test_depth_is_capped_by_the_lookahead_and_scaled():
    assert Concurrency(peak=128).start(3).limit(1, len) == 3
    assert Concurrency(peak=128, scale=4.0).start(20).limit(1, len) == 5
    assert Concurrency(peak=4, scale=0.01).start(20).limit(1, len) == 3  # N - 1


def test_the_length_grows_as_the_batch_shrinks():
    run = simulate(
        Setup(
            Speculative(), Iid(), machine(), Closed(16, 0, 200, output_spread=0.7), lookahead=9,
            batch=16, length=Concurrency(64),
        )
    )  # fmt: skip
    live = run.rounds.groupby("end").size()
    assert set(live) >= {16, 1}
    drafted = run.rounds.groupby("end").drafted.max()
    assert all(drafted == [min(6, 64 // B - 1, int(np.log2(64 / B))) for B in live])


# The workload


def test_output_lengths_are_log_normal_under_the_most():
    lengths = np.array(
        [one.output_tokens for one in Closed(4000, 0, 1000, output_spread=0.5).requests(3)]
    )
    assert lengths.max() == 1000
    assert (lengths == 1000).mean() == pytest.approx(0.0228, abs=0.008)
    assert np.median(lengths) == pytest.approx(1000 * np.exp(-1.0), rel=0.04)
    under = np.log(lengths[lengths < np.median(lengths)] / np.median(lengths))
    assert np.sqrt((under**2).mean()) == pytest.approx(0.5, rel=0.05)
    assert [one.output_tokens for one in Closed(9, 0, 7).requests(0)] == [7] * 9


def test_output_lengths_have_a_stream_of_their_own():
    workload = Closed(5, 0, 40, output_spread=0.5)
    for method in (Speculative(), Ssd()):
        for alpha in (0.2, 0.9):
            run = simulate(Setup(method, Iid(alpha=alpha), machine(), workload, seed=4))
            assert list(run.sequences.tokens) == [one.output_tokens for one in workload.requests(4)]
    assert workload.requests(4) != workload.requests(5)


def test_no_step_begins_before_the_last_one_is_finished():
    workload = Closed(12, 0, 60, output_spread=0.8, steps=3)
    run = simulate(Setup(Speculative(), Iid(), machine(), workload, batch=4))
    steps = run.sequences.groupby(run.sequences.seq // 4)
    assert (steps.admitted.nunique() == 1).all()
    assert list(steps.admitted.min())[1:] == list(steps.finish.max())[:-1]
    open_ended = simulate(
        Setup(Speculative(), Iid(), machine(), Closed(12, 0, 60, output_spread=0.8), batch=4)
    )
    assert open_ended.sequences.finish.max() < run.sequences.finish.max()


def test_a_workload_of_more_steps_than_prompts_is_refused():
    with pytest.raises(ConfigError, match=r"workload.steps=3: needs at most .* prompts, 2"):
        Closed(2, steps=3)


def test_acceptance_rises_from_step_to_step():
    source = Online(alpha=0.9, first=0.5, rate=0.5, group=10)
    assert [source.at(step) for step in range(4)] == pytest.approx([0.5, 0.7, 0.8, 0.85])
    run = simulate(Setup(Speculative(), source, machine(), Closed(40, 0, 400), lookahead=1))
    steps = run.rounds.groupby(run.rounds.seq // 10).accepted.mean()
    assert list(steps) == pytest.approx([0.5, 0.7, 0.8, 0.85], abs=0.03)


# The published ablations: 2.52x in full, 2.30 without concurrency awareness, 2.01 without online
# learning; a fixed EAGLE-3 draft 1.1 to 1.3


@cache
def seconds(method=Speculative(), length=Concurrency(), rate=0.5, tree=Chain(), lookahead=8,
            batch=BATCH, machine=GPU):  # fmt: skip
    acceptance = Online(alpha=0.85, first=0.6, rate=rate, group=batch)
    rollouts = Closed(batch * STEPS, 256, 512, output_spread=0.7, steps=STEPS)
    setup = Setup(
        method, acceptance, machine, rollouts, lookahead=lookahead, batch=batch, length=length,
        tree=tree,
    )  # fmt: skip
    return simulate(setup).sequences.finish.max()


def test_the_ablations_of_chains_are_in_the_published_order():
    full = seconds()
    unaware, unlearning = seconds(length=Fixed()), seconds(rate=0.0)
    neither, alone = seconds(length=Fixed(), rate=0.0), seconds(Autoregressive(), Fixed())
    assert full < unaware < unlearning < neither < alone
    assert alone / neither < 1.3
    assert alone / full > 1.15 * alone / unlearning


@pytest.mark.slow
def test_with_trees_they_are_in_that_order_and_larger():
    # EAGLE's draft of one layer, 32 rollouts. Its own tree of 60 nodes is far too wide for them:
    # the published 1.1 to 1.3. Who does not look at the batch can do no better than choose one
    # tree for all: here the best of several sizes.
    eagle = Roofline("vicuna_7b_eagle", "h100", launch_overhead=0.0)
    took = partial(seconds, batch=32, machine=Machine(GPU.target, eagle))
    small = [(4, 3), (8, 4), (12, 5), (16, 5)]
    alone = took(Autoregressive(), Fixed())
    full, unlearning = took(tree=Confident()), took(tree=Confident(), rate=0.0)
    unaware = min(
        took(tree=Confident(4, 4, most), lookahead=depth, length=Fixed()) for most, depth in small
    )
    fixed = took(tree=Confident(), length=Fixed(), rate=0.0)
    assert full < unaware < unlearning < fixed < alone
    assert alone / full == pytest.approx(2.17, abs=0.02)  # published: 2.52
    assert alone / unlearning == pytest.approx(1.94, abs=0.02)  # 2.01
    assert 1.1 < alone / fixed < 1.3
    assert full < took()  # a chain
    assert took(tree=Confident(), length=Fixed()) > 1.1 * full
