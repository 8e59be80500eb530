"""What the check of a GPU machine makes of its runs."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize
from known_machines import calibration_pieces, planted
from omegaconf import OmegaConf
from shapes import DRAFT, TARGET
from timelines import autoregressive, played, run_of, span

from ssdreal.command.config import register, request_from
from ssdreal.executor.simulated_twin import simulated_twin
from ssdreal.gpu_check.predictions import predicted
from ssdreal.gpu_check.verdict import Compared, Judged, compared, judged
from ssdreal.models.configs import parameters_of, read_config
from ssdsim import simulate
from ssdsim.calibration.fit import Calibration
from ssdsim.calibration.profile_file import TIMINGS, write_profile
from ssdsim.calibration.timings import to_table
from ssdsim.run.metrics import measure
from ssdsim.run.trace import SCHEMA, Recorder


def test_runs_are_held_against_the_memory_s_bound(tmp_path):
    run = saved(autoregressive(64), tmp_path / "runs" / "0", method="autoregressive")
    _, products = parameters_of(read_config("tiny_target"))
    rate = 2 * products * run.metrics["tokens_per_s"] / 0.6  # bytes/s that allow for more
    (tmp_path / "ceilings.json").write_text(json.dumps({"copy_bytes_per_s": rate}))
    (found,) = judged(tmp_path)
    assert found.name == "runs/0"
    assert found.bound == pytest.approx(0.6)
    assert found.idle == pytest.approx(0.0, abs=1e-9)
    assert list(found.failings) == ["60% of the memory's bound, under 70%"]


def test_what_lies_between_passes_is_told(tmp_path):
    rounds = [played(float(at), at + 1.0, 1) for at in range(5)]
    spans = [span("target", "verify", float(at), at + 0.9, tokens=2, used=2) for at in range(5)]
    saved(run_of(Recorder(rounds=rounds, spans=spans)), tmp_path, method="ssd")
    (found,) = judged(tmp_path)
    assert found.bound is None
    assert found.idle == pytest.approx(0.1)
    assert list(found.failings) == ["10.0% of the time outside passes, over 5%"]


def test_a_run_that_was_cut_short_is_not_judged(tmp_path):
    saved(autoregressive(8), tmp_path, complete=False)
    assert judged(tmp_path) == []


def test_a_run_that_lost_its_draft_says_so_and_is_compared_with_nothing(tmp_path):
    lost = saved(autoregressive(64), tmp_path / "ssd", method="ssd", draft_lost="out of memory")
    saved(autoregressive(64), tmp_path / "ar", method="autoregressive")
    ar, ssd = judged(tmp_path)
    assert lost.info["draft_lost"] == "out of memory"
    assert list(ssd.failings) == ["lost its draft: out of memory"]
    assert [one.ssd_over_others for one in compared([ar, ssd])] == [None]


def test_tokens_that_are_not_the_target_s_and_a_gpu_that_is_not_split_are_told(tmp_path):
    run = saved(autoregressive(64), tmp_path, method="ssd")
    run.metrics["token_mismatches"] = 3
    (device, *_) = run.info["devices"]
    device["given"] = {"target": {"whole": "the GPU could not be split"}, "draft": {"whole": ""}}
    assert list(Judged("x", run, None).failings) == [
        "3 tokens unlike the target's own",
        "the GPU could not be split",
    ]


def saved(run, folder, **info):
    """Save a run as a check makes them."""
    models = {"target": "tiny_target", "draft": "tiny_draft"}
    config = {"pair": models, "dtype": "bfloat16", "batch": 1, "split": None, "passes": "graph"}
    config |= info.pop("config", {})
    run.info |= {"schema": SCHEMA, "source": "real", "complete": True, "baselines": {}}
    run.info |= {"config": config} | info
    run.info["metrics"] = measure(run.tables, [])
    run.save_small(folder)
    return run


def scripted(*words, factor=1.0):
    """Return a simulated run like one of the check, on a machine so many times slower."""
    models = (f"pair.target={TARGET}", f"pair.draft={DRAFT}", "acceptance=iid", "topology=cpu")
    sizes = ("workload.prompts=4", "workload.output_tokens=64", "dtype=float32")
    with initialize(version_base="1.3", config_path=None):
        config = compose("real", [*models, *sizes, *words])
    setup = request_from(config, []).setup
    machine = planted(target_factor=factor, draft_factor=factor)
    run = simulate(simulated_twin(setup, setup.acceptance, machine))
    run.info["source"] = "scripted"
    run.info["config"] = {**OmegaConf.to_container(config, resolve=True), "choices": {}}
    return run


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return a folder with a profile of a known machine, as a check's would be."""
    register()
    folder = tmp_path_factory.mktemp("check")
    (folder / "gpu_shapes").mkdir()
    pieces = calibration_pieces(lambda _: planted(), repeats=1)
    pq.write_table(to_table(pieces), folder / "gpu_shapes" / TIMINGS)
    write_profile(folder / "gpu_shapes", Calibration(pieces, 0), {}, [])
    info = {"models": [TARGET, DRAFT], "split": None, "dtype": "float32", "padding": 0}
    (folder / "gpu_shapes" / "run.json").write_text(json.dumps(info))
    return folder


