"""Worlds: acceptance, times and batch changed, exactly where that can be said."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng
from scripted import machine

from ssdsim import Setup, expect, theory
from ssdsim.acceptance.hazard import Hazard, HazardTable
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.recorded import Recorded
from ssdsim.errors import ConfigError
from ssdsim.latency.scaled import Scaled
from ssdsim.latency.table import Table
from ssdsim.methods.speculative import Speculative
from ssdsim.sampling.settings import Sampling
from ssdsim.tune.worlds import Shifted, Uncertainty, World, changed, of_world
from ssdsim.workloads.closed import Closed

SETUP = Setup(Speculative(), Iid(alpha=0.7), machine(step=0.15), lookahead=4)
LOGGED = HazardTable(0.0, (0.5, 0.3, 0.2), 2.0, 0.8, 3, (2, 4), (0.3, 0.2), (0.4, 0.3))


def opened(acceptance, sampling=None):
    return acceptance.open(sampling or Sampling(), default_rng(0))


def test_a_world_without_changes_is_the_profiles():
    assert of_world(SETUP, World(), Uncertainty()) == SETUP


@pytest.mark.parametrize("by", [-0.05, 0.1, 0.4])
def test_a_shift_of_iid_acceptance_is_exact(by):
    alpha = min(0.999, 0.7 + by)  # no draft is always right
    found = expect(changed(SETUP, World(acceptance=by))).tokens_per_s
    assert found == pytest.approx(expect(replace(SETUP, acceptance=Iid(alpha=alpha))).tokens_per_s)
    assert found == pytest.approx(theory.speculative_speedup(alpha, 4, 0.15))


def test_a_shift_of_logged_acceptance_is_of_every_position_and_stays_a_chance():
    before = opened(Hazard({"greedy": LOGGED}))
    after = opened(Shifted(Hazard({"greedy": LOGGED}), 0.3))
    for one, other in ((before.easy, after.easy), (before.hard, after.hard)):
        assert [*other.reject] == pytest.approx([max(0.001, h - 0.3) for h in one.reject])
        assert other.miss(5) == one.miss(5)
    worse = opened(Shifted(Hazard({"greedy": LOGGED}), -0.7))
    assert [*worse.easy.reject] == pytest.approx([min(1.0, h + 0.7) for h in before.easy.reject])


def means(source):
    """Return the mean acceptance of each text."""
    return np.array(
        [text.table.a[text.first : text.first + text.length].mean() for text in source.texts]
    )


@pytest.mark.parametrize("by", [-0.05, 0.03, 0.06])
def test_recorded_texts_are_taken_as_often_as_makes_the_mean(sampled_trace, by):
    sampling = Sampling(1.0)
    own = means(opened(Recorded(sampled_trace), sampling))
    tilted = opened(Shifted(Recorded(sampled_trace), by), sampling)
    taken = means(tilted)
    # Each text is taken as often as its weight says, or once more, or less.
    assert taken.mean() == pytest.approx(own.mean() + by, abs=2 * own.std() / len(taken) ** 0.5 / 2)
    assert set(taken.round(9)) <= set(own.round(9))


def test_recorded_texts_cannot_be_better_than_the_best_of_them(sampled_trace):
    with pytest.raises(ConfigError, match=r"cannot have a mean of 1\.\d+, the texts' own go from"):
        opened(Shifted(Recorded(sampled_trace), 0.9), Sampling(1.0))


def test_what_follows_from_models_cannot_be_shifted():
    with pytest.raises(ConfigError, match=r"cannot be changed by \+0\.1"):
        opened(Shifted(LanguageModel(), 0.1))


def test_times_are_longer_by_a_factor_and_verifies_steeper_by_another():
    passes = {"verify": {"tokens": [1, 9], "seconds": [1.0, 2.0]}, "step": {"seconds": 0.5}}
    table = Table(passes)
    slower, steeper = Scaled(table, 3.0), Scaled(table, 3.0, slope=2.0)
    assert slower.seconds("verify", 1, 9, 0) == 6.0
    assert slower.seconds("step", 1, 1, 0) == 1.5
    assert steeper.seconds("verify", 1, 1, 0) == 3.0
    assert steeper.seconds("verify", 1, 9, 0) == 9.0  # 3 x (1 + 2 x 1)
    assert steeper.seconds("verify", 1, 5, 0) == 6.0
    assert steeper.seconds("verify", 4, 4, 0) == slower.seconds("verify", 4, 4, 0)
    assert steeper.seconds("step", 1, 1, 0) == 1.5
    assert (steeper.devices, steeper.reads_context) == (table.devices, True)
    assert steeper.spread(table.devices + 1) is None


def test_either_models_factor_changes_the_speed_as_the_closed_form_says():
    own = expect(SETUP).tokens_per_s
    both = expect(changed(SETUP, World(target=1.25, draft=1.25))).tokens_per_s
    assert both == pytest.approx(own / 1.25)
    draft = expect(changed(SETUP, World(draft=2.0))).tokens_per_s
    assert draft == pytest.approx(theory.speculative_speedup(0.7, 4, 0.3))


def test_batch_and_workload_follow_the_world():
    setup = replace(SETUP, batch=2, workload=Closed(prompts=50, output_tokens=100))
    assert changed(setup, World(batch=0.1)).batch == 1
    assert changed(setup, World(batch=4.0)).batch == 8
    assert changed(setup, World(tokens=950)).workload.prompts == 10
    assert changed(setup, World(tokens=50, batch=4.0)).workload.prompts == 8
    assert changed(setup, World(tokens=10**6)).workload == setup.workload


def test_draws_are_the_same_for_every_candidate_and_differ_by_number_and_luck():
    uncertain = Uncertainty(0.02, 0.05)
    drawn = [of_world(SETUP, World(number), uncertain) for number in (1, 1, 2)]
    assert drawn[0].acceptance == drawn[1].acceptance != drawn[2].acceptance
    assert drawn[0].machine.draft_scale == drawn[1].machine.draft_scale
    assert drawn[0].seed != drawn[2].seed
    lucky = of_world(SETUP, World(1, luck=1), uncertain)
    assert lucky.seed != drawn[0].seed
    assert (lucky.acceptance, lucky.machine) == (drawn[0].acceptance, drawn[0].machine)


def test_draws_scatter_as_the_options_say():
    uncertain = Uncertainty(0.02, 0.05)
    worlds = [uncertain.world(0, number) for number in range(0, 4000, 2)]
    shifts = np.array([world.acceptance for world in worlds])
    factors = np.log([[world.target, world.draft] for world in worlds])
    three = 3 / np.sqrt(2000)
    assert abs(shifts.mean()) < three * 0.02
    assert shifts.std() == pytest.approx(0.02, rel=three)
    assert factors.std(axis=0) == pytest.approx([0.05, 0.05], rel=three)
    assert abs(np.corrcoef(factors.T)[0, 1]) < three
    nothing = Uncertainty(0.0, 0.0).world(0, 7)
    assert nothing == World()


def test_every_second_draw_is_the_opposite_of_the_one_before():
    one, other, next_ = (Uncertainty().world(3, number) for number in (4, 5, 6))
    assert other.acceptance == -one.acceptance
    assert other.target * one.target == pytest.approx(1)
    assert other.draft * one.draft == pytest.approx(1)
    assert next_.acceptance not in {one.acceptance, other.acceptance}
