"""Slow hours and slow runs: found apart from passes, told by an anchor, carried by intervals."""

from dataclasses import replace

import numpy as np
import pytest
from known_machines import calibration_pieces, noisy, planted

from ssdsim.calibration.calibration_plan import anchor as anchor_visits
from ssdsim.calibration.fit import Calibration
from ssdsim.calibration.fitted_machine import machine
from ssdsim.calibration.machine_state import Anchor, anchor, draw_slowdown, draw_state
from ssdsim.calibration.predictive_distribution import another
from ssdsim.calibration.stalled_passes import lost, stalled

HOURS = ((1.0, 1.0), (1.3, 1.1), (0.9, 1.0))
VISITS = anchor_visits((1, 2, 4), (1, 4, 8, 12))


def hour(target, draft, sitting):
    """Return the pieces of a sitting in which both models are slower by a factor."""
    slow = planted(target_factor=target, draft_factor=draft)
    pieces = calibration_pieces(lambda _: slow, repeats=1, seed=sitting, tokens=20)
    return [replace(one, sitting=sitting, visit=100 * sitting + one.visit) for one in pieces]


@pytest.fixture(scope="module")
def fit():
    """Return the fit of three sittings, one much slower than the others."""
    pieces = [piece for at, of in enumerate(HOURS) for piece in hour(*of, at)]
    return Calibration(pieces).fit


def test_hours_are_told_apart_from_passes(fit):
    middle = np.exp(np.mean(np.log(HOURS), axis=0))
    for sitting, expected in enumerate(HOURS):
        found = [fit.levels[sitting][lane] for lane in ("target", "draft")]
        assert found == pytest.approx(expected / middle, rel=2e-3)
    found, right = machine(fit).target, planted(target_factor=middle[0]).target
    for size in (1, 2, 3, 5):
        assert found.seconds("verify", 1, size, 60) == pytest.approx(
            right.seconds("verify", 1, size, 60), rel=5e-3
        )
    runs = [factor for of in fit.effects.values() for run in of for factor in run.values()]
    assert runs == pytest.approx(np.ones(len(runs)), abs=0.01)


def test_an_anchor_tells_the_hour_of_either_model(fit):
    slow = planted(target_factor=1.5, draft_factor=0.8)
    pieces = calibration_pieces(lambda _: slow, repeats=1, visits=VISITS, tokens=20)
    found, middle = anchor(fit, pieces), np.exp(np.mean(np.log(HOURS), axis=0))
    assert found.runs == len(VISITS) == 6
    assert found.state["target"] == pytest.approx(1.5 / middle[0], rel=0.01)
    assert found.state["draft"] == pytest.approx(0.8 / middle[1], rel=0.01)


def test_runs_held_up_do_not_move_an_anchor(fit):
    calls = iter(range(100))

    def bursts(_):
        return planted(target_factor=3.0) if next(calls) in {1, 4} else planted()

    pieces = calibration_pieces(bursts, repeats=1, visits=VISITS, tokens=20)
    middle = np.exp(np.mean(np.log(HOURS), axis=0))
    assert anchor(fit, pieces).state["target"] == pytest.approx(1 / middle[0], rel=0.02)


def states(fit, known=None, count=400):
    rng = np.random.default_rng
    return [draw_state(fit, rng([at, 0]), rng([at, 1]), known) for at in range(count)]


def test_without_an_anchor_a_run_may_meet_any_hour(fit):
    found = [state["target"] for state in states(fit)]
    assert np.median(found) == pytest.approx(1.0, abs=0.05)
    assert np.quantile(found, 0.95) > 1.3
    assert np.quantile(found, 0.05) < 0.8


def test_with_one_it_meets_that_hour(fit):
    found = states(fit, Anchor({"target": 1.4, "draft": 1.1}, 6))
    assert [state["target"] for state in found] == pytest.approx(1.4 * np.ones(400), rel=0.02)
    assert [state["draft"] for state in found] == pytest.approx(1.1 * np.ones(400), rel=0.02)


def test_of_one_sitting_another_hour_is_guessed(fit):
    one = replace(fit, levels={0: {"target": 1.0, "draft": 1.0}}, effects={0: fit.effects[0]})
    logs = np.log([[state[lane] for lane in ("target", "draft")] for state in states(one)])
    low, high = np.quantile(logs[:, 0], [0.05, 0.95])
    assert high - low == pytest.approx(2 * 2.92 * 0.1 * np.sqrt(2), rel=0.2)  # t, 2 degrees
    assert np.corrcoef(logs.T)[0, 1] > 0.3


