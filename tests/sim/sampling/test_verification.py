"""The rules that verify a block: exact where they can be, chi-square where they sample."""

from collections import Counter

import numpy as np
import pytest
from chisquare import goodness
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.errors import ConfigError
from ssdsim.sampling.distributions import (
    certain,
    perturb,
    process,
    residual,
    saguaro,
    sample,
)
from ssdsim.sampling.ranking import best
from ssdsim.sampling.settings import Sampling
from ssdsim.sampling.verification import (
    verify_gumbel,
    verify_maximal,
    verify_own,
    verify_siblings,
)


def test_a_sample_never_lands_where_there_is_no_probability():
    p = np.array([0, 0.3, 0, 0.7, 0])
    edges = [2.0**-53, 0.3 - 1e-16, 0.3 + 1e-16, 1 - 2.0**-53, 1.0]
    assert [sample(p, u) for u in edges] == [1, 1, 3, 3, 3]


def test_the_residual_of_equals_is_the_target():
    p = np.array([0.25, 0.75])
    np.testing.assert_array_equal(residual(p, p), p)
    np.testing.assert_allclose(residual(p, np.array([0.5, 0.5])), [0, 1])
    np.testing.assert_allclose(residual(p, certain(1, 2)), [1, 0])


def test_a_block_ends_at_its_first_rejection():
    p, q = np.array([[0.5, 0.5], [0.1, 0.9], [1, 0]]), np.array([[0.5, 0.5], [0.5, 0.5]])
    accept = np.array([0.99, 0.15, 0.5])
    uniforms = {"accept": accept, "residual": np.full(3, 0.5), "bonus": np.full(3, 0.5)}
    assert verify_maximal(p, q, [0, 0], uniforms) == (2, 0)
    accept[1] = 0.25
    assert verify_maximal(p, q, [0, 0], uniforms) == (1, 1)
    assert verify_maximal(p[2:], q[:0], [], uniforms) == (0, 0)


def test_gumbel_keeps_what_equals_the_targets_own():
    logits = np.array([[2.0, 0, 0], [0, 2, 0], [0, 0, 2]])
    assert verify_gumbel(logits, [0, 1], 0.0) == (2, 2)
    assert verify_gumbel(logits, [0, 2], 0.0) == (1, 1)
    assert verify_gumbel(logits, [1, 1], 0.0) == (0, 0)
    assert verify_gumbel(logits[:1], [], 0.0) == (0, 0)
    assert verify_own([0, 1, 2], [0, 2]) == (1, 1)
    assert verify_gumbel(logits, [1, 1], np.array([[0, 3.0, 0]])) == (2, 1)


P = np.array([0.35, 0.05, 0.3, 0.2, 0.1])
Q = np.array([0.1, 0.4, 0.25, 0.05, 0.2])


def rejection(q, token, u, **changes):
    uniforms = {role: np.array([value]) for role, value in {**u, **changes}.items()}
    k, bonus = verify_maximal(np.stack([P, P]), q[None], [token], uniforms | {"bonus": [0, 0.5]})
    return token if k else bonus


def ordinary(u, g):  # noqa: ARG001
    return rejection(Q, sample(Q, u["propose"]), u)


def held_back(u, g):  # noqa: ARG001
    q = saguaro(Q, 0.3, 2)
    return rejection(q, sample(q, u["propose"]), u)


def sure_proposal(u, g):  # noqa: ARG001
    return rejection(certain(2, 5), 2, u)


def gumbel(u, g):  # noqa: ARG001
    token = int(best(perturb(Q, g)))
    return token if verify_gumbel(np.log([P, P]), [token], g)[0] else int(best(perturb(P, g)))


def gumbel_proposal(u, g):
    return rejection(Q, int(best(perturb(Q, g))), u)


def shared_with_the_residual(u, g):  # noqa: ARG001
    return rejection(Q, sample(Q, u["propose"]), u, residual=u["propose"])


def raw_q(u, g):  # noqa: ARG001
    return rejection(Q, sample(saguaro(Q, 0.3, 2), u["propose"]), u)


def always_accept(u, g):  # noqa: ARG001
    return sample(Q, u["propose"])


def argmax_on_a_miss(u, g):  # noqa: ARG001
    token = sample(Q, u["propose"])
    accepted = u["accept"] * Q[token] < P[token]
    return token if accepted else int(best(residual(P, Q)))


def gumbel_in_the_rejection_rule(u, g):
    token = int(best(perturb(Q, g)))
    accepted = u["accept"] * Q[token] < P[token]
    return token if accepted else int(best(perturb(residual(P, Q), g)))


def sure_proposal_as_if_sampled(u, g):  # noqa: ARG001
    return rejection(Q, 2, u)


