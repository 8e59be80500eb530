"""The confidence sequence of paired differences: its formula, and that it holds at all times."""

from math import inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_t

from ssdsim.tune.confidence_sequence import PRIOR_VARIANCE, count_to_tell, half_width


def log_bayes_factor(differences, weight, variance):
    """Return it from the differences' densities, a Student t of several variables each."""
    n = len(differences)
    alone = variance * np.eye(n)
    with_mean = alone + variance * PRIOR_VARIANCE * np.ones((n, n))
    densities = [multivariate_t(shape=of, df=weight).logpdf for of in (with_mean, alone)]
    return densities[0](differences) - densities[1](differences)


@pytest.mark.parametrize(("weight", "variance"), [(8.0, 0.3), (2.0, 5.0), (1e-7, 1.0)])
def test_the_bayes_factor_at_its_ends_is_one_over_the_level(weight, variance):
    level, about = 0.07, np.array([0.4, -0.9, 0.1, 0.6, 0.3, -0.5])
    squares = float(np.square(about - about.mean()).sum())
    width = float(half_width(len(about), squares, level, weight, variance))
    found = log_bayes_factor(about - about.mean() + width, weight, variance)
    assert found == pytest.approx(log(1 / level), rel=1e-4)


def ever_outside(level, weight=0.0, sequences=1500, length=80, seed=3):
    """Return the share of sequences that leave the true mean, 0, outside at any time."""
    rng = np.random.default_rng(seed)
    spread = np.sqrt(weight / rng.chisquare(weight, sequences)) if weight else np.ones(sequences)
    values = spread[:, None] * rng.normal(size=(sequences, length))
    counts = np.arange(1, length + 1)
    means = values.cumsum(axis=1) / counts
    squares = np.maximum(np.square(values).cumsum(axis=1) - counts * means**2, 0.0)
    widths = [half_width(n, squares[:, n - 1], level, weight, 1.0) for n in counts]
    return float((np.abs(means) > np.column_stack(widths)).any(axis=1).mean())


@pytest.mark.parametrize("weight", [0.0, 4.0])
def test_it_holds_at_all_times_at_once(weight):
    level = 0.2
    outside = ever_outside(level, weight)
    assert outside <= level + 3 * sqrt(level * (1 - level) / 1500)
    assert outside > level / 4  # it is not wide for nothing


def test_one_time_s_own_interval_would_not_hold_at_all_times():
    """The control: Student's t at a level of 5 %, looked at after every observation."""
    from scipy.stats import t

    rng = np.random.default_rng(4)
    values = rng.normal(size=(500, 80))
    counts = np.arange(3, 81)
    means = np.array([values[:, :n].mean(axis=1) for n in counts])
    errors = np.array([values[:, :n].std(axis=1, ddof=1) / sqrt(n) for n in counts])
    outside = (np.abs(means) > t(counts - 1).ppf(0.975)[:, None] * errors).any(axis=0)
    assert outside.mean() > 0.2


@given(st.floats(0.001, 0.5), st.floats(0.01, 10.0), st.floats(0.001, 0.2))
def test_the_count_to_tell_is_the_first_one_that_does(difference, variance, level):
    count = count_to_tell(difference, variance, level)
    assert half_width(count, count * variance, level) <= difference
    assert count == 1 or half_width(count - 1, (count - 1) * variance, level) > difference


def test_what_cannot_be_told():
    assert count_to_tell(0.0, 1.0, 0.05) == inf
    assert count_to_tell(0.1, float("nan"), 0.05) == inf
    assert half_width(1, 0.0, 0.05) == inf
    assert half_width(30, 0.0, 0.05) == 0.0
