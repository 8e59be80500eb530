"""The simulator against the closed forms of serving: within 1 % or two standard errors.

Each row is a quick one; the slow test repeats it with more requests.
"""

from functools import partial

import numpy as np
import pytest
from open_loop import SHARES, K, agrees, mean_and_error, served, stepping

from ssdsim import Setup
from ssdsim.acceptance.iid import Iid
from ssdsim.engine.simulation import evaluate
from ssdsim.latency.constant import Constant
from ssdsim.latency.jitter import Quantiles
from ssdsim.latency.machine import Machine
from ssdsim.latency.step_costs import StepCost
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.routers.random import Random
from ssdsim.serving.continuous import Continuous
from ssdsim.theory.batching import capacity, capacity_chunked, mean_rounds, occupancy
from ssdsim.theory.queueing import (
    gamma_arrivals,
    pollaczek_khinchine,
    processor_sharing,
    shared_draft,
    shared_draft_exponential,
    shared_draft_wait,
    unlimited_servers,
)
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.gamma import Gamma
from ssdsim.workloads.lengths import Geometric
from ssdsim.workloads.poisson import Poisson

AR, SD = Autoregressive(), Speculative()
UNLIMITED = 10_000


def plain(rows):
    """Return the seconds of an ordinary step."""
    return 0.006 + 0.0002 * rows


def speculative(rows):
    """Return the seconds of a round at K = 4."""
    return 0.0093 + 0.0008 * rows


PLAIN, SPECULATIVE = stepping(fixed=0.006, row=0.0002), stepping(fixed=0.0093, row=0.0008)


def one_slot(load, requests):
    """Requests of one round of 0.4 s."""
    rate = load / 0.4
    run = served(AR, stepping(fixed=0.4), Poisson(requests, rate, output_tokens=1))
    return run.wait, pollaczek_khinchine(rate, 0.4, 0.16)


def one_slot_of_random_rounds(requests):
    """A request's seconds are its rounds: E[S²] by counting how they may end."""
    tokens, rate = 9, 0.12
    run = served(SD, stepping(fixed=1.0), Poisson(requests, rate, output_tokens=tokens))
    chances = rounds_of(tokens)
    first, second = (sum(n**power * share for n, share in chances.items()) for power in (1, 2))
    return run.wait, pollaczek_khinchine(rate, first, second)


def rounds_of(tokens):
    """Return P(a request of so many tokens takes n rounds)."""
    if tokens <= 0:
        return {0: 1.0}
    found = {}
    for k, share in enumerate(SHARES):
        for n, chance in rounds_of(tokens - k - 1).items():
            found[n + 1] = found.get(n + 1, 0.0) + share * chance
    return found


def two_replicas(requests):
    """A random split of Poisson arrivals is Poisson in each."""
    workload = Poisson(requests, 2 * 1.75, output_tokens=1)
    run = served(AR, stepping(fixed=0.4), workload, replicas=2, router=Random())
    assert np.mean(run.replica) == pytest.approx(0.5, abs=3 * 0.5 / requests**0.5)
    return run.wait, pollaczek_khinchine(1.75, 0.4, 0.16)


def unlimited(method, machine, step, rounds, rate, requests, lengths=200):
    """Everybody joins the batch at the next boundary."""
    workload = Poisson(requests, rate, output_tokens=lengths)
    run = served(method, machine, workload, batch=UNLIMITED)
    return run.stay, occupancy(rate, rounds, step).seconds


def eight_slots(load, requests, serving=None):
    """Geometric lengths of 50 tokens."""
    rate = load * 8 / (50 * plain(8))
    workload = Poisson(requests, rate, output_tokens=Geometric(50))
    more = {} if serving is None else {"serving": serving}
    run = served(AR, PLAIN, workload, batch=8, **more)
    return run.stay, occupancy(rate, 50, plain, 8).seconds


def shared_processor(requests):
    """A step takes time in proportion to its rows, and everybody is joined half a step late."""
    rate, row = 3.5, 0.002
    workload = Poisson(requests, rate, output_tokens=100)
    run = served(AR, stepping(row=row), workload, batch=UNLIMITED)
    step = occupancy(rate, 100, lambda rows: row * rows).step
    return run.stay, processor_sharing(rate, 100 * row, 100 * row) + step / 2


def gamma(burstiness, requests):
    """Steps of 0.01 s of which each may be the last are nearly exponential."""
    rate, steps = 1.75, 40
    workload = Gamma(requests, rate, burstiness=burstiness, output_tokens=Geometric(steps))
    run = served(AR, stepping(fixed=0.4 / steps), workload)
    return run.wait, gamma_arrivals(rate, burstiness, 0.4)