def p_value(rule):
    rng = np.random.default_rng(5)
    trials = zip(rng.random((30000, 3)).tolist(), rng.gumbel(size=(30000, 5)), strict=True)
    roles = ("propose", "accept", "residual")
    drawn = Counter(rule(dict(zip(roles, u, strict=True)), g) for u, g in trials)
    return goodness(drawn, dict(enumerate(P)))


@pytest.mark.parametrize("rule", [ordinary, held_back, sure_proposal, gumbel, gumbel_proposal])
def test_what_is_emitted_has_the_targets_distribution(rule):
    assert p_value(rule) > 1e-3


@pytest.mark.parametrize(
    "rule",
    [
        shared_with_the_residual,
        raw_q,
        always_accept,
        argmax_on_a_miss,
        gumbel_in_the_rejection_rule,
        sure_proposal_as_if_sampled,
    ],
)
def test_the_same_test_catches_every_trap(rule):
    assert p_value(rule) < 1e-6


# Rows that are no distributions

PLANTED = {
    "NaN": np.full(4, np.nan),
    "a NaN": np.array([np.nan, 0.5, 0.3, 0.2]),
    "+inf": np.array([0.1, np.inf, 0.2, 0.3]),
    "-inf": np.array([0.4, -np.inf, 0.3, 0.3]),
    "infinities": np.array([np.inf, -np.inf, 0.5, 0.5]),
    "zeros": np.zeros(4),
}
chances = st.lists(st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0]), min_size=4, max_size=4)
targets = chances.filter(any).map(lambda weights: np.array(weights) / sum(weights))
rows = st.one_of(targets, st.sampled_from(list(PLANTED.values())))
luck = st.sampled_from([0.0, 2.0**-53, 0.3, 0.999, 1 - 2.0**-53, 1.0])


@given(st.data())
def test_what_the_target_gives_no_probability_never_comes_out(data):
    count = data.draw(st.integers(0, 3))
    p = np.array([data.draw(targets) for _ in range(count + 1)])
    q = [data.draw(rows) for _ in range(count)]
    tokens = [data.draw(st.integers(0, 3)) for _ in range(count)]
    draws = {role: [data.draw(luck)] * (count + 1) for role in ("accept", "residual", "bonus")}
    accepted, token = verify_maximal(p, q, tokens, draws)
    assert all(p[k][tokens[k]] > 0 for k in range(accepted))
    assert p[accepted][token] > 0
    assert all(np.isfinite(row).all() and row.any() for row in q[:accepted])
    if count:
        child, token = verify_siblings(p[0], q[0], tokens, draws["accept"][:count], 0.5)
        assert p[0][token] > 0
        assert child is None or np.isfinite(q[0]).all()


@pytest.mark.parametrize("case", PLANTED)
@pytest.mark.parametrize("token", range(4))
def test_beside_a_broken_draft_the_target_s_own_sample_comes_out(case, token):
    p, q = np.array([0.4, 0.0, 0.35, 0.25]), PLANTED[case]
    for uniform in np.linspace(0.005, 0.995, 100):
        draws = {"accept": [1e-9] * 2, "residual": [uniform] * 2, "bonus": [0.5] * 2}
        assert verify_maximal([p, p], [q], [token], draws) == (0, sample(p, uniform))
        found = verify_siblings(p, q, [token, token], [1e-9, 1e-9], uniform)
        assert found == (None, sample(p, uniform))


RANGE = [1e-40, 1e-320, 1e31, np.inf, np.nan, -1e-40]


@pytest.mark.parametrize("temperature", RANGE)
def test_temperatures_that_overflow_are_refused(temperature):
    for call in (lambda: process([0.0, 1.0], temperature), lambda: Sampling(temperature)):
        with pytest.raises(ConfigError, match=r"^temperature=.*must be 0 \(greedy\) or from 1e-30"):
            call()


@pytest.mark.parametrize("constant", [0.0, 1e-40, 1e-320, np.nan, -1e-9, 1.5])
def test_constants_that_vanish_are_refused(constant):
    with pytest.raises(ConfigError, match=r"^saguaro.constant=.*must be from 1e-30 to 1"):
        Sampling(1.0, saguaro_constant=constant)


@pytest.mark.parametrize("temperature", [1e-30, 1e-9, 1e9, 1e30])
@pytest.mark.parametrize("top_p", [1.0, 1e-320])
def test_extreme_temperatures_leave_distributions(temperature, top_p):
    p = process([-1e6, 3.0, -np.inf, 3.5], temperature, top_p=top_p)
    assert p.sum() == pytest.approx(1)
    assert p[2] == 0
    if temperature < 1 or top_p < 1:
        assert (p > 0).sum() == 1
    q = saguaro(p, 1e-30, 4)
    np.testing.assert_allclose(q, p)
