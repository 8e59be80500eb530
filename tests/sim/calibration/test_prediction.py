"""Predictions of a profile whose machine and models are known: right, and as sure as they say."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from known_machines import calibration_pieces, noisy, planted

from ssdsim import simulate
from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.acceptance.trace_file import INFO, TABLE
from ssdsim.calibration.machine_state import Anchor
from ssdsim.calibration.picked_texts import Picked
from ssdsim.calibration.prediction import (
    COVERED,
    REPLICATES,
    KnownPrompt,
    Predicted,
    Profile,
    of_a_new_kind,
)
from ssdsim.calibration.profile_file import TIMINGS, write_profile
from ssdsim.calibration.timings import to_table
from ssdsim.engine.padding import padded
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.results import describe
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

PAIR = LanguageModel(vocabulary=12, order=1)
WARM = Sampling(1.0)
TOKENS = 40
MIXED = [KnownPrompt("easy", 8), KnownPrompt("hard", 8)] * 4


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """Return a profile measured on simulated machines that are now faster, now slower."""
    folder = tmp_path_factory.mktemp("traces") / "planted"
    record(PAIR, folder, [WARM], sequences=16, tokens=TOKENS)
    pieces = calibration_pieces(noisy, repeats=3)
    pq.write_table(to_table(pieces), folder / TIMINGS)
    info = json.loads((folder / INFO).read_text())
    (folder / INFO).write_text(json.dumps({**info, "padding": 0}))
    return Profile(folder)


def setup(profile, **more):
    asked = {
        "method": Ssd("prune"),
        "policy": UniformFanout(fanout=2),
        "lookahead": 3,
        "sampling": WARM,
        "workload": Closed(8, 0, TOKENS),
        **more,
    }
    return Setup(acceptance=profile.acceptance, machine=profile.machine, **asked)


def measured(asked, number):
    """Return the tokens/s of the same run on other texts, and the machine in one of its moods."""
    machine = noisy(np.random.default_rng([7, number]))
    theirs = replace(asked, acceptance=PAIR, machine=machine, seed=1000 + number)
    return simulate(theirs).metrics["tokens_per_s"]


@pytest.mark.slow
@pytest.mark.parametrize("method", [Ssd("prune"), Autoregressive()], ids=["ssd", "ar"])
def test_intervals_hold_as_many_measurements_as_they_say(profile, method):
    asked = setup(profile, method=method)
    predicted = profile.predict(asked, "x", replicates=60)
    interval = predicted.interval()
    found = [measured(asked, number) for number in range(60)]
    inside = np.mean(list(map(interval.holds, found)))
    assert 0.75 <= inside <= 1.0
    assert predicted.middle() == pytest.approx(np.median(found), rel=0.05)


def test_few_draws_hold_as_many_new_values_as_many_draws():
    draws = np.random.default_rng(0).uniform(size=(1000, REPLICATES))
    found = [Predicted({"x": tuple(row.tolist())}).interval("x") for row in draws]
    inside = [one.high - one.low for one in found]  # a new value is uniform as well
    assert np.mean(inside) == pytest.approx(COVERED, abs=4 * np.std(inside) / np.sqrt(1000))


@pytest.mark.slow
def test_an_interval_half_as_wide_does_not(profile):
    asked, hour = setup(profile), Anchor({"target": 1.0, "draft": 1.0}, 6)
    predicted = profile.predict(asked, "x", replicates=60, known=hour)  # of others it is a guess
    interval = predicted.interval()
    found = [measured(asked, number) for number in range(60)]
    quarter = (interval.high - interval.low) / 8
    half = [abs(one - interval.middle) <= quarter for one in found]
    assert np.mean(half) < 0.7


def test_predictions_are_seeded_and_states_belong_to_runs(profile):
    asked = setup(profile)
    one, same, other = (profile.predict(asked, name, replicates=6) for name in ("x", "x", "y"))
    assert one == same
    assert one.draws["tokens_per_s"] != other.draws["tokens_per_s"]  # in other moods
    assert one.draws["acceptance_length"] == other.draws["acceptance_length"]  # on the same texts


def test_what_a_run_has_not_is_nan(profile):
    predicted = profile.predict(setup(profile, method=Autoregressive()), "x", replicates=3)
    assert np.isnan(predicted.middle("hit_rate"))


def test_picked_texts_are_the_traces_own(profile):
    (names,) = profile.kinds.values()
    wanted = (names[3], names[3], names[0])
    source = Picked(profile.acceptance, wanted).open(WARM, np.random.default_rng(0))
    assert tuple(source.prompt(seq)[0] for seq in range(3)) == wanted


def test_texts_are_behind_prompts_of_the_runs_own_lengths(profile):
    asked = [KnownPrompt("other", tokens) for tokens in (7, 90)]
    found = profile.replicate(setup(profile, workload=Closed(2, 0, TOKENS)), "x", 0, asked)
    source = found.acceptance.open(WARM, np.random.default_rng(0))
    assert [source.prompt_tokens(seq) for seq in range(2)] == [7, 90]
    padding = replace(found, machine=replace(found.machine, padding=64))
    assert padded(padding, source) == (1, 4, 64 * 3)  # 90, 40 and a pass of 4
    assert source.outlined().prompt_tokens(1) == 90


def test_a_profile_file_is_the_fitted_machine(profile, monkeypatch):
    import yaml

    from ssdsim.latency.machine import Machine
    from ssdsim.options.building import build

    sections = {"acceptance": describe(profile.acceptance)}
    write_profile(profile.folder, profile.calibration, sections, ["A note."])
    text = (profile.folder / "profile.yaml").read_text()
    assert text.startswith("# A note.\n")
    assert "runs" in text.partition("acceptance")[0]
    assert build(Machine, yaml.safe_load(text)["latency"], "latency") == profile.machine
    monkeypatch.undo()


def test_a_folder_without_timings_is_no_profile(tmp_path):
    with pytest.raises(ConfigError, match=r"ssdreal\.profile"):
        _ = Profile(tmp_path).calibration


def test_planted_and_fitted_machines_are_close(profile):
    found, right = profile.machine.target, planted().target
    assert found.seconds("verify", 1, 3, 60) == pytest.approx(
        right.seconds("verify", 1, 3, 60), rel=0.03
    )


def test_speedups_are_ratios_replicate_by_replicate():
    one, base = (Predicted({"tokens_per_s": of}) for of in ((20.0, 60.0), (10.0, 20.0)))
    assert one.over(base).draws == {"tokens_per_s": (2.0, 3.0)}


def test_kinds_are_sampled_as_the_run_has_them(tmp_path, profile):
    kinds = two_kinds(tmp_path, profile)
    found = {
        kind: kinds.predict(setup(kinds), "x", replicates=12, prompts=[KnownPrompt(kind, 8)] * 8)
        for kind in ("easy", "hard")
    }
    middles = {kind: one.middle("acceptance_length") for kind, one in found.items()}
    assert middles["easy"] > 1.3 * middles["hard"]
    mixed = kinds.predict(setup(kinds), "x", replicates=12, prompts=MIXED)
    assert middles["hard"] < mixed.middle("acceptance_length") < middles["easy"]


@pytest.mark.slow
def test_an_unknown_kind_is_as_uncertain_as_kinds_differ(tmp_path, profile):
    kinds = two_kinds(tmp_path, profile)
    known = kinds.predict(setup(kinds), "x", prompts=MIXED)
    new = kinds.predict(setup(kinds), "x", prompts=[KnownPrompt("odd", 8)] * 8)
    found = [one.interval("acceptance_length") for one in (known, new)]
    widths = [one.high - one.low for one in found]
    assert widths[1] > 3 * widths[0]
    flat = of_a_new_kind(np.array([1.0, 4.0, 1.0, 4.0]), np.array([0, 1, 0, 1]))
    assert len(set(flat.tolist())) == 4
    with_zero = np.array([0.0, 4.0])
    assert of_a_new_kind(with_zero, np.array([0, 1])).tolist() == [0.0, 4.0]


def two_kinds(folder, profile):
    """Return a profile whose draft is right more often on every second prompt."""
    table = pq.read_table(profile.folder / TABLE).to_pandas()
    names = sorted(set(table.prompt))
    hard = table.prompt.isin(names[::2])
    table["kind"] = np.where(hard, "hard", "easy")
    table.loc[hard, "a"] = 0.1 * table.a[hard]
    table.to_parquet(folder / TABLE)
    for name in (TIMINGS, INFO):
        (folder / name).write_bytes((profile.folder / name).read_bytes())
    return Profile(folder)


def test_a_prediction_goes_by_the_early_view_of_the_layer_asked_for(profile, tmp_path):
    record(PAIR, tmp_path, [WARM], sequences=8, tokens=TOKENS, exit_layers=(7, 9))
    table = pq.read_table(tmp_path / TABLE).to_pandas()
    V = PAIR.vocabulary  # the deeper layer is made to hold the likeliest token for the least likely
    table["exit_p"] = [[*p[:V], *(1 - np.array(p[V:]))] for p in table.exit_p]
    table.to_parquet(tmp_path / TABLE)
    (tmp_path / TIMINGS).write_bytes((profile.folder / TIMINGS).read_bytes())
    info = json.loads((tmp_path / INFO).read_text())
    (tmp_path / INFO).write_text(json.dumps({**info, "padding": 0}))
    found = Profile(tmp_path)
    method = TwoPhase(0.3, ExitTarget(4), first_depth=0, second_depth=3)
    asked = setup(found, method=method, policy=UniformFanout(fanout=0), workload=Closed(4, 0, 30))

    def hearing(layer):
        return replace(asked, acceptance=replace(found.acceptance, exit_layer=layer))

    hits = [
        found.predict(hearing(layer), "x", replicates=3).middle("hit_rate")
        for layer in (7, 9, None)
    ]
    assert hits[0] > 1.5 * hits[1]
    assert hits[1] == hits[2], "the deepest"
    with pytest.raises(ConfigError, match=r"acceptance\.exit_layer=8: .* has \[7, 9\]"):
        found.predict(hearing(8), "x", replicates=1)
