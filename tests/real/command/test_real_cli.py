"""`python -m ssdreal` as a user meets it: help, the run directory, refusals, sweeps, texts."""

import json
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest
from contract import DETAILED, FILES, INFO, METRICS, SPEEDUPS
from real_commands import PROMPTS, SSD, TINY, Inline, refused, run

from ssdreal.command.config import GROUPS
from ssdreal.command.help import text
from ssdsim import load_run
from ssdsim.options.plugins import options, plugins
from ssdsim.run.tables import ROUNDS, SEQUENCES, SPANS

HEAVY = {"torch", "transformers", "pandas", "matplotlib", "hydra", "rich"}


def python(code, *arguments, **options):
    """Run a few lines in a process of their own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # noqa: S603 - the above


# Help


def test_help_is_quick_and_light():
    code = f"""
import sys
sys.argv = ["ssdreal", "--help"]
from ssdsim.command.entry import enter
enter("ssdreal")
heavy = {HEAVY} & set(sys.modules)
assert not heavy, heavy
"""
    before = getrusage(RUSAGE_CHILDREN)
    found = python(code)
    after = getrusage(RUSAGE_CHILDREN)
    assert found.returncode == 0, found.stderr
    assert "python -m ssdreal" in found.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_help_lists_every_option():
    lines = [line.strip() for line in text().splitlines()]
    for group in GROUPS:
        for name, plugin in plugins(group).items():
            assert any(line.startswith(f"{name} ") for line in lines), name
            for field in options(plugin):
                option = f"{group}.{field.name}"
                ways = (f"{option}=", f"{option} (required)")
                assert any(line.startswith(ways) for line in lines), option
    for option in (
        "pair",
        "dtype",
        "topology",
        "split",
        "passes",
        "prompts",
        "texts",
        "top_k",
        "top_p",
        "seed",
    ):
        assert any(line.startswith(f"{option}=") for line in lines), option


@pytest.mark.parametrize("program", ["ssdsim", "ssdreal"])
def test_help_may_be_cut_short_by_its_reader(program):
    command = [sys.executable, "-m", program, "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# What the run's own process loads


@pytest.mark.slow
def test_models_are_no_business_of_the_run_s_process(tmp_path):
    code = """