DRAFTED = mean_rounds(SHARES, 200)
ROWS = {
    "one slot, load .3": (partial(one_slot, 0.3), 4000),
    "one slot, load .7": (partial(one_slot, 0.7), 4000),
    "one slot, random rounds": (one_slot_of_random_rounds, 3000),
    "two replicas": (two_replicas, 4000),
    "unlimited, AR at 5": (partial(unlimited, AR, PLAIN, plain, 200, 5), 250),
    "unlimited, AR at 15": (partial(unlimited, AR, PLAIN, plain, 200, 15), 400),
    "unlimited, geometric": (
        partial(unlimited, AR, PLAIN, plain, 200, 5, lengths=Geometric(200)),
        400,
    ),
    "unlimited, SD at 3": (partial(unlimited, SD, SPECULATIVE, speculative, DRAFTED, 3), 500),
    "unlimited, SD at 6": (partial(unlimited, SD, SPECULATIVE, speculative, DRAFTED, 6), 500),
    "eight slots, load .5": (partial(eight_slots, 0.5), 1000),
    "eight slots, load .7": (partial(eight_slots, 0.7), 1000),
    "eight requests of an engine": (
        partial(eight_slots, 0.7, serving=Continuous(max_num_seqs=8, prompt_samples=False)),
        1000,
    ),
    "processor sharing": (shared_processor, 300),
    "gamma, bursty": (partial(gamma, 0.4), 1500),
    "gamma, regular": (partial(gamma, 4.0), 1500),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_mean_is_that_of_its_closed_form(row):
    run, requests = ROWS[row]
    fine, numbers = agrees(*run(requests=requests))
    assert fine, numbers


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_a_mean_of_more_requests_is_that_of_its_closed_form(row):
    run, requests = ROWS[row]
    fine, numbers = agrees(*run(requests=8 * requests))
    assert fine, numbers


@pytest.mark.parametrize("load", [0.5, 0.7])
def test_constant_lengths_wait_no_longer_than_geometric_ones(load):
    rate = load * 8 / (50 * plain(8))
    run = served(AR, PLAIN, Poisson(1000, rate, output_tokens=50), batch=8)
    mean, error = mean_and_error(run.stay)
    assert mean < occupancy(rate, 50, plain, 8).seconds + 2 * error


def test_rows_of_a_constant_step_are_poisson():
    """M/G/infinity: looked at now and then, as many are there as a Poisson variable says."""
    rate, seconds = 4.0, 50 * 0.02
    run = served(AR, stepping(fixed=0.02), Poisson(1500, rate, output_tokens=50), batch=UNLIMITED)
    times = np.arange(20.0, run.arrival[-1], 3.1)
    there = (run.arrival < times[:, None]) & (run.finish > times[:, None])
    counts = np.bincount(there.sum(axis=1), minlength=15)[:15] / len(times)
    expected = unlimited_servers(rate, seconds + 0.01, 14)  # and half a step
    assert counts == pytest.approx(expected, abs=3 * (0.25 / len(times)) ** 0.5)


ENGINE = {"fixed": 0.006, "token": 20e-6}
PROMPT, OUTPUT, SLOTS = 1000, 200, 32


@pytest.mark.parametrize("chunk", [None, 256, 512])
def test_capacity_with_whole_and_with_chunked_prompts(chunk):
    """A prompt's pass delivers the first token, so the rounds are those of 199."""
    serving = Continuous(
        max_num_seqs=SLOTS,
        max_num_batched_tokens=PROMPT if chunk is None else 1_000_000,
        enable_chunked_prefill=chunk is not None,
        long_prefill_token_threshold=chunk or 0,
    )
    machine = stepping(prefill=StepCost(**ENGINE), **ENGINE)
    run = served(SD, machine, Closed(900, PROMPT, OUTPUT), serving=serving)
    rounds = mean_rounds(SHARES, OUTPUT - 1)
    if chunk is None:
        step = ENGINE["fixed"] + ENGINE["token"] * SLOTS * (K + 1)
        expected = capacity(ENGINE["fixed"] + ENGINE["token"] * PROMPT, rounds, step, SLOTS)
    else:
        expected = capacity_chunked(*ENGINE.values(), rounds, K, PROMPT, chunk, SLOTS)
    ends = np.sort(run.finish)
    found = 750 / (ends[850] - ends[100])
    assert found == pytest.approx(expected, rel=0.01)


def sharing(targets, devices=1, median=1.0, **jitter):
    """Return the metrics of targets that share draft devices, a token a round."""
    tokens = 6000 // targets
    target, draft = Constant(0.03 * median, 0.0), Constant(0.0, 0.01 * median)
    machine = Machine(target=target, draft=draft, **jitter)
    setup = Setup(
        *(Speculative("own"), Iid(alpha=0.0), machine, Closed(targets, 0, tokens)),
        lookahead=1,
        replicas=targets,
        draft_pool=devices,
    )
    return evaluate(setup).metrics


@pytest.mark.parametrize("targets", range(1, 7))
def test_targets_that_share_a_draft(targets):
    """A verify of 30 ms and a draft of 10 ms: the fifth target only waits."""
    found = sharing(targets)["draft_pool_arrivals_per_s"]
    assert found == pytest.approx(shared_draft(targets, 0.03, 0.01), rel=0.01)


@pytest.mark.parametrize(("targets", "devices"), [(1, 1), (3, 1), (5, 1), (5, 2), (9, 3)])
def test_targets_that_share_drafts_at_random_times_are_machines_under_repair(targets, devices):
    quantiles = -np.log1p(-np.arange(0.0005, 1, 0.001)) / np.log(2)  # jitter is beside the median
    law = Quantiles(tuple(quantiles.tolist()))
    found = sharing(targets, devices, np.log(2), target_jitter=law, draft_jitter=law)
    rounds = shared_draft_exponential(targets, 0.03, 0.01, devices)
    assert found["draft_pool_arrivals_per_s"] == pytest.approx(rounds, rel=0.04)
    assert found["draft_pool_utilization"] == pytest.approx(rounds * 0.01 / devices, rel=0.05)
    wait = shared_draft_wait(targets, 0.03, 0.01, rounds)
    assert found["draft_pool_wait_mean"] == pytest.approx(wait, rel=0.12, abs=1e-9)
    assert found["draft_pool_waiting_mean"] == pytest.approx(rounds * wait, rel=0.12, abs=1e-9)
