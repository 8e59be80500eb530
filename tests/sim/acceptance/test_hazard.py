"""Acceptance by position: logs go in, and the same logs come out."""

from collections import Counter

import numpy as np
import pytest
from chisquare import homogeneity
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.by_position import measured_curve
from ssdsim.acceptance.hazard import Hazard, HazardTable
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.errors import ConfigError
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

K, F = 4, 2
SAMPLING = Sampling(temperature=1.0)


def rounds(acceptance, seed, tokens=24_000):
    """Return the whole rounds after a prediction, in order."""
    setup = Setup(
        Ssd(),
        acceptance,
        machine(),
        Closed(4, 4, tokens // 4),
        UniformFanout(fanout=F),
        lookahead=K,
        sampling=SAMPLING,
        seed=seed,
    )
    found = simulate(setup).rounds
    whole = found.groupby("seq")["round"].transform("max") > found["round"]
    return found[whole & found.hit.notna()]


def logged(seen):
    """Write down what a log of these rounds would hold."""
    after = {hit: seen[seen.hit == hit] for hit in (True, False)}
    shares = {
        hit: np.bincount(part.accepted, minlength=K + 1) / len(part) for hit, part in after.items()
    }
    fanouts = (1, 2, 3, 4, 6, 8)
    curves = {
        hit: tuple(float((part["rank"] >= fanout).mean()) for fanout in fanouts)
        for hit, part in after.items()
    }
    return HazardTable(
        temperature=1.0,
        accepted_on_hit=tuple(shares[True]),
        length_on_miss=float(after[False].accepted.mean() + 1),
        accepted_on_miss=tuple(shares[False]),
        hit_rate=float(seen.hit.mean()),
        fanout=F,
        miss_fanouts=fanouts,
        miss_on_hit=curves[True],
        miss_on_miss=curves[False],
    )


def after(seen, *, hit):
    return Counter(seen[seen.hit == hit].accepted)


def steps(seen):
    """Count pairs of a round's hit and the next one's."""
    following = seen.groupby("seq").hit.shift(-1)
    return Counter(zip(seen.hit[following.notna()], following.dropna(), strict=True))


@pytest.mark.slow
def test_a_log_of_the_language_model_gives_its_rounds_again():
    plain = LanguageModel(vocabulary=32, divergence=1.0)
    table = logged(rounds(plain, seed=1, tokens=80_000))
    theirs, mine = rounds(plain, seed=2), rounds(Hazard({"log": table}), seed=3, tokens=80_000)
    for hit in (True, False):
        assert homogeneity(after(theirs, hit=hit), after(mine, hit=hit)) > 1e-3, f"hit={hit}"
    assert homogeneity(steps(theirs), steps(mine)) > 1e-3
    assert table.hit_rate == pytest.approx(mine.hit.mean(), abs=0.01)


@pytest.mark.slow
def test_another_log_is_told_apart():
    plain = LanguageModel(vocabulary=32, divergence=1.0)
    table = logged(rounds(LanguageModel(vocabulary=32, divergence=0.6), seed=1))
    theirs, mine = rounds(plain, seed=2), rounds(Hazard({"log": table}), seed=3)
    assert homogeneity(after(theirs, hit=True), after(mine, hit=True)) < 1e-6


def test_a_mean_alone_scales_the_hazards_after_a_hit():
    table = HazardTable(0.0, (0.2, 0.2, 0.6), 2.0, 0.8, 3, (2, 4), (0.2, 0.1), (0.4, 0.2))
    easy, hard = table.difficulties()
    assert easy.reject == pytest.approx([0.2, 0.25])
    factor = hard.reject[0] / 0.2
    assert hard.reject == pytest.approx([0.2 * factor, 0.25 * factor])
    alive = np.cumprod(1 - np.array(hard.reject))
    assert 1 + alive.sum() == pytest.approx(2.0)


def test_the_miss_curves_are_scaled_to_the_hit_rate():
    table = HazardTable(0.0, (0.2, 0.2, 0.6), 2.0, 0.8, 3, (2, 4), (0.2, 0.1), (0.4, 0.2))
    easy, hard = table.difficulties()
    e, h = easy.miss(3), hard.miss(3)
    assert h == pytest.approx(2 * e)
    assert (1 - h) / (1 - h + e) == pytest.approx(0.8)


def test_a_measured_curve_goes_through_its_points_and_never_rises():
    curve = measured_curve((2, 4, 8), (0.4, 0.2, 0.15))
    assert [curve(F) for F in (2, 4, 8, 64)] == pytest.approx([0.4, 0.2, 0.15, 0.15])
    assert curve(0) == 1.0
    assert curve(1) == pytest.approx(0.8)  # the first segment goes on
    values = [curve(F) for F in range(100)]
    assert values == sorted(values, reverse=True)


def test_an_unlogged_temperature_is_refused():
    table = HazardTable(0.7, (0.2, 0.2, 0.6), 2.0, 0.8, 3, (2, 4), (0.2, 0.1), (0.4, 0.2))
    with pytest.raises(ConfigError, match=r"temperature=0.5: .*\[0.7\]"):
        Hazard({"log": table}).open(Sampling(0.5), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"accepted_on_hit": (0.5, 0.2)}, "accepted_on_hit"),
        ({"accepted_on_miss": (0.5, 0.2)}, "accepted_on_miss"),
        ({"length_on_miss": 9.0}, "length_on_miss=9.0: needs a mean from 1 to K"),
        ({"hit_rate": 1.5}, "hit_rate"),
        ({"miss_fanouts": (4, 2)}, "miss_fanouts"),
        ({"miss_on_hit": (0.1, 0.2)}, "miss_on_hit"),
    ],
)
def test_impossible_logs_are_refused(change, problem):
    good = {
        "temperature": 0.0,
        "accepted_on_hit": (0.2, 0.2, 0.6),
        "length_on_miss": 2.0,
        "hit_rate": 0.8,
        "fanout": 3,
        "miss_fanouts": (2, 4),
        "miss_on_hit": (0.2, 0.1),
        "miss_on_miss": (0.4, 0.2),
    }
    with pytest.raises(ConfigError, match=rf"acceptance\.{problem}"):
        HazardTable(**{**good, **change})
