import math
from dataclasses import replace
from functools import cache
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
from ssdsim.expectation import (
    Design,
    Law,
    Times,
    expect_autoregressive,
    expect_speculative,
    expect_ssd,
)
from ssdsim.markov import count, stationary
from ssdsim.policies.allocation import allocate

REFERENCE = Path(__file__).parent / "reference"
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
        lambda: replace(RANDOM_LAW, reject=((1.5,), (0.5,))),
        lambda: replace(RANDOM_LAW, reject=((), (0.5,))),
        lambda: replace(RANDOM_LAW, tail=(lambda _: 0.5, lambda _: 0.5)),
        lambda: replace(RANDOM_LAW, reference_fanout=-1),
        lambda: Design(RANDOM_LAW, UNITS, 3, lambda _: (3,)),
        lambda: Design(RANDOM_LAW, UNITS, 3, uniform(3), batch=2, on_outcome="truncate"),
        lambda: Design(RANDOM_LAW, UNITS, 3, uniform(-1)),
        lambda: Design(RANDOM_LAW, UNITS, -1, uniform(1)),
        lambda: Design(RANDOM_LAW, UNITS, 3, uniform(1), batch=0),
        lambda: expect_ssd(Design(replace(RANDOM_LAW, tail=(rising,) * 2), UNITS, 3, uniform(1))),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(ConfigError):
        call()


# The exact expectation


def uniform(F):
    return lambda length: (F,) * (length + 1)


def power(scale, exponent):
    return lambda F: min(1.0, scale * F**-exponent) if F else 1.0


def constant(verify=1.0, glue=0.0, tree=0.0, backup=0.0, handshake=0.0):
    return Times(handshake, *(lambda _, __, s=s: s for s in (verify, glue, tree, backup)))


def rising(F):
    return (1.0, 0.2, 0.4)[min(F, 2)]


def iid(alpha, tail):
    return Law(((1 - alpha,),) * 2, (tail,) * 2)


RANDOM_LAW = Law(((0.1, 0.05), (0.3,)), (power(0.4, 0.7), power(0.8, 0.5)), 3)
UNITS = constant()


def test_stationary_forgets_states_that_are_left_for_good_and_never_meets_others():
    chain = {"start": {"a": 1.0}, "a": {"a": 0.5, "b": 0.5}, "b": {"a": 1.0}, "elsewhere": {}}
    shares = stationary("start", chain.__getitem__)
    assert shares == pytest.approx({"start": 0, "a": 2 / 3, "b": 1 / 3})


@given(pairs=st.lists(st.tuples(st.integers(0, 3), SHARES, SHARES), min_size=1, max_size=3))
def test_count_by_enumeration(pairs):
    rows = [(no, yes) for number, no, yes in pairs for _ in range(number)]
    expected = np.zeros(len(rows) + 1)
    for picks in product((0, 1), repeat=len(rows)):
        expected[sum(picks)] += math.prod(row[pick] for row, pick in zip(rows, picks, strict=True))
    found = count([(number, np.array([no, yes])) for number, no, yes in pairs])
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("batch", [1, 4])
def test_autoregressive_and_speculative(batch):
    alone = expect_autoregressive(lambda rows, tokens: 0.1 * rows + tokens, batch)
    assert alone.tokens_per_s == pytest.approx(1 / 1.1)
    drafted = expect_speculative(iid(0.8, power(1, 0.7)), constant(backup=5 * 0.1), 5, batch)
    assert drafted.tokens_per_s == pytest.approx(batch * theory.speculative_speedup(0.8, 5, 0.1))
    assert drafted.acceptance_length == pytest.approx(theory.acceptance_length(0.8, 5))
    assert drafted.hit_rate == 0
    assert math.isnan(drafted.acceptance_length_on_hit)
    undrafted = expect_speculative(RANDOM_LAW, constant(verify=2.0), 0, batch)
    assert undrafted.tokens_per_s == pytest.approx(batch / 2)


