"""MineDraft: a worked timeline, its closed form, and its bound of twice SD on half a batch."""

from dataclasses import replace
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import decode, machine, near, rounds, spans

from ssdsim import Setup, expect, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.latency.machine import Link, Slowdown
from ssdsim.lengths.concurrency import Concurrency
from ssdsim.lengths.goodput import Goodput
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.speculative import Speculative
from ssdsim.workloads.closed import Closed


def test_one_half_is_verified_while_the_other_is_drafted():
    run = decode(
        Minedraft(), ((2, 0), (0, 0), (9, 0)), ((0, 0), (2, 0), (1, 0)), tokens=6, batch=2,
        lookahead=2,
    )  # fmt: skip
    assert spans(run, "speculate", "seqs", "seq", "start", "end", "used") == [
        (None, 0, *near([(0, 0.4, 2)])[0]),
        (None, 1, *near([(0.4, 0.8, 0)])[0]),  # beside the verify of sequence 0
        (None, 0, *near([(1.4, 1.8, 0)])[0]),
        (None, 1, *near([(2.4, 2.8, 2)])[0]),
        (None, 0, *near([(3.4, 3.8, 1)])[0]),
        (None, 1, *near([(4.4, 4.8, 1)])[0]),
    ]
    assert rounds(run, "seq", "accepted", "start", "end") == near(
        [
            (0, 2, 0, 1.4),
            (1, 0, 0, 2.4),
            (0, 0, 1.4, 3.4),
            (1, 2, 2.4, 4.4),
            (0, 1, 3.4, 5.4),  # cut short by its last token
            (1, 1, 4.4, 6.4),
        ]
    )


def test_three_rows_take_turns_two_and_one():
    run = decode(Minedraft(), ((0, 0),), prompts=3, batch=3, tokens=2, lookahead=1)
    verifies = spans(run, "verify", "start", "end", "batch")
    assert verifies == near([(0.2, 1.2, 2), (1.2, 2.2, 1), (2.2, 3.2, 2), (3.2, 4.2, 1)])


def test_a_half_that_finished_leaves_two_halves_of_the_rest():
    short, long = ((9, 0),), ((0, 0),)
    run = decode(Minedraft(), short, short, long, long, batch=4, tokens=4, lookahead=3)
    verifies = spans(run, "verify", "start", "end", "batch")
    assert verifies == near(
        [
            (0.6, 1.6, 2),  # both are done
            (1.6, 2.6, 2),  # nobody is left to be drafted
            (3.2, 4.2, 1),
            (4.2, 5.2, 1),
            (5.2, 6.2, 1),
            (6.2, 7.2, 1),
            (7.2, 8.2, 1),
            (8.2, 9.2, 1),
        ]
    )


def test_one_row_alone_is_speculative_decoding():
    far = machine(link=Link(latency=0.05))
    settings = {"tokens": 9, "lookahead": 3, "machine": far}
    runs = [
        decode(method, ((2, 0), (0, 0)), **settings) for method in (Minedraft(), Speculative("own"))
    ]
    assert runs[0].tables["rounds"] == runs[1].tables["rounds"]


def half_and_whole(step, verify, lookahead, batch, waves):
    """Return tokens/s of MineDraft, and of SD on half a batch, where all is accepted."""
    setup = Setup(
        Minedraft(),
        Iid(alpha=1.0),
        machine(step=step, verify=verify),
        Closed(batch * waves, 4, 5 * (lookahead + 1)),
        lookahead=lookahead,
        batch=batch,
    )
    half = replace(setup, method=Speculative("own"), batch=batch // 2)
    return [simulate(one).metrics["tokens_per_s"] for one in (setup, half)]


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.01, 1), st.floats(0.01, 1), st.integers(1, 5), st.sampled_from([2, 4, 6]),
    st.integers(1, 3),
)  # fmt: skip
def test_never_more_than_twice_sd_on_half_a_batch(step, verify, lookahead, batch, waves):
    mine, half = half_and_whole(step, verify, lookahead, batch, waves)
    assert mine <= 2 * half * (1 + 1e-9)
    assert mine >= half * (1 - 1e-9)


