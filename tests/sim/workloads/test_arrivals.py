"""Arrivals have the rates and the burstiness that they are asked for."""

from math import exp

import numpy as np
import pytest
from scipy.stats import gamma as gamma_law
from scipy.stats import kstest

from ssdsim.workloads.gamma import Gamma
from ssdsim.workloads.on_off import OnOff
from ssdsim.workloads.poisson import Poisson


def arrivals(workload, seed=0):
    return np.array([request.arrival for request in workload.requests(seed)])


def gaps(workload, seed=0):
    return np.diff(arrivals(workload, seed), prepend=0.0)


def dispersion(times, seconds):
    """Return the variance over the mean of the counts in windows of so many seconds."""
    windows = np.arange(0.0, times[-1], seconds)
    counts = np.histogram(times, windows)[0]
    return counts.var() / counts.mean()


def expected_dispersion(workload, seconds):
    """Return it of a two-state MMPP (Fischer and Meier-Hellstern 1993)."""
    on, off = workload.busy, workload.quiet
    busy = workload.rate * (on + off) / (on + workload.quiet_rate * off)
    spread = busy * (1 - workload.quiet_rate)
    s = 1 / on + 1 / off
    most = 2 * spread**2 * on * off / ((on + off) ** 2 * workload.rate * s)
    return 1 + most * (1 - (1 - exp(-s * seconds)) / (s * seconds))


@pytest.mark.parametrize("rate", [0.01, 4.0, 1e6])
def test_gaps_of_poisson_arrivals_are_exponential(rate):
    assert kstest(gaps(Poisson(4000, rate)) * rate, "expon").pvalue > 0.01


@pytest.mark.parametrize("burstiness", [0.1, 1.0, 7.0])
def test_gaps_of_gamma_arrivals_have_their_shape(burstiness):
    found = Gamma(4000, 2.0, burstiness=burstiness).gaps(np.random.default_rng(1))
    assert kstest(found, gamma_law(burstiness, scale=0.5 / burstiness).cdf).pvalue > 0.01
    assert found.std() / found.mean() == pytest.approx(burstiness**-0.5, rel=0.1)


@pytest.mark.parametrize("seconds", [0.5, 4.0, 20.0])
@pytest.mark.parametrize("quiet", [0.0, 0.3, 1.0])
def test_on_off_arrivals_are_dispersed_as_such_a_process_is(quiet, seconds):
    workload = OnOff(150_000, 5.0, busy=2.0, quiet=6.0, quiet_rate=quiet)
    found, within = arrivals(workload), expected_dispersion(workload, 1e9)
    assert len(found) / found[-1] == pytest.approx(5.0, rel=3 * (within / 150_000) ** 0.5)
    expected = expected_dispersion(workload, seconds)
    assert dispersion(found, seconds) == pytest.approx(expected, rel=0.12)


def test_on_off_arrivals_begin_in_the_long_run():
    """The first second sees as many as any other, over many seeds."""
    workload = OnOff(60, 5.0, busy=2.0, quiet=6.0)
    counts = [(arrivals(workload, seed) < 1).sum() for seed in range(1500)]
    assert np.mean(counts) == pytest.approx(5.0, abs=3 * np.std(counts) / 1500**0.5)


def test_causes_have_streams_of_their_own():
    """More rate is the same arrivals in less time, and leaves the lengths alone."""
    slow, fast = Poisson(50, 1.0).requests(7), Poisson(50, 2.0).requests(7)
    assert [one.arrival / 2 for one in slow] == pytest.approx([one.arrival for one in fast])
    assert [one.output_tokens for one in slow] == [one.output_tokens for one in fast]
    assert arrivals(Poisson(50), 1).tolist() != arrivals(Poisson(50), 2).tolist()
