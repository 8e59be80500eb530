"""A measured run simulated again: with its own outcomes and durations nothing is left to miss."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from known_machines import calibration_pieces, noisy, planted

from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.calibration.error_causes import Causes, causes
from ssdsim.calibration.fit import Calibration
from ssdsim.calibration.machine_state import Nearby
from ssdsim.calibration.resimulation import with_own_durations, with_own_outcomes
from ssdsim.drafters.ngram import Ngram as NgramDrafter
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.errors import ConfigError
from ssdsim.latency.jitter import Lognormal
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

SCATTER = {"target_jitter": Lognormal(0.2), "draft_jitter": Lognormal(0.2)}
SETUP = Setup(
    Ssd(),
    LanguageModel(),
    planted(**SCATTER),
    Closed(3, 20, 60),
    policy=UniformFanout(fanout=2),
    lookahead=3,
    sampling=Sampling(0.7),
)
SETTINGS = [
    {"method": Autoregressive()},
    {"method": Speculative()},
    {"method": Speculative(), "batch": 3},
    {"method": Ssd("wait")},
    {"method": Ssd("prune")},
    {"method": Ssd("truncate")},
    {"method": Ssd("wait"), "batch": 3},
    {"method": Ssd("prune"), "policy": TopkOutcomes(budget=5)},
    {"method": Ssd("truncate"), "policy": TopkOutcomes(budget=12), "lookahead": 5},
    {"method": Ssd("wait"), "backup": Ngram()},
    {"method": Ssd("prune"), "backup": Random()},
    {"method": Pearl(), "lookahead": 5, "sampling": Sampling()},
    {"method": Amusd(), "sampling": Sampling()},
    {"method": Amusd(), "lookahead": 5, "sampling": Sampling()},
]


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_own_outcomes_and_durations_give_the_run_itself(changes):
    setup = replace(SETUP, **changes)
    run = simulate(setup)
    again = simulate(with_own_durations(with_own_outcomes(setup, run), run, 3.5e-4))
    for column in ("seq", "round", "drafted", "speculator", "accepted", "predicted"):
        assert again.rounds[column].tolist() == run.rounds[column].tolist(), column
    hits = [of.rounds.hit.astype("object").tolist() for of in (again, run)]
    assert hits[0] == hits[1]
    assert again.rounds.end.to_numpy() == pytest.approx(run.rounds.end.to_numpy(), rel=1e-9)


def test_another_dispatch_time_is_missed():
    run = simulate(SETUP)
    again = simulate(with_own_durations(with_own_outcomes(SETUP, run), run, 7e-4))
    assert again.rounds.end.iloc[-1] > 1.01 * run.rounds.end.iloc[-1]


def test_own_outcomes_alone_keep_the_rounds_at_other_durations():
    run = simulate(SETUP)
    slower = replace(SETUP, machine=planted(verify=(0.03, 0.002)))
    again = simulate(with_own_outcomes(slower, run))
    assert again.rounds.accepted.tolist() == run.rounds.accepted.tolist()
    assert again.rounds.end.iloc[-1] > 1.3 * run.rounds.end.iloc[-1]


def test_causes_add_up_to_the_error():
    found = Causes(50.0, 49.0, 51.0, 50.0, 53.0, 52.0)
    steps = found.steps()
    assert steps == pytest.approx(
        {
            "scheduling": -0.02,
            "durations": 0.04,
            "contention": -0.02,
            "drift": 0.06,
            "acceptance": -0.02,
        }
    )
    assert sum(steps.values()) == pytest.approx(52.0 / 50.0 - 1)


def test_each_wrong_guess_is_a_step_of_its_own():
    """A profile of a known machine explains a run in a slow hour, with more contention than its."""
    pieces = calibration_pieces(lambda _: planted(), repeats=1)
    profile = SimpleNamespace(calibration=Calibration(pieces))
    slow = planted(target_factor=1.3, draft_factor=1.3, slowdown=(1.4, 1.4))
    run = simulate(replace(SETUP, machine=slow, sampling=Sampling()))
    met = {"target": 1.3, "draft": 1.3}
    nearby = Nearby({}, met, {"target": 1.4, "draft": 1.4})
    found = causes(run, replace(SETUP, sampling=Sampling()), profile, nearby, 12.0).steps()
    assert abs(found["scheduling"]) < 1e-6
    assert abs(found["durations"]) < 0.02
    assert found["contention"] > 0.1
    assert found["drift"] > 0.2
    known = Nearby(met, met, {"target": 1.12, "draft": 1.06})
    found = causes(run, replace(SETUP, sampling=Sampling()), profile, known, 12.0).steps()
    assert found["durations"] > 0.1
    assert abs(found["contention"]) < 0.02
    assert found["drift"] == 0.0


def test_moods_are_seeded():
    import numpy as np

    machines = [noisy(np.random.default_rng(4)) for _ in range(2)]
    runs = [simulate(replace(SETUP, acceptance=Iid(), machine=one)) for one in machines]
    assert runs[0].tables["rounds"].equals(runs[1].tables["rounds"])


def test_what_a_lookup_drafted_is_not_explained():
    looked_up = replace(SETUP, method=Speculative(), drafter=NgramDrafter(), sampling=Sampling())
    run = simulate(looked_up)
    with pytest.raises(ConfigError, match=r"^drafter=.*: rounds do not tell what it found"):
        with_own_outcomes(looked_up, run)
