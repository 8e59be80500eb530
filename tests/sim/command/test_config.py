"""From a command line to a setup: what is wrong is said in one line."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import TINY, refused
from refusals import COMMON

from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.sampling.settings import Sampling

LLAMA = "profile=h100x4_llama70b_1b"
ECHOING = ("latency=constant", "acceptance=language_model", "drafter=ngram")


# What is asked for, and what the line must hold: option, value, and what would be right.
WRONG = COMMON | {
    "plug-in without options": (("backup.x=1",), "backup.x=1", "there are none"),
    "added to a plug-in": (("+policy.x=1",), "policy.x=1", "budget, prior, ranks"),
    "unknown profile": (
        ("profile=nosuch",),
        "profile=nosuch",
        "demo, duet_llama2_70b, eagle_vicuna7b, h100_llama31_8b_eagle3, h100x4_llama70b_1b",
    ),
    "unknown launcher": (("hydra/launcher=nosuch",), "nosuch", "basic, joblib"),
    "open bracket": (("policy.fanout=[3",), "policy.fanout=[3", "OPTION=VALUE"),
    "fraction for a count": (("batch=1.5",), "batch=1.5", "integer"),
    "alpha": (("acceptance=iid", "acceptance.alpha=1.5"), "acceptance.alpha=1.5", "[0, 1]"),
    "nan": (("acceptance=iid", "acceptance.alpha=nan"), "acceptance.alpha=nan", "finite"),
    "negative fan-out": (
        ("policy=uniform_fanout", "policy.fanout=-1"),
        "policy.fanout=-1",
        ">= 0",
    ),
    "negative in a list": (
        ("policy=fixed_fanout", "policy.fanout=[3,-1]"),
        "policy.fanout=[3, -1]",
        ">= 0",
    ),
    "word in a list": (
        ("policy=fixed_fanout", "policy.fanout=[3,a]"),
        "policy.fanout.1='a'",
        "integer",
    ),
    "budget": (("policy.budget=0",), "policy.budget=0", '>= 1 or "verify"'),
    "word for a budget": (("policy.budget=all",), "policy.budget='all'", "'verify'"),
    "coupling": (("coupling=none",), "coupling='none'", "'maximal' or 'gumbel'"),
    "saguaro": (("saguaro.constant=0",), "saguaro.constant=0.0", "from 1e-30 to 1"),
    "word for saguaro": (("saguaro.fanout=x",), "saguaro.fanout='x'", "integer"),
    "required": (("acceptance=recorded",), "acceptance.path", "needs a value"),
    "hazard without tables": (("acceptance=hazard",), "acceptance.at", "needs a value"),
    "no trace": (
        ("acceptance=recorded", "acceptance.path=/nosuch"),
        "/nosuch",
        "not readable as an acceptance trace",
    ),
    "temperature not logged": ((LLAMA, "temperature=0.3"), "temperature=0.3", "[0.0, 0.7]"),
    "no token ids": (("backup=ngram",), "backup='ngram'", "recorded, language_model"),
    "lookup without token ids": (
        ("drafter=ngram",),
        "drafter='ngram'",
        "needs an acceptance source with token ids (recorded, language_model)",
    ),
    "lookup for a method with a model": (
        ("method=pearl", "drafter=ngram"),
        "drafter: has no effect",
        "method=pearl has a draft model",
        "speculative and ssd",
    ),
    "lookup on a device": (
        (*ECHOING, "method=speculative", "method.draft_on=own"),
        "method.draft_on: has no effect",
        "drafter=ngram runs on the host",
    ),
    "lookup cut short": (
        (*ECHOING, "method.on_outcome=prune"),
        "method.on_outcome: has no effect",
        "before an outcome arrives",
    ),
    "seconds of no draft": (
        (*ECHOING, "latency.draft.step=0.1"),
        "latency.draft.step: has no effect",
        "a lookup needs no draft model",
    ),
    "nothing to look up": (
        ("method=autoregressive", "drafter=ngram"),
        "drafter: has no effect",
        "method=autoregressive has none",
    ),
    "nested plug-in": (("backup=adaptive", "backup.fast=x"), "backup.fast='x'", "jit, marginal"),
    "nested option": (
        ("backup=adaptive", "backup.fast.seconds=-1"),
        "backup.fast.seconds=-1",
        ">= 0",
    ),
    "jitter": (
        ("latency.target_jitter={_target_: lognormal, sigma: -1}",),
        "latency.target_jitter.sigma=-1",
        "at least 0",
    ),
    "jitter without its option": (
        ("latency.target_jitter=lognormal",),
        "latency.target_jitter.sigma",
        "needs a value",
    ),
    "power": (("latency.target_power.busy=x",), "latency.target_power.busy='x'", "number"),
    "infinity": (("latency.serve=inf",), "latency.serve=inf", "finite"),
    "negative power": (("latency.draft_power.idle=-1",), "latency.draft_power.idle=-1", ">= 0"),
    "idle option": (("method=autoregressive", "lookahead=3"), "lookahead: has no effect", "none"),
    "idle profile": (
        ("profile=demo", "acceptance=iid", "latency=constant"),
        "profile=demo: has no effect",
        "acceptance, latency",
    ),
    "idle models": (("latency=constant", "pair=llama31_8b_1b"), "pair: has no effect", "roofline"),
    "unlimited link": (
        ("latency=constant", "latency.link.vocabulary=9"),
        "latency.link.vocabulary: has no effect",
        "temperature above 0",
    ),
    "another temperature's table": (
        (LLAMA, "acceptance.at.t07.hit_rate=0.5"),
        "acceptance.at.t07.hit_rate: has no effect",
        "temperature=0.7",
    ),
    "prompts of its own": (
        ("acceptance=language_model", "workload.prompt_tokens=9"),
        "workload.prompt_tokens: has no effect",
        "prompts of its own",
    ),
    "correlation of what is always the same": (
        ("workload=poisson", "workload.correlation=0.4"),
        "workload.correlation: has no effect",
        "all as long",
    ),
    "bursts like quiet times": (
        ("workload=on_off", "workload.quiet_rate=1", "workload.busy=3"),
        "workload.busy: has no effect",
        "when it is quiet",
    ),
    "negative rate": (("workload=poisson", "workload.rate=-1"), "workload.rate=-1", "> 0"),
    "greedy": (("acceptance=language_model", "coupling=gumbel"), "coupling", "greedy"),
    "source without coupling": ((LLAMA, "coupling=gumbel"), "coupling", "hazard does not"),
    "power law beside a table": (
        ("acceptance=iid", "acceptance.miss_table=[0.5]", "acceptance.miss_scale=0.1"),
        "acceptance.miss_scale: has no effect",
        "miss_table replaces it",
    ),
    "link": (("latency.link.bandwidth=0",), "latency.link.bandwidth=0", "> 0"),
    "too few devices": (("latency.target.devices=1",), "latency.target.devices=1", "at least 2"),
    "shape": (("latency.target.shape=x",), "latency.target.shape='x'", "llama31_70b"),
    "batch not in the table": (
        (LLAMA, "batch=300", "workload.prompts=300"),
        "tokens=2400",
        "covers 1 to 1024 for 'verify'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gets_one_line(name, capsys, tmp_path):
    arguments, *words = WRONG[name]
    line = refused(capsys, tmp_path / "out", *arguments)
    assert all(word in line for word in words), line


def test_out_that_cannot_be_written(capsys, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for out in (file / "run", "/proc/nosuch"):
        for sweep in ((), ("-m",)):
            line = refused(capsys, out, *sweep, *TINY)
            assert line.startswith(f"out={out}: cannot be written (")


# Recorded traces


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace"
    record(LanguageModel(), path, [Sampling(0.0)], sequences=2, tokens=20)
    return path


def drop(table):
    return table.drop_columns(["rank"])


def poison(table):
    column = pa.array([float("nan")] * len(table))
    return table.set_column(table.column_names.index("a"), "a", column)


@pytest.mark.parametrize(("damage", "word"), [(drop, "rank"), (poison, "NaN")])
def test_damaged_trace(damage, word, trace, capsys, tmp_path):
    file = trace / "acceptance.parquet"
    pq.write_table(damage(pq.read_table(file)), file)
    arguments = ("acceptance=recorded", f"acceptance.path={trace}")
    line = refused(capsys, tmp_path / "out", *arguments)
    assert str(file) in line
    assert word in line


def test_workload_longer_than_the_trace(trace, capsys, tmp_path):
    arguments = ("acceptance=recorded", f"acceptance.path={trace}", "workload.output_tokens=21")
    line = refused(capsys, tmp_path / "out", *arguments)
    assert line.startswith("workload.output_tokens=21: ")
    assert "20 recorded tokens" in line
