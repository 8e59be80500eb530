"""The command as a user meets it: help, the run directory, interruptions, sweeps."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest
from commands import TINY, refused, run

import ssdsim.simulation
from ssdsim import cli, load_run
from ssdsim.help import text
from ssdsim.methods.ssd import Ssd
from ssdsim.plugins import GROUPS, options, plugins
from ssdsim.trace import ROUNDS, SEQUENCES, SPANS

FILES = {"run.json", "sequences.parquet", "rounds.parquet", "spans.parquet"} | {
    "timeline.json",
    "timeline.png",
}
INFO = [
    "schema",
    "source",
    "complete",
    "method",
    "policy",
    "config",
    "seed",
    "created_at",
    "commit",
    "versions",
    "machine",
    "devices",
    "metrics",
    "baselines",
]
METRICS = [
    "tokens",
    "seconds",
    "tokens_per_s",
    "tokens_per_s_e2e",
    "tokens_per_s_per_device",
    "speedup_over_ar",
    "speedup_over_sd",
    "speedup_over_same_devices",
    "acceptance_length",
    "hit_rate",
    "acceptance_length_on_hit",
    "acceptance_length_on_miss",
    "draft_busy",
    "target_busy",
    "idle",
    "wasted_draft_token_fraction",
    "wasted_draft_seconds",
    "wasted_target_token_fraction",
    "energy_j",
    "ci95",
]
SPEEDUPS = ("speedup_over_ar", "speedup_over_sd", "speedup_over_same_devices")


def command(*arguments, **options):
    """Start `python -m ssdsim ARGUMENTS` as a process of its own."""
    return subprocess.Popen(  # noqa: S603 - this very command
        [sys.executable, "-m", "ssdsim", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.005)


def tables(directory):
    names = ("rounds", "spans", "sequences")
    return {name: (Path(directory) / f"{name}.parquet").read_bytes() for name in names}


# Help


def test_help_is_quick_and_light():
    code = """
import sys
sys.argv = ["ssdsim", "--help"]
from ssdsim.entry import enter
enter("ssdsim")
heavy = {"torch", "pandas", "matplotlib", "scipy.stats", "hydra", "rich"} & set(sys.modules)
assert not heavy, heavy
"""
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the above
    after = getrusage(RUSAGE_CHILDREN)  # of the processor: the machine may be busy
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


@pytest.mark.parametrize("group", GROUPS)
def test_help_lists_every_plug_in_with_its_options(group):
    lines = [line.strip() for line in text().splitlines()]
    for name, plugin in plugins(group).items():
        assert any(line.startswith(f"{name} ") for line in lines), name
        for field in options(plugin):
            starts = (f"{group}.{field.name}=", f"{group}.{field.name} (required)")
            assert any(line.startswith(starts) for line in lines), field.name


def test_help_says_what_is_required_and_how_plug_ins_nest():
    page = text()
    assert "acceptance.path (required)" in page
    assert "policy.fanout=[4,3,3,2,2]" in page
    assert "backup.fast=random" in page
    assert "_target_: ngram" in page
    assert "latency.link.latency=" in page


@pytest.mark.parametrize("columns", ["60", "100", "200"])
def test_help_fits_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    plain = [line for line in text().splitlines() if "python -m" not in line and "{" not in line]
    assert max(map(len, plain)) <= max(95, int(columns))


# The run directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run the command once, as a process, from a directory of its own."""
    here = tmp_path_factory.mktemp("here")
    process = command("latency=constant", "acceptance=iid", *TINY, cwd=here)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    (directory,) = (here / "outputs").glob("*/*")
    return directory, out, err