def test_an_anchor_counts_for_less_where_spells_are_long(fit):
    fast = [{"target": 0.8, "draft": 0.8}] * 20
    slow = [{"target": 1.25, "draft": 1.25}] * 20
    effects = {sitting: [*fast, *slow] for sitting in fit.effects}
    spells, hours = np.log(1.25) ** 2, np.log(np.array(HOURS)[:, 0])
    between = (2 * 0.1**2 + np.square(hours - hours.mean()).sum()) / 4
    known = Anchor({"target": 1.4}, 6)
    drawn = states(replace(fit, effects=effects), known)
    found = np.log([state["target"] for state in drawn])
    expected = np.log(1.4) * between / (between + spells)
    assert found.mean() == pytest.approx(expected, abs=0.03)
    within = between * spells / (between + spells)
    assert found.std() == pytest.approx(np.sqrt(within + spells), rel=0.15)


def test_runs_of_an_hour_share_it_and_have_their_own_luck():
    pieces = calibration_pieces(lambda rng: noisy(rng, 0.05, 0.01), repeats=1, tokens=20)
    noise = Calibration(pieces).fit
    rng, hours = np.random.default_rng, np.random.default_rng([3])
    known = Anchor({"target": 1.0}, 6)
    same = [draw_state(noise, rng([3]), rng([at]), known)["target"] for at in range(200)]
    assert np.std(np.log(same)) == pytest.approx(0.05, rel=0.5)
    others = [draw_state(noise, hours, rng([3]), known)["target"] for _ in range(200)]
    assert len(set(others)) > 10  # what the anchor missed


def test_runs_differ_in_how_much_both_models_slow_each_other(fit):
    met = [{"target": 1.0, "draft": 1.1}, {"target": 1.2}]
    known = replace(fit, slowdown={"target": 1.1, "draft": 1.1}, sharings=met)
    centre = replace(fit, slowdown={"target": 1.21, "draft": 1.05})
    rng = np.random.default_rng(0)
    found = [draw_slowdown(known, centre, rng) for _ in range(40)]
    assert {round(one["target"], 4) for one in found} == {1.1, 1.32}  # 1.21 x 1.0 or 1.2 over 1.1
    assert {round(one["draft"], 4) for one in found} == {1.05}
    never = draw_slowdown(replace(known, sharings=()), centre, rng)
    assert never == centre.slowdown


def test_another_of_many_is_one_of_them():
    members = np.random.default_rng(0).multivariate_normal([1, 2], [[4, 1], [1, 1]], 400)
    found = np.array([another(members, np.random.default_rng(at)) for at in range(4000)])
    assert found.mean(axis=0) == pytest.approx(members.mean(axis=0), abs=0.1)
    assert np.cov(found.T) == pytest.approx(np.cov(members.T), abs=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 6])
def test_nine_in_ten_lie_where_nine_in_ten_of_another_would(count):
    inside = []
    for at in range(400):
        members = np.random.default_rng([at]).normal(size=count + 1)
        draws = [another(members[1:], np.random.default_rng([at, n])) for n in range(60)]
        low, high = np.quantile(draws, [0.05, 0.95])
        inside.append(low <= members[0] <= high)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.05)


def test_one_of_one_is_all_that_is_known():
    assert another(np.array([[1.0, 2.0]]), np.random.default_rng(0)).tolist() == [1.0, 2.0]


def test_runs_that_were_held_up_are_named():
    pieces = calibration_pieces(lambda _: planted(), repeats=1, tokens=20)
    assert stalled(pieces) == {}
    own = [at for at, piece in enumerate(pieces) if piece.visit == 2]
    verifies = [at for at in own if pieces[at].kind == "verify"]
    total = sum(pieces[at].seconds for at in own)
    slow = pieces[verifies[0]]
    pieces[verifies[0]] = replace(slow, seconds=slow.seconds + total)
    found = stalled(pieces)
    assert list(found) == ["0.2"]
    assert found["0.2"] == pytest.approx(0.5, abs=0.02)
    assert lost([]) == 0.0
