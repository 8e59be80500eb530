"""`python -m ssdreal` with a pair that has no weights."""

import json

import pytest
from real_commands import Threads, refused, run
from shapes import PAIR

from ssdreal.command.help import PAIRS, SCRIPTED, text
from ssdsim import load_run
from ssdsim.system.package_data import CONF

SHORT = ("workload.prompts=2", "workload.output_tokens=20", "workload.prompt_tokens=11")

# What is asked for, and what the line must hold: option, value, what would be right.
WRONG = {
    "an EAGLE head": (
        ("pair=vicuna_7b_eagle", "acceptance=iid"),
        "pair.draft='vicuna_7b_eagle': architectures='LlamaForCausalLMEagle'",
        "target's features",
    ),
    "experts": (
        ("pair=llama31_8b_1b", "pair.target=mixtral_8x7b"),
        "pair.target='mixtral_8x7b': model_type='mixtral'",
        "llama or mistral",
    ),
    "a shape beside a model": (
        ("pair=tiny", "pair.draft=llama32_1b", "acceptance=iid"),
        "pair.draft='llama32_1b'",
        "weights or none",
    ),
    "no acceptance source": (
        ("pair=vicuna_7b_eagle",),
        "acceptance=None",
        "acceptance=NAME",
    ),
    "a temperature nobody logged": (
        ("pair=llama31_8b_1b", "temperature=0.5"),
        "temperature=0.5",
        "[0.0, 0.7]",
    ),
    "prompts of a script": (
        ("pair=llama31_8b_1b", "prompts=x"),
        "prompts: has no effect",
        "mean nothing",
    ),
    "texts of a script": (("pair=llama31_8b_1b", "texts=true"), "texts: has no", "mean nothing"),
    "the end of a script": (
        ("pair=llama31_8b_1b", "workload.stop_at_end=true"),
        "workload.stop_at_end: has no effect",
        "mean nothing",
    ),
    "layers left out": (
        ("pair=llama31_8b_1b", "method=self_speculative", "method.skipped_mlp=[1]"),
        "method='self_speculative'",
        "needs weights",
    ),
    "an n-gram of random ids": (
        ("pair=llama31_8b_1b", "backup=ngram"),
        "backup='ngram'",
        "reads the text",
    ),
    "a lookup in random ids": (
        ("pair=llama31_8b_1b", "drafter=ngram"),
        "drafter='ngram'",
        "reads the text",
    ),
    "confidences of random weights": (
        ("pair=llama31_8b_1b", "length=confidence"),
        "length='confidence'",
        "confidences, which mean nothing",
    ),
    "Saguaro sampling of a script": (
        ("pair=llama31_8b_1b", "temperature=0.7", "saguaro.constant=0.5"),
        "saguaro.constant: has no effect",
        "acceptance=hazard does not depend on it",
    ),
}


def test_help_lists_every_pair_that_can_run():
    page = text()
    named = {path.stem for path in (CONF / "pair").glob("*.yaml")}
    assert {*PAIRS, *SCRIPTED} == named - {"vicuna_7b_eagle"}  # refused: test_real_input.py
    assert all(name in page for name in (*SCRIPTED, *SCRIPTED.values()) if name in named)
    assert "acceptance=NAME" in page


def test_a_scripted_run_says_so(tmp_path, capsys):
    assert run("pair=llama31_8b_1b", *PAIR, *SHORT, "lookahead=4", f"out={tmp_path / 'out'}") == 0
    found = load_run(tmp_path / "out")
    assert found.info["source"] == "scripted"
    assert found.info["config"]["choices"]["acceptance"] == "h100x4_llama70b_1b"
    assert list(found.sequences.prompt) == ["random ids 0", "random ids 1"]
    assert set(found.sequences.kind) == {"random ids"}
    assert list(found.sequences.prompt_tokens) == [11, 11]
    assert found.info["baselines"].keys() == {"ar", "sd", "same_devices"}
    assert found.metrics["speedup_over_ar"] > 0
    assert "token_mismatches" not in found.metrics  # the target's own tokens are beside the point
    shown = " ".join(capsys.readouterr().out.split())
    assert "acceptance=h100x4_llama70b_1b" in shown
    assert "times are measured, tokens and what is accepted are scripted" in shown


@pytest.mark.slow
def test_the_baselines_follow_the_same_source(tmp_path):
    """At an acceptance of 1 SD never loses a token, and at 0 every one."""
    for alpha, length in ((1.0, 5.0), (0.0, 1.0)):
        out = tmp_path / str(alpha)
        source = ("acceptance=iid", f"acceptance.alpha={alpha}")
        tokens = ("workload.prompts=2", "workload.output_tokens=20")
        one = ("method=speculative", "lookahead=4", *source, *tokens)
        assert run(*PAIR, *one, f"out={out}") == 0
        found = load_run(out)
        assert found.metrics["acceptance_length"] == length
        assert found.info["baselines"]["sd"]["lookahead"] >= 1


@pytest.mark.slow
def test_runs_of_a_sweep_share_the_models(tmp_path, crews):
    methods = "method=autoregressive,speculative,ssd,pearl"
    arguments = ("-m", methods, "acceptance=iid", *PAIR, *SHORT, f"out={tmp_path}")
    assert run(*arguments, hire=Threads) == 0
    assert len(crews) == 1
    for number in range(4):
        assert json.loads((tmp_path / str(number) / "run.json").read_text())["complete"]


@pytest.mark.parametrize("name", SCRIPTED)
def test_published_pairs_need_room(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ssdreal.executor.preflight._free_memory", lambda: 3 << 30)
    line = refused(capsys, tmp_path / "out", f"pair={name}", "topology=cpu")
    assert line.startswith("pair='")
    assert "MB of memory, 3072 MB are free" in line


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gets_one_line(name, capsys, tmp_path):
    arguments, *words = WRONG[name]
    line = refused(capsys, tmp_path / "out", *SHORT, *arguments)
    assert all(word in line for word in words), line


def test_ids_must_fit_the_pair(tmp_path, capsys):
    source = ("acceptance=language_model", "acceptance.vocabulary=97")
    line = refused(capsys, tmp_path / "out", *PAIR, *source, *SHORT[:2])
    assert line == "acceptance='languagemodel': needs token ids below the pair's 96, has 97"


def test_a_source_brings_its_own_prompts(tmp_path, capsys, exact_trace):
    source = ("acceptance=recorded", f"acceptance.path={exact_trace}")
    out = tmp_path / "out"
    line = refused(capsys, out, *PAIR, *source, *SHORT)
    assert line.startswith("workload.prompt_tokens: has no effect, the acceptance source brings")
    line = refused(capsys, out, *PAIR, *source, "workload.output_tokens=61", SHORT[0])
    assert "has only 60 recorded tokens" in line