def test_files(finished):
    directory, _, err = finished
    assert {path.name for path in directory.iterdir()} == FILES
    assert (directory / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((directory / "timeline.json").read_text())["traceEvents"]
    assert not err  # no progress bar in a pipe


def test_info(finished):
    directory, _, _ = finished
    info = json.loads((directory / "run.json").read_text())
    assert set(INFO) <= set(info)
    assert set(METRICS) <= set(info["metrics"])
    assert (info["complete"], info["source"], info["seed"]) == (True, "sim", 0)
    assert (info["method"], info["policy"]) == ("ssd", "topk_outcomes")
    assert info["config"]["choices"]["acceptance"] == "iid"
    assert Path(info["config"]["out"]).name == directory.name
    assert all(info["metrics"][name] > 0 for name in SPEEDUPS[:2])
    assert {"ar", "sd"} <= set(info["baselines"])
    assert all(other["tokens_per_s"] > 0 for other in info["baselines"].values())


def test_tables(finished):
    run_ = load_run(finished[0])
    for name, schema in (("rounds", ROUNDS), ("sequences", SEQUENCES), ("spans", SPANS)):
        assert run_.tables[name].schema.names == schema.names
        assert len(run_.tables[name])
    assert run_.sequences.tokens.tolist() == [24] * 4


def test_what_is_printed(finished):
    directory, out, _ = finished
    assert f"run directory: outputs/{directory.parent.name}/{directory.name}\n" in out
    for word in (
        "AR",
        "best SD",
        "ssd, K=7",
        "topk_outcomes",
        "tokens/s",
        "hit rate",
        "after a hit",
    ):
        assert word in out
    assert max(map(len, out.splitlines())) <= 80


def test_same_seed_same_bytes(finished, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    assert run("latency=constant", "acceptance=iid", *TINY, f"out={again}") == 0
    assert run("latency=constant", "acceptance=iid", *TINY, "seed=1", f"out={other}") == 0
    assert tables(again) == tables(finished[0])
    assert tables(other)["rounds"] != tables(again)["rounds"]


@pytest.mark.parametrize(
    ("method", "columns", "rows"),
    [
        ("autoregressive", ["AR", "K="], {"after a hit", "hit rate"}),
        ("speculative", ["AR", "K=", "speculative, K=7"], {"after a hit", "hit rate"}),
    ],
)
def test_other_methods_print_what_they_have(method, columns, rows, capsys, tmp_path):
    assert run(f"method={method}", *TINY, f"out={tmp_path}") == 0
    out = capsys.readouterr().out
    heading = next(line for line in out.splitlines() if " AR" in line)
    assert len(heading.replace(", ", ",").split()) == len(columns)
    assert all(column in heading for column in columns)
    assert not any(row in out for row in rows)


def test_a_setup_is_compared_where_its_policy_fits_no_other_lookahead(tmp_path):
    arguments = ("policy=fixed_fanout", "policy.fanout=[2,2,2,2]", "lookahead=3")
    assert run(*arguments, *TINY, f"out={tmp_path}") == 0
    assert load_run(tmp_path).metrics["speedup_over_sd"] > 0


def test_a_baseline_that_the_times_do_not_cover_is_null(tmp_path):
    steps = "latency.draft.passes.step.tokens=[5,6]"
    colocated = "latency.colocated.passes.step.tokens=[5,6]"
    profile = "profile=h100x4_llama70b_1b"
    arguments = (profile, "method=autoregressive", colocated, f"out={tmp_path}")
    assert run(*arguments, *TINY) == 0
    metrics = load_run(tmp_path).metrics
    assert metrics["speedup_over_ar"] == 1
    assert metrics["speedup_over_sd"] is None
    assert run(profile, steps, *TINY, f"out={tmp_path / 'refused'}") == 2


# Ends before its time


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_can_be_read(interrupt, tmp_path):
    process = command("workload.prompts=100000", f"out={tmp_path}")
    wait_for(tmp_path / "run.json")
    time.sleep(0.5)
    process.send_signal(interrupt)
    time.sleep(0.02)
    process.send_signal(interrupt)  # an impatient second one
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == f"ssdsim: interrupted; what was computed is in {tmp_path}\n"
    found = load_run(tmp_path)
    assert not found.info["complete"]
    assert len(found.rounds) > 100
    assert set(found.sequences.reason) == {"length", "cut"}
    assert set(METRICS) <= set(found.metrics)


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_a_run_interrupted_in_its_comparison_is_complete(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdsim.baselines.compare", interrupted)
    assert run(*TINY, f"out={tmp_path}") == 130
    assert "interrupted" in capsys.readouterr().err
    found = load_run(tmp_path)
    assert found.info["complete"]
    assert [found.metrics[name] for name in SPEEDUPS] == [None] * 3
    assert found.metrics["tokens"] == 96
    assert (tmp_path / "timeline.png").exists()


def test_interrupted_before_it_began(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cli, "setup_from", interrupted)
    assert run(*TINY, f"out={tmp_path / 'out'}") == 130
    assert capsys.readouterr().err == "ssdsim: interrupted\n"
    assert not (tmp_path / "out").exists()


def test_a_crash_in_a_method_leaves_what_was_computed(monkeypatch, tmp_path):
    original = Ssd._look_up

    def crashing(self, session, rows):
        if len(session.recorder.rounds) == 10:
            raise RuntimeError("the method has a bug")
        return (yield from original(self, session, rows))

    monkeypatch.setattr(Ssd, "_look_up", crashing)
    with pytest.raises(RuntimeError, match="has a bug"):
        run(*TINY, f"out={tmp_path}")
    found = load_run(tmp_path)
    assert not found.info["complete"]
    assert len(found.rounds) == 10


def test_no_interrupt_tears_a_directory(monkeypatch, tmp_path):
    original = ssdsim.trace.Run.save
    torn = []

    def impatient(self, directory):
        os.kill(os.getpid(), signal.SIGINT)
        original(self, directory)
        torn.append(directory)

    monkeypatch.setattr(ssdsim.trace.Run, "save", impatient)
    assert run(*TINY, f"out={tmp_path}") == 0
    assert len(torn) == 2
    assert load_run(tmp_path).info["complete"]


# Sweeps


def sweep(out, *arguments):
    return run("-m", "policy=uniform_fanout,geometric_fanout", *arguments, *TINY, f"out={out}")


def test_a_sweep_ranks_its_runs(capsys, tmp_path):
    assert sweep(tmp_path, "lookahead=3,5") == 0
    printed = capsys.readouterr()
    assert not printed.err
    lines = printed.out.splitlines()
    named = [line for line in lines if line.startswith("#")]
    assert [line.split()[:3] for line in named] == [
        [f"#{i}", f"policy={policy}_fanout", f"lookahead={K}"]
        for i, (policy, K) in enumerate(
            [("uniform", 3), ("uniform", 5), ("geometric", 3), ("geometric", 5)]
        )
    ]
    assert f"sweep: {tmp_path}" in printed.out
    ranked = [line.split()[1:3] for line in lines if line.startswith(" ssd")]
    runs = [load_run(tmp_path / str(number)) for number in range(4)]
    runs.sort(key=lambda run_: -run_.metrics["tokens_per_s"])
    lookaheads = [f"lookahead={run_.info['config']['lookahead']}" for run_ in runs]
    assert ranked == [[r.info["policy"], K] for r, K in zip(runs, lookaheads, strict=True)]
    assert {path.name for path in (tmp_path / "0").iterdir()} == FILES
    assert runs[0].info["config"]["out"].startswith(f"{tmp_path}/")


def test_a_refused_configuration_costs_no_other(capsys, tmp_path):
    assert sweep(tmp_path, "lookahead=3,-1") == 2
    printed = capsys.readouterr()
    why = "was refused: lookahead=-1: needs a number >= 0"
    assert printed.err.splitlines() == [f"ssdsim: #{number} {why}" for number in (1, 3)]
    assert printed.out.count("\n ssd") == 2
    assert sorted(path.parent.name for path in tmp_path.glob("*/run.json")) == ["0", "2"]


def test_a_sweep_ranks_no_earlier_runs(capsys, tmp_path):
    assert sweep(tmp_path, "lookahead=3") == 0
    time.sleep(0.02)
    assert run("-m", "lookahead=3", *TINY, f"out={tmp_path}") == 0
    assert capsys.readouterr().out.rpartition("sweep:")[2].count("\n ssd") == 1


def test_a_sweep_over_an_unknown_option_leaves_nothing(capsys, tmp_path):
    line = refused(capsys, tmp_path / "out", "-m", "policy=uniform_fanout,nosuch", *TINY)
    assert line.startswith("policy=nosuch: no such option")
    line = refused(capsys, tmp_path / "out", "-m", "lookahead=3,5", "polcy=x", *TINY)
    assert line.startswith("polcy=x: no such option")


def launched(launcher, out):
    """Sweep with another launcher; it starts processes, and is a process itself."""
    process = command(
        "-m",
        "lookahead=3,-1",
        "method=speculative",
        f"hydra/launcher={launcher}",
        *TINY,
        f"out={out}",
    )
    printed, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert err == "ssdsim: #1 was refused: lookahead=-1: needs a number >= 0\n"
    assert printed.count("\n speculative") == 1
    assert load_run(out / "0").info["complete"]


def test_a_sweep_on_all_cores(tmp_path):
    launched("joblib", tmp_path)


@pytest.mark.slow
def test_a_sweep_as_submitit_jobs(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    launched("submitit_local", tmp_path)