@pytest.mark.parametrize("words", [(), ("lookahead=4", "policy.budget=8"), ("method=pearl",)])
def test_scripted_runs_are_held_against_their_simulation(words, measured):
    for factor in (1.0, 1.25):
        run = scripted(*words, factor=factor)
        found = Judged("x", run, None, predicted(run, measured))
        assert found.error == pytest.approx(factor - 1, abs=0.03)


def test_only_what_a_profile_is_about_is_predicted(measured):
    run = scripted()
    assert predicted(run, measured) is not None
    for change in ({"split": 0.6}, {"passes": "eager"}, {"dtype": "bfloat16"}):
        other = replace(run, info={**run.info, "config": {**run.info["config"], **change}})
        assert predicted(other, measured) is None
    assert predicted(replace(run, info={**run.info, "source": "real"}), measured) is None


def said(method, speed, split=None, passes="graph", topology="one_gpu", **baselines):
    """Return a judged run of which no more is known than a few numbers."""
    pair = {"target": "t", "draft": "d"}
    info = {
        "method": method,
        "source": "scripted",
        "config": {"pair": pair, "split": split, "passes": passes, "topology": topology},
        "baselines": {name: {"tokens_per_s": value} for name, value in baselines.items()},
    }
    run = SimpleNamespace(info=info, metrics={"tokens_per_s": speed, "idle": 0.02})
    return Judged(method, run, None)


def test_pairs_are_compared_on_equal_terms():
    runs = [
        said("autoregressive", 100.0, ar=96.0),
        said("autoregressive", 20.0, passes="eager", ar=25.0),
        said("ssd", 150.0, ar=104.0, sd=140.0, same_devices=141.0),
        said("ssd", 180.0, split=0.75, ar=80.0, sd=120.0, same_devices=144.0),
        said("ssd", 170.0, split=0.9, ar=90.0, sd=130.0, same_devices=143.0),
        said("ssd", 50.0, passes="eager", ar=22.0),
    ]
    (found,) = compared(runs)
    assert found.ssd_over_others == pytest.approx(180 / 144)
    assert found.split == 0.75
    assert found.graph_over_eager == {"autoregressive": 104 / 25, "ssd": 3.0}
    runs += [said("autoregressive", 400.0, topology="two_gpus"), said("speculative", 150.0)]
    found, other = compared(runs)
    assert found.ssd_over_others == pytest.approx(180 / 150)  # a run of SD's own counts as well
    assert (other.where, other.ssd_over_others) == ("two_gpus", None)
    (alone,) = compared(runs[:1])
    nothing = {"autoregressive": None, "ssd": None}
    assert alone == Compared(("t", "d"), "one_gpu", None, None, nothing)
