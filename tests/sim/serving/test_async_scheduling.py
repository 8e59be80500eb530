"""Steps scheduled when the one before begins, by hand: a verify takes 1, a prompt's pass 2."""

from dataclasses import replace

from test_timelines import moments, served, setting
from timelines_of_requests import Told

from ssdsim import simulate
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.base import Request

AHEAD = Continuous(async_scheduling=True)


def test_who_comes_in_a_step_is_computed_in_the_step_after_the_next():
    run = served([0.0, 0.5], AHEAD)
    # The first prompt until 2, its second token until 3; the second prompt from 3 on.
    assert moments(run, "first_token") == [2.0, 4.0]
    assert moments(run, "admitted") == [0.0, 3.0]
    assert moments(run, "finish") == [4.0, 6.0]
    assert moments(served([0.0, 0.5], Continuous()), "first_token") == [2.0, 3.0]


def test_an_idle_engine_begins_at_once():
    run = served([0.0, 9.0], AHEAD)
    assert moments(run, "first_token") == [2.0, 11.0]
    together = served([0.0, 0.0], AHEAD)
    assert moments(together, "finish") == moments(served([0.0, 0.0], Continuous()), "finish")


def test_who_comes_while_the_last_one_is_decoded_waits_for_its_end_alone():
    """What was scheduled ahead held nobody, so that the engine has nothing to do at 4."""
    run = served([0.0, 3.5], AHEAD)
    assert moments(run, "finish") == [4.0, 8.0]
    assert moments(run, "admitted") == [0.0, 4.0]


def test_a_slot_that_becomes_free_is_taken_a_step_later():
    requests = tuple(Request(0.0, 2, tokens) for tokens in (6, 3, 3))
    slots = replace(AHEAD, max_num_seqs=2)
    setup = setting([0.0], slots, workload=Told(3, requests))
    run = simulate(setup)
    # The second ends at 4: the step from 4 on was scheduled at 3, that from 5 on has the third.
    assert moments(run, "first_token") == [2.0, 2.0, 6.0]
    assert moments(run, "finish") == [7.0, 4.0, 8.0]
    at_once = simulate(replace(setup, serving=replace(slots, async_scheduling=False)))
    assert moments(at_once, "first_token") == [2.0, 2.0, 5.0]


def test_blocks_that_become_free_are_taken_a_step_later():
    """Of ten the second holds seven until it ends at 3, and the third needs five."""
    requests = tuple(Request(0.0, prompt, tokens) for prompt, tokens in ((1, 6), (6, 2), (5, 1)))
    memory = replace(AHEAD, block_size=1, num_gpu_blocks=10)
    setup = setting([0.0], memory, workload=Told(3, requests))
    run = simulate(setup)
    at_once = simulate(replace(setup, serving=replace(memory, async_scheduling=False)))
    ended = run.sequences.finish[1]
    assert run.sequences.preempted.sum() == at_once.sequences.preempted.sum() == 0
    assert moments(at_once, "admitted")[2] == ended
    assert moments(run, "admitted")[2] == ended + 1
