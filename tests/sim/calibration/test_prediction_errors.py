"""Judging predictions, on numbers that can be checked by eye."""

import math

import pytest

from ssdsim.calibration.prediction_errors import Compared, Interval, verdict


def compared(name, predicted, *measured, low=0.0, high=1000.0, group="a", baseline=False):
    expected = (Interval(predicted, low, high),) * len(measured)
    return Compared(name, group, expected, measured, baseline)


def test_one_configuration():
    one = compared("x", 110.0, 98.0, 100.0, 104.0, low=99.0, high=120.0)
    assert one.middle == 100.0
    assert one.error == pytest.approx(0.1)
    assert one.spread == pytest.approx(0.03)
    assert one.covered == [False, True, True]


def test_errors_and_coverage_leave_baselines_out():
    found = verdict(
        [
            compared("ar", 10.0, 100.0, baseline=True, low=1.0, high=2.0),
            compared("x", 98.0, 100.0),
            compared("y", 104.0, 100.0, low=101.0),
        ]
    )
    assert (found.configurations, found.measurements) == (2, 2)
    assert found.median_error == pytest.approx(0.03)
    assert found.high_error == pytest.approx(0.0395, abs=1e-3)
    assert found.coverage == 0.5


def test_only_pairs_that_differ_by_more_than_their_spread_are_ordered():
    close = [compared("x", 90.0, 98.0, 102.0), compared("y", 95.0, 97.0, 101.0)]
    assert verdict(close).pairs == 0
    apart = [compared("x", 90.0, 100.0), compared("y", 95.0, 80.0), compared("z", 70.0, 60.0)]
    found = verdict(apart)
    assert found.pairs == 3
    assert found.ordered == pytest.approx(2 / 3)


def test_groups_are_not_ranked_against_each_other():
    found = verdict([compared("x", 90.0, 100.0), compared("y", 95.0, 80.0, group="b")])
    assert found.pairs == 0
    assert math.isnan(found.ordered)
    assert found.regret == 0.0


def test_regret_is_what_the_predicted_best_loses():
    found = verdict([compared("x", 90.0, 100.0), compared("y", 95.0, 98.0)])
    assert found.regret == pytest.approx(0.02)


def test_measurements_of_other_sittings_have_predictions_of_their_own():
    slow, fast = Interval(50.0, 45.0, 55.0), Interval(80.0, 75.0, 85.0)
    one = Compared("x", "a", (slow, slow, fast), (50.0, 44.0, 80.0))
    assert one.expected == 50.0
    assert one.error == 0.0
    assert one.covered == [True, False, True]
