"""Closed forms: Leviathan et al., fan-outs, and SSD's Theorem 7 and Corollary 16."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from ssdsim import theory
from ssdsim.errors import ConfigError
from ssdsim.policies.allocation import allocate

REFERENCE = Path(__file__).parents[2] / "support/reference"
PARAMETERS = [(a, K, c) for a in (0.0, 0.3, 0.8, 0.95, 1.0) for K in (0, 1, 5) for c in (0.0, 0.1)]
SHARES = st.floats(0.0, 1.0)


def table(name):
    return list(pd.read_csv(REFERENCE / f"{name}.csv", comment="#").itertuples())


# Leviathan et al.


@pytest.mark.parametrize("row", table("leviathan_table1"))
def test_leviathan_table_1(row):
    speedup = theory.speculative_speedup(row.alpha, row.gamma, 0.0)
    operations = theory.operations_factor(row.alpha, row.gamma, 0.0)
    assert speedup == pytest.approx(row.speedup, abs=0.01)
    assert operations == pytest.approx(row.operations, abs=0.01)


@pytest.mark.parametrize("row", table("leviathan_table4"))
def test_leviathan_table_4(row):
    speedup = theory.speculative_speedup(row.alpha, row.gamma, row.c)
    assert speedup == pytest.approx(row.expected, abs=0.07)


@pytest.mark.parametrize(("alpha", "K", "cost"), PARAMETERS)
def test_leviathan_forms_as_printed(alpha, K, cost):
    length = K + 1 if alpha == 1 else (1 - alpha ** (K + 1)) / (1 - alpha)
    assert theory.acceptance_length(alpha, K) == pytest.approx(length)
    assert theory.speculative_speedup(alpha, K, cost) == pytest.approx(length / (K * cost + 1))
    work = (K * cost + K + 1) / length
    assert theory.operations_factor(alpha, K, cost) == pytest.approx(work)


def test_acceptance_length_keeps_its_digits_near_one():
    assert theory.acceptance_length(1 - 1e-12, 7) == pytest.approx(8 - 28e-12, rel=1e-15)


def test_acceptance_length_by_monte_carlo():
    accepts = np.random.default_rng(1).random((200_000, 5)) < 0.7
    tokens = 1 + np.cumprod(accepts, axis=1).sum(axis=1)
    error = tokens.std() / math.sqrt(tokens.size)
    assert abs(tokens.mean() - theory.acceptance_length(0.7, 5)) < 4 * error


@given(alpha=SHARES, cost=st.floats(0.01, 2.0))
def test_best_lookahead_is_the_best_and_pays_only_if_alpha_exceeds_cost(alpha, cost):
    best = theory.best_lookahead(alpha, cost, most=20)
    speedups = [theory.speculative_speedup(alpha, K, cost) for K in range(21)]
    assert speedups[best] == max(speedups)
    assert speedups.index(max(speedups)) == best
    if abs(alpha - cost) > 1e-9:
        assert (best > 0) == (alpha > cost)


# Fan-out: Thm 12 and whole numbers


def law_weights(alpha, K):
    return [alpha**k * (1 - alpha) for k in range(K)] + [alpha**K]


def test_outcome_weights_are_the_law_of_the_accepted_length():
    for alpha, K, _ in PARAMETERS:
        assert theory.outcome_weights(alpha, K) == law_weights(alpha, K)
        assert sum(theory.outcome_weights(alpha, K)) == pytest.approx(1)


@pytest.mark.parametrize(("alpha", "exponent", "K"), [(0.6, 0.4, 3), (0.8, 0.7, 5), (0.9, 1.5, 7)])
def test_geometric_fanout_is_thm_12_and_the_numerical_optimum(alpha, exponent, K):
    found = theory.geometric_fanout(24, alpha, exponent, K)
    assert sum(found) == pytest.approx(24, rel=1e-14)
    share = 1 / (1 + exponent)
    printed = [found[0] * alpha ** (k * share) for k in range(K)]
    printed += [found[0] * alpha ** (K * share) * (1 - alpha) ** -share]
    assert found == pytest.approx(printed)

    def missed(fanouts):
        weights = law_weights(alpha, K)
        return theory.fanout_objective(fanouts.tolist(), weights, lambda F: F**-exponent)

    best = minimize(
        missed,
        np.full(K + 1, 24 / (K + 1)),
        bounds=[(0.1, 24)] * (K + 1),
        constraints={"type": "eq", "fun": lambda F: F.sum() - 24},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert missed(np.array(found)) <= best.fun + 1e-12
    assert best.x == pytest.approx(found, rel=5e-3)


@pytest.mark.parametrize(("alpha", "fanouts"), [(1.0, [0, 0, 0, 9]), (0.0, [9, 0, 0, 0])])
def test_geometric_fanout_of_a_certain_end(alpha, fanouts):
    assert theory.geometric_fanout(9, alpha, 0.7, 3) == fanouts


def curves(most):
    """Miss curves from miss[0] = 1 down, convex or not, with flat stretches."""
    steps = st.lists(st.sampled_from([0, 0, 1, 2, 5]), min_size=0, max_size=most)
    return steps.map(lambda falls: np.array([1.0, *(1 - np.cumsum(falls) / 64)]).tolist())


@given(
    budget=st.integers(0, 8),
    weights=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.6]), min_size=1, max_size=4),
    miss=curves(6),
)
def test_allocate_is_the_cheapest_of_the_best(budget, weights, miss):
    def missed(fanouts):
        return theory.fanout_objective(fanouts, weights, miss.__getitem__)

    choices = product(range(len(miss)), repeat=len(weights))
    ranked = [(missed(F), sum(F)) for F in choices if sum(F) <= budget]
    found = allocate(budget, weights, miss)
    best = min(value for value, _ in ranked)
    assert missed(found) == pytest.approx(best, abs=1e-13)
    assert sum(found) == min(spent for value, spent in ranked if value <= best + 1e-12)


def test_allocate_buys_no_first_branch_alone_where_that_gains_nothing():
    power_law = [1.0] + [F**-0.7 for F in range(1, 9)]
    assert allocate(1, [0.5, 0.5], power_law) == (0, 0)
    assert allocate(3, [0.5, 0.5], power_law) == (3, 0)
    assert allocate(8, [0.0, 1.0], [1.0, 0.5, 0.5]) == (0, 1)
    assert allocate(8, [0.3, 0.7], [1.0]) == (0, 0)


@pytest.mark.parametrize(("alpha", "exponent", "K"), [(0.7, 0.7, 4), (0.85, 0.5, 7)])
def test_allocate_approaches_thm_12_as_the_budget_grows(alpha, exponent, K):
    weights, excess = law_weights(alpha, K), []
    for budget in (32, 128, 512):
        real = theory.geometric_fanout(budget, alpha, exponent, K)
        bound = theory.fanout_objective(real, weights, lambda F: F**-exponent)
        miss = [1.0] + [F**-exponent for F in range(1, budget + 1)]
        whole = allocate(budget, weights, miss)
        assert sum(whole) == budget
        excess.append(theory.fanout_objective(whole, weights, miss.__getitem__) / bound - 1)
    assert excess[0] > excess[1] > excess[2] > -1e-12
    assert excess[2] < 1e-4
    assert np.abs(np.subtract(whole, real)).max() < 1


# SSD: Thm 7, Cor. 16, b*


@given(
    hit_rate=SHARES,
    lengths=st.tuples(*[st.floats(1, 8)] * 3),
    times=st.tuples(*[st.floats(0, 2)] * 3),
)
@settings(max_examples=300)
def test_critical_batch_by_scanning_cor_16(hit_rate, lengths, times):
    on_hit, slow_length, fast_length = lengths
    primary, fast_time, slow_time = times[0], min(times[1:]), max(times[1:])

    def lead(batch):
        slow, fast = (
            theory.ssd_speedup(hit_rate, on_hit, length, primary, seconds, batch=batch)
            for length, seconds in ((slow_length, slow_time), (fast_length, fast_time))
        )
        return slow / fast - 1

    found = theory.critical_batch(
        hit_rate, on_hit, primary, (slow_length, slow_time), (fast_length, fast_time)
    )
    assert found >= 1
    for batch in (*range(1, 40), 100, 10**6):
        assert lead(batch) > -1e-9 if batch < found else lead(batch) < 1e-9


def test_critical_batch_of_a_fast_backup_that_always_or_never_wins():
    assert theory.critical_batch(0.9, 5, 0.5, slow=(4, 0.1), fast=(1, 0.09)) == math.inf
    assert theory.critical_batch(0.5, 5, 0.5, slow=(2, 5.0), fast=(1.9, 0.0)) == 1
    assert theory.critical_batch(0.9, 5, 0.5, slow=(1, 0.5), fast=(1, 0.0)) == 1
    assert 1 < theory.critical_batch(0.9, 5, 0.5, slow=(4, 0.5), fast=(1, 0.0)) < math.inf


@given(hit_rate=SHARES, primary=st.floats(0, 1), backup=st.floats(0, 2), batch=st.integers(1, 9))
def test_wait_and_prune_agree_where_the_tree_is_done_before_the_verify(
    hit_rate, primary, backup, batch
):
    forms = (theory.ssd_speedup, theory.ssd_speedup_wait)
    pruned, waited = (f(hit_rate, 5, 3, primary, backup, batch=batch) for f in forms)
    assert pruned == pytest.approx(waited)


@pytest.mark.parametrize(
    "call",
    [
        lambda: theory.acceptance_length(1.01, 3),
        lambda: theory.acceptance_length(math.nan, 3),
        lambda: theory.acceptance_length(0.5, -1),
        lambda: theory.acceptance_length(0.5, 2.5),
        lambda: theory.speculative_speedup(0.5, 3, -0.1),
        lambda: theory.best_lookahead(0.5, 0.1, most=-1),
        lambda: theory.ssd_speedup(-0.1, 5, 4, 1, 1),
        lambda: theory.ssd_speedup(0.5, 5, 4, 1, 1, batch=0),
        lambda: theory.ssd_speedup_wait(0.5, 5, 4, math.inf, 1),
        lambda: theory.critical_batch(0.5, 5, 1, (4, 0.5), (1, -1)),
        lambda: theory.critical_batch(0.5, 5, 1, (4, 0.5), (1, 0.6)),
        lambda: theory.geometric_fanout(-1, 0.5, 0.7, 3),
        lambda: allocate(-1, [1.0], [1.0, 0.5]),
        lambda: allocate(1, [-1.0], [1.0, 0.5]),
        lambda: allocate(1, [1.0], []),
        lambda: allocate(1, [1.0], [1.0, math.nan]),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(ConfigError):
        call()