@pytest.mark.parametrize("batch", [1, 2, 16])
@pytest.mark.parametrize("step", [0.05, 0.2, 0.25, 0.5])
@pytest.mark.parametrize("accepts", [True, False])
def test_thm_7_and_cor_16_where_they_hold(batch, step, accepts):
    K, law = 5, iid(0.8, power(0.4, 0.7))
    hit = 1 - law.tail[0](3)
    times = constant(tree=step, backup=0.7)
    design = Design(law, times, K, uniform(3), batch, backup_accepts=accepts)
    on_hit, on_miss = theory.acceptance_length(0.8, K), theory.acceptance_length(0.8 * accepts, K)
    waited = theory.ssd_speedup_wait(hit, on_hit, on_miss, K * step, 0.7, batch=batch)
    found = expect_ssd(design)
    assert found.tokens_per_s == pytest.approx(batch * waited)
    assert found.hit_rate == pytest.approx(hit)
    assert found.acceptance_length_on_hit == pytest.approx(on_hit)
    assert found.acceptance_length_on_miss == pytest.approx(on_miss)
    pruned = expect_ssd(replace(design, on_outcome="prune")).tokens_per_s / batch
    closed = theory.ssd_speedup(hit, on_hit, on_miss, K * step, 0.7, batch=batch)
    if batch == 1 or K * step <= 1:
        assert pruned == pytest.approx(closed)
    else:
        assert pruned < closed


def test_a_perfect_draft_and_a_law_that_never_hits():
    sure = Law(((0.0,), (0.5,)), (lambda F: float(F == 0), lambda _: 1.0))
    found = expect_ssd(Design(sure, constant(tree=0.1, backup=3.0), 4, uniform(1)))
    assert found.tokens_per_s == pytest.approx(5)
    assert math.isnan(found.acceptance_length_on_miss)
    never = Law(((0.0,), (0.5,)), (lambda _: 1.0, lambda _: 1.0))
    found = expect_ssd(Design(never, constant(tree=0.1, backup=3.0), 1, uniform(1), batch=3))
    assert found.tokens_per_s == pytest.approx(3 * 1.5 / 4)
    assert found.hit_rate == 0


def test_truncate_by_hand():
    # Always easy, half the outcomes hit; the tree is cut after 2 of 4 steps, always at 1.5.
    law = Law(((0.0,), (1.0,)), (lambda F: 0.5**F, lambda _: 1.0), reference_fanout=60)
    times = constant(verify=1.2, glue=0.5, tree=0.5, backup=2.0)
    found = expect_ssd(Design(law, times, 4, uniform(1), on_outcome="truncate"))
    assert found.acceptance_length_on_hit == pytest.approx(3)
    assert found.acceptance_length_on_miss == pytest.approx(5)
    assert found.seconds_per_round == pytest.approx(1.5 + 0.5 * 2)
    early = replace(times, verify=lambda _, __: 0.3)
    found = expect_ssd(Design(law, early, 4, uniform(1), on_outcome="truncate"))
    assert found.acceptance_length_on_hit == pytest.approx(2)
    assert found.seconds_per_round == pytest.approx(0.5 * 1.0 + 0.5 * 0.5 + 0.5 * 2)


# The same process, played


