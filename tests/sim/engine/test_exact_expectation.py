"""The exact expectation: by hand, by closed forms, and against the same process played."""

import math
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssdsim import theory
from ssdsim.errors import ConfigError
from ssdsim.theory.expectation import (
    Design,
    Law,
    Times,
    expect_autoregressive,
    expect_speculative,
    expect_ssd,
)
from ssdsim.theory.markov import count, stationary

SHARES = st.floats(0.0, 1.0)


def uniform(F):
    return lambda length: (F,) * (length + 1)


def power(scale, exponent):
    return lambda F: min(1.0, scale * F**-exponent) if F else 1.0


def constant(verify=1.0, glue=0.0, tree=0.0, backup=0.0, handshake=0.0):
    return Times(handshake, *(lambda _, __, s=s: s for s in (verify, glue, tree, backup)))


def rising(F):
    return (1.0, 0.2, 0.4)[min(F, 2)]


def iid(alpha, tail, **more):
    return Law(((1 - alpha,),) * 2, (tail,) * 2, **more)


RANDOM_LAW = Law(((0.1, 0.05), (0.3,)), (power(0.4, 0.7), power(0.8, 0.5)), 3)
UNITS = constant()


@pytest.mark.parametrize(
    "call",
    [
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


def test_thousands_of_rows_are_counted():
    shares = count([(4096, np.array([0.5, 0.5]))])
    assert shares.sum() == pytest.approx(1)
    assert shares @ np.arange(4097) == pytest.approx(2048)


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
    K, law = 5, iid(0.8, power(0.4, 0.7), backup_accepts=accepts)
    hit = 1 - law.tail[0](3)
    times = constant(tree=step, backup=0.7)
    design = Design(law, times, K, uniform(3), batch)
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
            accepted = self.accepted(hard, length) * (design.law.backup_accepts | ~backup)
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
            (draw(hazards), draw(hazards)),
            (draw(tails), draw(tails)),
            draw(st.integers(0, 4)),
            draw(st.booleans()),
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
    )


@pytest.mark.slow
@given(design=designs())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_expectation_against_the_played_process(design):
    assert max(map(abs, z_scores(design)), default=0) < 4.5
