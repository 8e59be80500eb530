"""What policies make of the target's early view: worked scores, and what each is worth."""

import numpy as np
import pytest
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.early_view import early_logits
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.errors import ConfigError
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.outcomes import Early, Outcome, Speculation, chain
from ssdsim.policies.exit_residual import ExitResidual
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.partial_oracle import PartialOracle
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

# One token, sent with q = .8 where the target has .2: rejected with .75, and then of the other
# candidates .5 and .3 against the draft's .15 and .05 the excess is .35 and .25. After it .9, .1.
HEARD = Speculation(
    chain(1),
    "primary",
    confidences=(0.8,),
    candidates=((0.15, 0.05), (0.6, 0.4)),
    early=Early((0.2,), ((0.5, 0.3), (0.1, 0.9))),
)


def scores(policy):
    return {
        (-node, -rank): pytest.approx(score)
        for score, node, rank in policy._scores(HEARD, HEARD.early)
    }


def test_scores_by_hand():
    after = {(1, 0): 0.25 * 0.1, (1, 1): 0.25 * 0.9}
    assert scores(ExitTarget()) == {(0, 0): 0.75 * 5 / 8, (0, 1): 0.75 * 3 / 8, **after}
    assert scores(ExitResidual()) == {(0, 0): 0.75 * 7 / 12, (0, 1): 0.75 * 5 / 12, **after}


@pytest.mark.parametrize("kind", [ExitTarget, ExitResidual])
def test_the_best_of_them_are_predicted(kind):
    assert kind().predict(HEARD, 3) == {Outcome(0, 0), Outcome(0, 1), Outcome(1, 1)}


def test_a_partial_oracle_is_right_as_often_as_said():
    known = PartialOracle(budget=3, share=0.25).start(3, np.random.default_rng(0))
    truth = Outcome(2, 1)
    speculation = Speculation(chain(3), "primary", truth=truth)
    found = [known.predict(speculation, 3) for _ in range(4000)]
    assert {len(outcomes) for outcomes in found} == {3}
    assert sum(truth in outcomes for outcomes in found) / 4000 == pytest.approx(0.25, abs=0.02)
    with pytest.raises(ConfigError, match=r"policy\.share=1\.5"):
        PartialOracle(share=1.5)


def test_an_early_view_is_as_far_off_as_asked_for():
    target = 2 * np.random.default_rng(0).standard_normal((64, 16))
    for distance in (0.0, 0.1, 0.5):
        early = early_logits(target, distance, 0.7, np.random.default_rng(1))
        p, pE = (np.exp(one / 0.7) / np.exp(one / 0.7).sum(1)[:, None] for one in (target, early))
        assert np.abs(p - pE).sum(1).mean() / 2 == pytest.approx(distance, abs=1e-6)
    with pytest.raises(
        ConfigError, match=r"acceptance\.exit_distance=0\.9: must be from 0 to 0\.6"
    ):
        LanguageModel(vocabulary=4, exit_distance=0.9)


def coverage(policy, distance):
    """Return the share of rounds whose outcome is among 8 roots of the target's early view."""
    models = LanguageModel(vocabulary=32, sharpness=3.0, divergence=0.5, order=2)
    setup = Setup(
        TwoPhase(0.3, policy, first_depth=0, second_depth=5),
        LanguageModel(**{**vars(models), "exit_distance": distance}),
        machine(step=0.1),
        Closed(4, 0, 3000),
        UniformFanout(fanout=0),
        lookahead=5,
        sampling=Sampling(0.7),
    )
    return simulate(setup).metrics["hit_rate"]


@pytest.mark.slow
def test_the_residual_is_worth_more_of_a_true_view_and_less_of_one_as_far_off_as_published():
    # Published (MESA): +.028 with true inputs, -.038 where the exit's best token is the target's
    # in 67 %; a total variation of .3 has it in 65 % here. Of that loss these models have a half.
    true, off = (
        coverage(ExitResidual(8), distance) - coverage(ExitTarget(8), distance)
        for distance in (0.0, 0.3)
    )
    assert true == pytest.approx(0.028, abs=0.02)
    assert -0.038 < off < -0.005
