"""The selection, on planted worlds: what it says is so as often as it says."""

from math import exp

import numpy as np
import pytest
from numpy.random import default_rng
from planted import Planted

from ssdsim.errors import ConfigError
from ssdsim.tune.search_space import words
from ssdsim.tune.selection import LEAST, LUCKS, WITHIN, select

WORLDS = 16


def named(count):
    return [(("method", f"m{at}"),) for at in range(count)]


def selected(logs, worlds=WORLDS, confidence=0.95):
    """Return the selection among candidates with log tokens/s `logs(world)`, None where refused."""

    def speed(options, world):
        found = logs(world)
        value = None if found is None else found[int(options["method"][1:])]
        return None if value is None else exp(value)

    count = next(len(found) for at in range(WORLDS) if (found := logs(At(at))) is not None)
    candidates = named(count)
    return select(candidates, Planted(speed), worlds, confidence), candidates


class At:
    """A world of this number."""

    def __init__(self, number, luck=0):
        self.number, self.luck = number, luck


def noise(world, scale, size, key=0):
    """Return what luck does to each candidate."""
    return scale * default_rng([key, world.number, world.luck, 9]).standard_normal(size)


def shared(world, scale=0.05):
    return scale * default_rng([world.number, 8]).standard_normal()


def test_one_that_is_much_better_everywhere_is_the_best_for_sure():
    found, (one, other) = selected(lambda w: shared(w) + noise(w, 0.002, 2) + [0.0, -0.1])
    assert found.best == one
    assert found.probabilities[one] == (LEAST + 1 / 2) / (LEAST + 1)
    assert found.probabilities[other] == (1 / 2) / (LEAST + 1)
    assert found.regret[one] == pytest.approx(0, abs=1e-6)
    assert found.regret[other] == pytest.approx(1 - exp(-0.1), abs=0.002)
    assert found.race.over == "separated"
    assert len(found.seen) == LEAST
    assert len(found.race.values) == LEAST


def test_equal_ones_are_as_good_as_each_other():
    found, candidates = selected(lambda w: np.repeat(shared(w), 3))
    certain = (LEAST + 1 / 3) / (LEAST + 1)
    assert [found.probabilities[one] for one in candidates] == pytest.approx([certain] * 3)
    assert [found.regret[one] for one in candidates] == pytest.approx([0.0] * 3, abs=1e-6)
    assert found.race.over == "alike"


def test_either_of_two_may_be_the_best_where_worlds_decide():
    signs = lambda w: default_rng([w.number, 7]).standard_normal()  # noqa: E731
    found, (one, other) = selected(lambda w: np.array([0.0, 0.02 * signs(w)]))
    assert 0.2 < found.probabilities[one] < 0.8
    assert 0.2 < found.probabilities[other] < 0.8
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=0.2)
    assert found.race.over is None
    assert len(found.seen) == WORLDS


def test_luck_is_told_from_worlds():
    """One is better by 1 % in every world, and luck hides it in many of them."""
    logs = lambda w: shared(w) + noise(w, 0.008, 2, key=3) + [0.01, 0.0]  # noqa: E731
    found, (one, _) = selected(logs, 64)
    wins = (found.seen[..., 0] > found.seen[..., 1]).mean()
    assert wins < 0.9
    assert found.probabilities[one] > wins + 0.05


def test_where_speeds_lie_is_said_without_luck():
    found, (one, _) = selected(lambda w: shared(w) + noise(w, 0.001, 2) + [5.0, 4.5])
    low, high = found.interval(one)
    worlds = found.seen.mean(axis=1)[:, 0]
    middle = np.sqrt(low * high)
    assert middle == pytest.approx(exp(worlds.mean()), rel=0.02)
    assert np.log(high / low) == pytest.approx(np.ptp(worlds), rel=0.1)


def test_all_worlds_are_met_by_all_also_by_those_that_the_race_dropped():
    decided = lambda w: np.array([0, 0.03 * default_rng([w.number]).standard_normal(), -0.5])  # noqa: E731
    found, candidates = selected(decided)
    assert found.seen.shape == (WORLDS, LUCKS, 3)
    assert np.isfinite(found.seen).all()
    assert words(candidates[2]) in found.race.dropped


def test_a_candidate_that_cannot_be_in_a_world_is_the_worst_there():
    refused = lambda w: [0.0, None if w.number == 3 else 0.1]  # noqa: E731
    found, _ = selected(refused)
    assert found.seen[3, 0].tolist() == pytest.approx([0.0, np.log(0.5)])


def test_worlds_that_cannot_be_are_left_out():
    found, (one, _) = selected(lambda w: None if w.number % 2 else [0.0, -0.1])
    assert len(found.seen) == WORLDS / 2
    assert found.best == one


def test_no_world_at_all_is_an_error_that_says_how_to_do_without():
    nowhere = Planted(lambda *_: None)
    with pytest.raises(ConfigError, match=r"^it cannot be; tune\.acceptance_error=0"):
        select(named(2), nowhere, WORLDS, 0.95)


def test_a_single_candidate_is_the_best():
    found, (one,) = selected(lambda w: [shared(w)])
    assert found.probabilities == {one: 1.0}
    assert found.race.over == "separated"


def test_more_confidence_needs_more_worlds():
    logs = lambda w: np.array([0.004, 0.0]) + noise(w, 0.004, 2)  # noqa: E731
    sure, unsure = selected(logs, 64, 0.99)[0], selected(logs, 64, 0.6)[0]
    assert len(unsure.seen) < len(sure.seen)


@pytest.mark.slow
@pytest.mark.parametrize("luck", [0.0, 0.003, 0.01])
def test_probabilities_regret_and_guarantee_hold_over_plantings(luck):
    """Candidates differ in their means, and in how three causes change them, as worlds do."""
    claimed, best, regrets, broken, over = [], [], [], 0, 0
    for planting in range(400):
        rng = default_rng([planting, 5])
        count = int(rng.integers(2, 9))
        means = 0.006 * rng.standard_normal(count)
        causes = np.array([0.05, 0.02, 0.02])
        slopes = causes * (1 + 0.3 * rng.standard_normal((count, 3)))

        def logs(world, key=planting, means=means, slopes=slopes):
            causes = default_rng([key, world.number, 6]).standard_normal(3)
            return means + slopes @ causes + noise(world, luck, len(means), key)

        found, candidates = selected(logs)
        true = means + slopes @ rng.standard_normal(3)  # a world that was not looked at
        behind = true.max() - true
        claimed += found.probabilities.values()
        best += (behind <= WITHIN).tolist()
        leader = candidates.index(found.best)
        regrets.append((found.regret[found.best], -np.expm1(-behind[leader])))
        over += found.race.over is not None
        broken += found.race.over is not None and means.max() - means[leader] > WITHIN
    claimed, best = np.array(claimed), np.array(best)
    assert (claimed > 0.75).sum() > 20
    for low, high in ((0.02, 0.2), (0.2, 0.5), (0.5, 0.75), (0.75, 1.0)):
        inside = (claimed >= low) & (claimed < high)
        error = 3 * np.sqrt(0.25 / inside.sum()) + 0.03
        assert best[inside].mean() == pytest.approx(claimed[inside].mean(), abs=error)
    told, true = np.mean(regrets, axis=0)
    assert told == pytest.approx(true, rel=0.2)
    assert broken <= 0.05 * over + 3 * np.sqrt(0.05 * max(over, 1))