class Played:
    """Many copies of a batch, round by round; shares no code with the expectation."""

    def __init__(self, design, copies=400, rounds=260, settle=60):
        self.design, self.rng = design, np.random.default_rng(7)
        self.shape, self.rounds, self.settle = (copies, design.batch), rounds, settle
        self.clock = cache(self.clock)

    def totals(self):
        """Return per copy: tokens, seconds, hit rows, tokens of hit rows, rows."""
        design, K = self.design, self.design.lookahead
        fanouts = self.fanouts()
        hard, hit = np.zeros(self.shape, int), np.zeros(self.shape, bool)
        length, backup = np.full(self.shape, K), np.ones(self.shape, bool)
        total, rows = np.zeros((5, self.shape[0])), np.full(self.shape[0], design.batch)
        for now in range(self.rounds):
            accepted = self.accepted(hard, length) * (design.backup_accepts | ~backup)
            rank = self.rank(hard)
            found = rank < fanouts[length, accepted]
            hits = found.sum(axis=1).tolist()
            ends = [self.clock(n, h) for n, h in zip(length[:, 0].tolist(), hits, strict=True)]
            seconds = self.redraft(hit) + [end for end, _ in ends] + design.times.handshake
            if now >= self.settle:
                tokens = accepted + 1
                total += [tokens.sum(1), seconds, hit.sum(1), (tokens * hit).sum(1), rows]
            hard, hit, backup = (rank >= design.law.reference_fanout).astype(int), found, ~found
            if design.redraft == "all":
                backup = backup | ~found.all(axis=1, keepdims=True)
            length = np.where(backup, K, np.array([kept for _, kept in ends])[:, None])
        return total

    def accepted(self, hard, length):
        accepted, alive = np.zeros(self.shape, int), np.ones(self.shape, bool)
        for j in range(self.design.lookahead):
            reject = [table[min(j, len(table) - 1)] for table in self.design.law.reject]
            alive &= (self.rng.random(self.shape) >= np.take(reject, hard)) & (j < length)
            accepted += alive
        return accepted

    def rank(self, hard):
        tails = np.array([[tail(F) for F in range(1, 9)] for tail in self.design.law.tail])
        return (self.rng.random(self.shape)[..., None] < tails[hard]).sum(axis=-1)

    def fanouts(self):
        K = self.design.lookahead
        return np.array([[*self.design.fanouts(n), *[0] * (K - n)] for n in range(K + 1)])

    def redraft(self, hit):
        b, backup = self.design.batch, self.design.times.backup
        rows = [b if self.design.redraft == "all" else m for m in range(1, b + 1)]
        return np.take([0.0, *(backup(m, self.design.lookahead) for m in rows)], (~hit).sum(axis=1))

    def clock(self, length, hits):
        """Return when the round ends and what a hit gets, walking through the draft's work."""
        design, times, K = self.design, self.design.times, self.design.lookahead
        b, tokens, branches = design.batch, design.batch * (length + 1), design.fanouts(length)
        verify = times.verify(b, tokens)
        if not any(branches):
            return verify, K
        now, step, done = times.glue(b, tokens), times.tree(b, b * sum(branches)), 0
        while done < K:
            late = now >= verify and design.on_outcome != "wait"
            if late and (not hits or (design.on_outcome == "truncate" and done)):
                break
            pruned = late and design.on_outcome == "prune"
            now, done = now + (times.tree(hits, hits) if pruned else step), done + 1
        return max(now, verify), done


def z_scores(design):
    expected = expect_ssd(design)
    tokens, seconds, hits, tokens_hit, rows = Played(design).totals()
    ratios = [
        (tokens, seconds, expected.tokens_per_s),
        (tokens, rows, expected.acceptance_length),
        (hits, rows, expected.hit_rate),
        (tokens_hit, hits, expected.acceptance_length_on_hit),
        (tokens - tokens_hit, rows - hits, expected.acceptance_length_on_miss),
        (seconds, rows / design.batch, expected.seconds_per_round),
    ]
    for above, below, ratio in ratios:
        if below.sum():
            rest = above - ratio * below
            # What happens in one round of 10^4 may never have been seen: std() alone is too small.
            yield rest.mean() / (rest.std() / math.sqrt(rest.size) + 1e-4 * below.mean())


hazards = st.lists(st.floats(0.02, 0.7), min_size=1, max_size=3)
tails = st.builds(power, st.floats(0.2, 1.2), st.floats(0.3, 1.5))
seconds = st.floats(0.02, 0.5)


@st.composite
def designs(draw):
    K, batch = draw(st.integers(0, 5)), draw(st.sampled_from([1, 1, 2, 3, 8]))
    F = draw(st.lists(st.integers(0, 5), min_size=K + 1, max_size=K + 1))
    glue, tree, slope, backup, handshake = (draw(seconds) for _ in range(5))
    return Design(
        law=Law(
            (draw(hazards), draw(hazards)), (draw(tails), draw(tails)), draw(st.integers(0, 4))
        ),
        times=Times(
            handshake=handshake,
            verify=lambda rows, tokens: 1 + 0.1 * slope * tokens + 0.03 * rows,
            glue=lambda rows, tokens: glue * (1 + 0.05 * tokens + 0.02 * rows),
            tree=lambda rows, branches: tree * (1 + 0.02 * slope * branches + 0.1 * rows),
            backup=lambda rows, length: length * backup * (1 + 0.1 * rows),
        ),
        lookahead=K,
        fanouts=lambda length: tuple(F[: length + 1]),
        batch=batch,
        on_outcome=draw(st.sampled_from(["wait", "prune"] + ["truncate"] * (batch == 1))),
        redraft=draw(st.sampled_from(["missing", "all"])),
        backup_accepts=draw(st.booleans()),
    )


@given(design=designs())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_expectation_against_the_played_process(design):
    assert max(map(abs, z_scores(design)), default=0) < 4.5
