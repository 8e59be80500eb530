"""Closed forms of queues and batches: against each other, known values, and brute force.

What the simulator makes of them is in tests/sim/serving/.
"""

from itertools import pairwise

import numpy as np
import pytest

from ssdsim.errors import ConfigError
from ssdsim.theory.batching import (
    capacity,
    capacity_chunked,
    mean_rounds,
    mean_rounds_geometric,
    occupancy,
)
from ssdsim.theory.queueing import (
    gamma_arrivals,
    pollaczek_khinchine,
    processor_sharing,
    shared_draft,
    shared_draft_exponential,
    shared_draft_wait,
    unlimited_servers,
)
from ssdsim.theory.speculation import acceptance_length

# What K = 4 drafts at alpha = .7 come to.
SHARES = [*(0.3 * 0.7**k for k in range(4)), 0.7**4]


def step(rows):
    """Return the seconds of a round that the tables of serving were worked out for."""
    return 0.006 + 0.0002 * rows


def test_rounds_of_a_request_are_more_than_its_tokens_over_those_of_a_round():
    assert mean_rounds(SHARES, 200) == pytest.approx(72.60, abs=0.005)
    assert 200 / acceptance_length(0.7, 4) == pytest.approx(72.12, abs=0.005)


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_rounds_of_short_requests_by_hand(tokens):
    """Two tokens a round half of the time, else one: m(3) = 2.25, m(4) = 2.875."""
    by_hand = {1: 1.0, 2: 1.5, 5: 1 + (2.875 + 2.25) / 2}
    assert mean_rounds([0.5, 0.5], tokens) == pytest.approx(by_hand[tokens])


def test_rounds_of_geometric_lengths_are_their_mean_over_lengths():
    mean = 12.0
    lengths = np.arange(1, 400)
    weights = (1 - 1 / mean) ** (lengths - 1) / mean
    averaged = sum(w * mean_rounds(SHARES, int(n)) for n, w in zip(lengths, weights, strict=True))
    assert mean_rounds_geometric(SHARES, mean) == pytest.approx(averaged, rel=1e-6)
    assert mean_rounds_geometric([1.0], mean) == pytest.approx(mean)


@pytest.mark.parametrize(("load", "seconds"), [(0.5, 0.3536), (0.7, 0.4025), (0.9, 0.7011)])
def test_occupancy_of_eight_slots(load, seconds):
    rate = load * 8 / (50 * step(8))
    assert occupancy(rate, 50, step, 8).seconds == pytest.approx(seconds, abs=5e-5)


def test_occupancy_of_one_slot_is_that_of_one_exponential_server():
    found = occupancy(1.0, 10, lambda _: 0.07, slots=1)
    assert found.requests == pytest.approx(0.7 / 0.3)
    assert found.shares[:3] == pytest.approx([0.3, 0.21, 0.147])


def test_occupancy_without_limit_of_a_constant_step_is_poisson():
    found = occupancy(2.0, 10, lambda _: 0.1)
    assert found.shares[:12] == pytest.approx(unlimited_servers(2.0, 1.0, 11), rel=1e-9)
    assert found.requests == pytest.approx(2.0)


def test_occupancy_of_a_step_in_proportion_is_processor_sharing():
    found = occupancy(3.0, 10, lambda rows: 0.02 * rows)
    assert found.requests / 3.0 == pytest.approx(processor_sharing(3.0, 0.2, 0.2))


def test_capacities_of_whole_and_chunked_prompts():
    """Prefill gives the first of 200 tokens here, as in the table that these are from."""
    rounds = mean_rounds(SHARES, 199)
    assert capacity(0.026, rounds, 0.006 + 20e-6 * 32 * 5, 32) == pytest.approx(21.3819, abs=5e-5)
    chunked = [capacity_chunked(0.006, 20e-6, rounds, 4, 1000, chunk, 32) for chunk in (256, 512)]
    assert chunked == pytest.approx([24.0857, 24.3052], abs=5e-5)


@pytest.mark.parametrize(("load", "wait"), [(0.3, 0.0857), (0.7, 0.4667), (0.9, 1.8)])
def test_waits_for_one_slot(load, wait):
    assert pollaczek_khinchine(load / 0.4, 0.4, 0.16) == pytest.approx(wait, abs=5e-5)