import json, sys
from ssdreal.command import cli
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["ssdreal", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        assert end.code == 2
heavy = {"torch", "transformers"} & set(sys.modules)
assert not heavy, heavy
"""
    # Refused at last: pair, prompts and their tokens have been looked at by then.
    file = tmp_path / "long.txt"
    file.write_text("much " * 9000)
    tiny = ("pair=tiny", *TINY[1:2], "workload.prompts=1", "workload.output_tokens=100000")
    default = (f"prompts={file}", "workload.prompts=1")
    out = f"out={tmp_path / 'out'}"
    found = python(code, json.dumps([(*tiny, out), (*default, out)]))
    assert found.returncode == 0, found.stderr
    first, second = found.stderr.splitlines()
    assert "workload.output_tokens" in first
    assert "prompts='line 1'" in second


@pytest.mark.slow
def test_the_light_tokenizer_is_transformers_own():
    from transformers import AutoTokenizer

    from ssdreal.executor.prompt_files import read_prompts
    from ssdreal.models.gguf_weights import converted_folder
    from ssdreal.models.tokenizers import encode_prompt, tokenizer

    light, theirs = (
        tokenizer("smollm2_135m"),
        AutoTokenizer.from_pretrained(converted_folder()),
    )
    for prompt in read_prompts(None, 48):
        turn = [{"role": "user", "content": prompt.text}]
        chat = theirs.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
        assert encode_prompt("smollm2_135m", prompt.text) == chat
        assert light.encode(prompt.text) == theirs.encode(prompt.text)
        assert light.decode(chat) == theirs.decode(chat)
    assert light.decode(range(2000)) == theirs.decode(list(range(2000)))


# The run directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run the command once; return its directory."""
    out = tmp_path_factory.mktemp("runs") / "out"
    assert run(*SSD, f"out={out}") == 0
    return out


def test_files(finished):
    assert {path.name for path in finished.iterdir()} == DETAILED | {"vocabulary.json"}
    assert (finished / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((finished / "timeline.json").read_text())["traceEvents"]


def test_info(finished):
    info = json.loads((finished / "run.json").read_text())
    assert set(INFO) <= set(info)
    assert set(METRICS) <= set(info["metrics"])
    assert (info["complete"], info["source"], info["seed"]) == (True, "real", 0)
    assert (info["method"], info["policy"], info["draft_lost"]) == ("ssd", "topk_outcomes", None)
    assert info["config"]["choices"]["pair"] == "tiny"
    assert info["config"]["workload"]["output_tokens"] == 12
    assert all(info["metrics"][name] > 0 for name in SPEEDUPS[:2])
    assert info["metrics"]["token_mismatches"] == 0
    assert all(other["tokens_per_s"] > 0 for other in info["baselines"].values())
    assert {"ar", "sd"} <= set(info["baselines"])


def test_tables(finished):
    found = load_run(finished)
    for name, schema in (("rounds", ROUNDS), ("sequences", SEQUENCES), ("spans", SPANS)):
        assert found.tables[name].schema.names == schema.names
        assert len(found.tables[name])
    assert found.sequences.tokens.tolist() == [12, 12]
    assert found.sequences.prompt.tolist() == ["first", "second"]
    assert found.sequences.kind.tolist() == ["text", "text"]
    assert [len(output) for output in found.sequences.output] == [12, 12]


def test_what_is_printed(capsys, tmp_path):
    assert run(*SSD, f"out={tmp_path}", "texts=true") == 0
    printed = capsys.readouterr()
    assert not printed.err
    for word in ("AR", "best SD", "ssd, K=4", "topk_outcomes", "tokens unlike the target's"):
        assert word in printed.out
    assert printed.out.endswith(f"run directory: {tmp_path}\n")
    texts = [line for line in printed.out.splitlines() if line.startswith("---")]
    assert texts == ["--- first ---", "--- second ---"]
    # The tiny tokenizer writes a character a token.
    (output, _) = load_run(tmp_path).sequences.output
    assert "".join(chr(64 + token) for token in output) in printed.out


def test_a_text_may_end_itself(monkeypatch, tmp_path):
    monkeypatch.setattr("ssdreal.executor.baselines.compare", lambda *_: {})
    drawn = ("method=autoregressive", "temperature=1", "workload.output_tokens=80", "seed=3")
    assert run(*TINY, *drawn, f"out={tmp_path / 'on'}") == 0
    assert run(*TINY, *drawn, "workload.stop_at_end=true", f"out={tmp_path / 'ended'}") == 0
    on, ended = (load_run(tmp_path / name).sequences for name in ("on", "ended"))
    assert set(on.reason) == {"length"}
    assert "eos" in set(ended.reason)
    for whole, cut, reason in zip(on.output, ended.output, ended.reason, strict=True):
        assert whole[: len(cut)].tolist() == cut.tolist()
        assert (cut[-1] == 0) == (reason == "eos")
        assert 0 not in cut[:-1]


def test_prompts_of_one_s_own_need_no_names(monkeypatch, tmp_path):
    monkeypatch.setattr("ssdreal.executor.baselines.compare", lambda *_: {})
    assert run(*TINY, "workload.prompts=5", "method=autoregressive", f"out={tmp_path}") == 0
    names = load_run(tmp_path).sequences.prompt.tolist()
    assert names == ["first", "second", "third", "line 4", "line 5"]


# Sweeps


@pytest.fixture
def crews(monkeypatch):
    """Count the crews that are hired."""
    hired = []
    monkeypatch.setattr(Inline, "__enter__", lambda crew: hired.append(crew) or crew)
    return hired


@pytest.mark.slow
def test_a_sweep_compares_in_one_sitting(crews, capsys, tmp_path):
    assert run("-m", "method=autoregressive,speculative,ssd", *TINY, f"out={tmp_path}") == 0
    printed = capsys.readouterr()
    assert not printed.err
    named = [line.split()[:2] for line in printed.out.splitlines() if line.startswith("#")]
    methods = ["autoregressive", "speculative", "ssd"]
    assert named == [[f"#{i}", f"method={method}"] for i, method in enumerate(methods)]
    runs = [load_run(tmp_path / str(number)) for number in range(3)]
    table = printed.out.partition("sweep:")[2].splitlines()
    ranked = [line.split()[0] for line in table if line.split() and line.split()[0] in methods]
    fastest = sorted(runs, key=lambda run_: -run_.metrics["tokens_per_s"])
    assert ranked == [run_.info["method"] for run_ in fastest]
    assert len({json.dumps(r.tables["sequences"]["output"].to_pylist()) for r in runs}) == 1
    assert all({"ar", "sd"} <= set(run_.info["baselines"]) for run_ in runs)
    assert len(crews) == 1


def test_a_refused_configuration_costs_no_other(crews, capsys, tmp_path):
    values = "method=speculative,ssd", "policy=topk_outcomes"
    assert run("-m", *values, *TINY, f"out={tmp_path}") == 2
    printed = capsys.readouterr()
    why = "was refused: policy: has no effect, method=speculative has none"
    assert printed.err.splitlines() == [f"ssdreal: #0 {why}"]
    assert [path.parent.name for path in tmp_path.glob("*/run.json")] == ["1"]
    assert len(crews) == 1


@pytest.mark.slow
def test_other_models_are_another_sitting(crews, tmp_path):
    drafts = "pair.draft=tiny_draft,tiny_trimmed_draft"
    best = "method=speculative", "keep=best"
    assert run("-m", drafts, *TINY, *best, f"out={tmp_path}") == 0
    assert [crew.hirings[1].model for crew in crews] == ["tiny_draft", "tiny_trimmed_draft"]
    (kept,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert {path.name for path in kept.iterdir()} == FILES


@pytest.mark.slow
def test_baselines_are_of_the_same_prompts(tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("Other words\nAnd others still\n")
    files = f"prompts={PROMPTS},{other}"
    assert run("-m", files, *TINY[:1], *TINY[2:], f"out={tmp_path / 'out'}") == 0
    runs = [load_run(tmp_path / "out" / name) for name in "01"]
    assert all(found.metrics["token_mismatches"] == 0 for found in runs)


@pytest.mark.parametrize("launcher", ["joblib"])
def test_real_runs_take_turns(launcher, capsys, tmp_path):
    line = refused(capsys, tmp_path / "out", *TINY, f"hydra/launcher={launcher}")
    assert line.startswith(f"hydra/launcher='{launcher}': ")
    assert "hydra/launcher=basic" in line


def test_the_directory_is_the_one_that_is_named(finished):
    assert Path(json.loads((finished / "run.json").read_text())["config"]["out"]) == finished


def test_a_run_says_which_field_its_prompts_are_read_from(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdreal.executor.baselines.compare", lambda *_: {})
    file = tmp_path / "bench.jsonl"
    file.write_text('{"turns": ["Who?", "Why?"], "category": "roleplay"}\n')
    asked = ("pair=tiny", f"prompts={file}", "workload.prompts=1", "workload.output_tokens=4")
    assert run(*asked, "method=autoregressive", f"out={tmp_path / 'out'}") == 0
    assert f"prompts of {file}: read from turns\n" in capsys.readouterr().out
    found = load_run(tmp_path / "out")
    assert found.info["prompt_fields"] == ["turns"]
    assert found.sequences[["prompt", "kind"]].to_numpy().tolist() == [["line 1", "roleplay"]]


def test_where_prompts_come_in_time_baselines_serve_the_same(tmp_path):
    narrow = ("serving=continuous", "serving.max_num_seqs=2", "serving.num_gpu_blocks=6")
    come = ("workload=poisson", *TINY, "workload.prompts=3", "workload.rate=200", "lookahead=2")
    assert run(*come, *narrow, f"out={tmp_path / 'out'}") == 0
    found = load_run(tmp_path / "out")
    metrics, baselines = found.metrics, found.info["baselines"]
    assert {of["by"] for of in baselines.values()} == {"e2e_mean"}
    over = baselines["ar"]["e2e_mean"] / metrics["e2e_mean"]
    assert metrics["speedup_over_ar"] == pytest.approx(over)
    assert metrics["token_mismatches"] == 0
    assert metrics["preemptions"] == found.sequences.preempted.sum() > 0
