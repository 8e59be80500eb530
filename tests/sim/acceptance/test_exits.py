"""A trace with an early view in it replays what the pair itself would say in mid-verify."""

from dataclasses import replace

import pytest
from numpy.random import default_rng
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.acceptance.recorded import Recorded
from ssdsim.errors import ConfigError
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed
from traces import damage, refused

PAIR, KNOWN = LanguageModel(order=2, exit_distance=0.2), Sampling(0.7, "gumbel")


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    path = tmp_path_factory.mktemp("exits")
    record(PAIR, path, [KNOWN], sequences=2, tokens=40, seed=3, exit_layers=(7, 9))
    return str(path)


def test_early_views_come_back_as_far_as_the_text_goes(trace):
    live = PAIR.open(KNOWN, default_rng(3)).text(1)
    replay = Recorded(trace, exit_layer=7).open(KNOWN, default_rng(0)).text(1)
    for _ in range(6):
        speculations = [text.speculate(4, "primary") for text in (live, replay)]
        mine, recorded = (
            text.early(one) for text, one in zip((live, replay), speculations, strict=True)
        )
        node = speculations[0].truth.node
        assert recorded.sent[:node] == pytest.approx(mine.sent[:node], abs=1e-6)
        for own, other in zip(mine.candidates, recorded.candidates[: node + 1], strict=False):
            assert other == pytest.approx(own, abs=1e-6)
        for text, one in zip((live, replay), speculations, strict=True):
            text.commit(one, node + 1)


def test_a_recorded_view_is_predicted_by(trace, tmp_path):
    setup = Setup(
        TwoPhase(0.3, ExitTarget(4), first_depth=3, second_depth=3),
        Recorded(trace),
        machine(step=0.05),
        Closed(2, 0, 30),
        lookahead=3,
        sampling=KNOWN,
    )
    told = simulate(setup).metrics["hit_rate"]
    alone = simulate(replace(setup, method=TwoPhase(0.3, first_depth=3))).metrics["hit_rate"]
    assert told > alone
    without = damage(trace, tmp_path, info=lambda known: {**known, "exit_layers": []})
    with pytest.raises(ConfigError, match=r"method\.second='exit_target': needs an acceptance"):
        simulate(replace(setup, acceptance=Recorded(without)))


def test_layers_that_cannot_be_are_refused(trace, tmp_path):
    with pytest.raises(ConfigError, match=r"acceptance\.exit_layer=8: .* has \[7, 9\]"):
        Recorded(trace, exit_layer=8).open(KNOWN, default_rng(0))
    uneven = damage(trace, tmp_path, info=lambda known: {**known, "exit_layers": [1, 2, 3]})
    refused(uneven, "'exit_ids' has lists of 32, must have as many for each of 3 layers", KNOWN)