def test_waits_after_gamma_arrivals():
    poisson = gamma_arrivals(1.75, 1.0, 0.4)
    assert poisson == pytest.approx(pollaczek_khinchine(1.75, 0.4, 2 * 0.4**2))
    assert gamma_arrivals(1.75, 0.2, 0.4) > poisson > gamma_arrivals(1.75, 5.0, 0.4)
    assert gamma_arrivals(1.75, 5.0, 0.4) == pytest.approx(lindley(5.0), rel=0.02)


def lindley(burstiness):
    """Return the mean wait of many customers, one after the other."""
    rng, many = np.random.default_rng(0), 400_000
    change = rng.exponential(0.4, many) - rng.gamma(burstiness, 1 / (1.75 * burstiness), many)
    walk = np.concatenate([[0.0], np.cumsum(change)])
    return float(np.mean(walk - np.minimum.accumulate(walk)))


def test_a_draft_for_several_targets():
    assert [shared_draft(targets, 0.03, 0.01) for targets in range(1, 7)] == pytest.approx(
        [25, 50, 75, 100, 100, 100]
    )
    exponential = [shared_draft_exponential(targets, 0.03, 0.01) for targets in range(1, 7)]
    assert exponential[:2] == pytest.approx([25, 2 * (1 + 3) / (0.03 * 4 + 0.01 * 5)], rel=1e-9)
    assert all(one < other < 100 for one, other in pairwise(exponential))


@pytest.mark.parametrize("targets", [1, 4, 30])
def test_one_draft_at_random_times_is_as_mean_value_analysis_has_it(targets):
    """X(M) = M / (Z + D (1 + Q(M-1))), Q(M) = X(M) D (1 + Q(M-1)) (Reiser, Lavenberg 1980)."""
    queue, rounds = 0.0, 0.0
    for customers in range(1, targets + 1):
        rounds = customers / (0.03 + 0.01 * (1 + queue))
        queue = rounds * 0.01 * (1 + queue)
    assert shared_draft_exponential(targets, 0.03, 0.01) == pytest.approx(rounds)


def test_more_drafts_serve_more_targets():
    assert [shared_draft(targets, 0.03, 0.01, 2) for targets in (4, 8, 9)] == [100, 200, 200]
    # Two targets and two drafts never meet; of three, in balance by hand: p = (27, 27, 9, 1.5)/64.5
    assert shared_draft_exponential(2, 0.03, 0.01, 2) == pytest.approx(50)
    busy = (27 + 2 * 9 + 2 * 1.5) / 64.5
    assert shared_draft_exponential(3, 0.03, 0.01, 2) == pytest.approx(busy / 0.01)
    assert shared_draft_exponential(3, 0.0, 0.01, 2) == pytest.approx(200)
    assert shared_draft_exponential(900, 9.0, 0.001, 2) == pytest.approx(100, rel=0.001)


def test_who_waits_for_a_draft_is_who_neither_verifies_nor_is_drafted_for():
    assert shared_draft_wait(6, 0.03, 0.01, shared_draft(6, 0.03, 0.01)) == pytest.approx(0.02)
    assert shared_draft_wait(3, 0.03, 0.01, shared_draft(3, 0.03, 0.01)) == pytest.approx(0)
    # With two targets one finds the other there with a chance of 1/4 (it is one's own without).
    rounds = shared_draft_exponential(2, 0.03, 0.01)
    assert shared_draft_wait(2, 0.03, 0.01, rounds) == pytest.approx(0.01 / 4)


WRONG = {
    "shares": lambda: mean_rounds([0.5], 3),
    "tokens": lambda: mean_rounds([1.0], 0),
    "rate": lambda: pollaczek_khinchine(3.0, 0.4, 0.16),
    "slots": lambda: capacity(0.1, 1.0, 0.1, 0),
    "chunk": lambda: capacity_chunked(0.1, 0.1, 1.0, 1, 1, 0, 1),
    "targets": lambda: shared_draft(0, 1.0, 1.0),
    "devices": lambda: shared_draft_exponential(1, 1.0, 1.0, 0),
    "rounds": lambda: shared_draft_wait(1, 1.0, 1.0, 0.0),
}


@pytest.mark.parametrize("option", WRONG)
def test_what_has_no_answer_is_refused(option):
    with pytest.raises(ConfigError, match=f"^{option}="):
        WRONG[option]()


def test_a_batch_that_more_come_to_than_leave_is_refused():
    with pytest.raises(ConfigError, match=r"^rate=25: needs fewer requests a second than are ser"):
        occupancy(25, 50, step, 8)