def test_twice_sd_where_drafting_takes_as_long_as_verifying():
    mine, half = half_and_whole(0.25, 1.0, 4, 2, waves=100)
    assert mine == pytest.approx(2 * half, rel=0.002)


@pytest.mark.parametrize(("step", "lookahead"), [(0.1, 4), (0.3, 5)])
def test_closed_form_within_one_percent(step, lookahead):
    alpha, batch = 0.7, 8
    setup = Setup(
        Minedraft(),
        Iid(alpha=alpha),
        machine(step=step),
        Closed(batch, 4, 6000),
        lookahead=lookahead,
        batch=batch,
    )
    run = simulate(setup)
    first = run.sequences.finish.min()  # until then all rows are live
    tokens = (run.rounds[run.rounds.end <= first].accepted + 1).sum()
    accepted = (1 - alpha ** (lookahead + 1)) / (1 - alpha)
    expected = batch * accepted / (2 * max(lookahead * step, 1.0))
    assert tokens / first == pytest.approx(expected, rel=0.01)


def test_a_length_control_goes_by_half_of_the_rows():
    # Drafting is free beside the verify up to K = 4, and what lies past it hardly accepted.
    setup = Setup(
        Minedraft(),
        Iid(alpha=0.5),
        machine(step=0.25),
        Closed(4, 4, 200),
        lookahead=12,
        batch=4,
        length=Goodput(alpha=0.5, prior=1e9),
    )
    assert set(simulate(setup).rounds.drafted) == {4}


def busy(run):
    """Return the tokens/s while all slots are busy."""
    first = run.sequences.finish.min()
    tokens = (run.rounds[run.rounds.end <= first].accepted + 1).sum()
    return tokens / (first - run.rounds.start.min())


def test_the_expectation_of_two_halves_by_hand():
    far = machine(step=0.2, link=Link(latency=0.05), dispatch=0.01)
    setup = Setup(Minedraft(), Iid(alpha=1.0), far, Closed(3, 4, 60), lookahead=2, batch=3)
    found = expect(setup)
    # Both turns hide .4 of drafting beside a verify of 1, after .1 of messages and .01 of asking.
    assert found.seconds_per_round == pytest.approx(2 * 1.11)
    assert found.tokens_per_s == pytest.approx(3 * 3 / 2.22)
    assert (found.acceptance_length, found.hit_rate) == pytest.approx((3, 0))
    slow = replace(far, draft=machine(step=0.9).draft)
    assert expect(replace(setup, machine=slow)).seconds_per_round == pytest.approx(2 * 1.91)
    # Nothing is drafted, and nobody sends a message.
    assert expect(replace(setup, lookahead=0)).seconds_per_round == pytest.approx(2 * 1.01)


@pytest.mark.parametrize(
    "more",
    [
        {"batch": 5},
        {"batch": 2, "machine": machine(step=0.4, slowdown=Slowdown(1.2, 1.3))},
        {"batch": 5, "machine": machine(step=0.3, padding=64)},
        {"batch": 5, "length": Concurrency(peak=13, scale=0.1)},  # K=5 for two rows, K=3 for three
    ],
    ids=["odd", "slowed", "padded", "two lookaheads"],
)
def test_the_expectation_is_what_runs_come_to(more):
    common = {"acceptance": Iid(0.7), "machine": machine(step=0.3), "lookahead": 5}
    settings = {**common, **more}
    setup = Setup(Minedraft(), workload=Closed(settings["batch"], 4, 4000), **settings)
    runs = [busy(simulate(replace(setup, seed=seed))) for seed in range(3)]
    error = stdev(runs) / 3**0.5
    assert fmean(runs) == pytest.approx(expect(setup).tokens_per_s, rel=0.01)
    assert error < 0.01 * fmean(runs)


def test_one_row_alone_is_expected_to_be_speculative_decoding():
    setup = Setup(Minedraft(), Iid(0.7), machine(), Closed(9, 4, 60), lookahead=3)
    assert expect(setup) == expect(replace(setup, method=Speculative("own")))
