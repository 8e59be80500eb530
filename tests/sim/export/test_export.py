"""Settings of engines: what every one owes, and what they say."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from commands import exit_code, run

from ssdsim import load_run
from ssdsim.command.composing import setting
from ssdsim.errors import ConfigError
from ssdsim.export import program
from ssdsim.export.answering import answered, forced
from ssdsim.export.engines.base import Answer, Engine, Forced, engines
from ssdsim.export.tables import rounds_csv
from ssdsim.observe.reading import observe
from ssdsim.observe.step_times import step_times
from ssdsim.theory.acceptance_runs import run_chances

ANSWER = Answer(((1, 5), (2, 5), (4, 3), (8, 0), (16, 0)), batch=4, lookahead=3, draft="org/draft")
NEVER = Answer(((1, 0), (2, 0)), batch=1, lookahead=0, draft="org/draft")
FORCED = Forced((0.72, 0.51, 0.36), "org/draft")
DEPTHS = ("latency=constant", "acceptance=by_depth", "acceptance.accept=[0.8,0.5]", "lookahead=3")


@pytest.fixture(params=engines().items(), ids=engines().keys())
def engine(request):
    return request.param[1]()


def test_every_engine_is_one():
    assert {"vllm", "sglang", "llamacpp", "tensorrt_llm"} <= engines().keys()
    assert all(isinstance(kind(), Engine) for kind in engines().values())


def test_settings_have_the_draft_and_a_lookahead(engine):
    text = engine.settings(ANSWER)
    assert "org/draft" in text
    assert re.search(r"\b[35]\b", text)
    assert "#" in engine.settings(NEVER)  # a comment, nothing that speculates
    assert "org/draft" not in engine.settings(NEVER)


def test_forced_acceptances_have_the_draft_and_the_rates_or_their_sum(engine):
    text = engine.forced(FORCED)
    assert "org/draft" in text
    assert any(said in text for said in ("0.72", "2.59", "1.59"))


def test_ranges_of_batches_meet_without_a_gap():
    assert [*ANSWER.ranges()] == [(1, 3, 5), (4, 7, 3), (8, 16, 0)]


def test_ranges_begin_at_one_sequence_whatever_the_machine_was_timed_with():
    answer = Answer(((4, 3), (8, 3), (16, 1)), batch=4, lookahead=3, draft="org/draft")
    assert [*answer.ranges()] == [(1, 15, 3), (16, 16, 1)]  # vLLM refuses a table without 1


@pytest.mark.parametrize("draft", ["/models/my draft", "org/it's", 'org/"q"', "x # y"])
def test_a_drafts_name_survives_the_shell(draft):
    named = {
        name: kind().settings(replace(ANSWER, draft=draft)) for name, kind in engines().items()
    }
    config = json.loads(shlex.split(named["vllm"])[1])
    assert config["model"] == draft
    assert draft in shlex.split(named["sglang"])
    assert draft in shlex.split(named["llamacpp"])
    assert yaml.safe_load(named["tensorrt_llm"])["speculative_config"]["speculative_model"] == draft


def test_vllm_reads_a_table_by_batch_size_and_rates_that_never_rise():
    text = engines()["vllm"]().settings(ANSWER)
    config = json.loads(text.partition("'")[2].rstrip("'"))
    assert config["num_speculative_tokens"] == 5
    assert config["num_speculative_tokens_per_batch_size"] == [[1, 3, 5], [4, 7, 3], [8, 16, 0]]
    text = engines()["vllm"]().forced(FORCED)
    config = json.loads(text.partition("'")[2].rstrip("'"))
    assert config["synthetic_acceptance_rates"] == [0.72, 0.51, 0.36]
    assert config["num_speculative_tokens"] == 3


def test_sglang_counts_the_root_among_draft_tokens():
    text = engines()["sglang"]().settings(ANSWER)
    assert "--speculative-num-steps 3" in text
    assert "--speculative-num-draft-tokens 4" in text
    assert "--speculative-algorithm STANDALONE" in text  # a draft model without it is refused
    assert "SGLANG_SIMULATE_ACC_LEN=2.5900" in engines()["sglang"]().forced(FORCED)


def test_llama_cpp_takes_unconditional_rates():
    text = engines()["llamacpp"]().forced(FORCED)
    assert "--spec-synth-rates 0.7200,0.5100,0.3600" in text
    assert "--spec-draft-n-max 3 --spec-draft-n-min 3 --spec-draft-p-min 0" in text


def test_tensorrt_llm_counts_drafts_without_the_bonus():
    text = engines()["tensorrt_llm"]().forced(FORCED)
    assert "FORCE_NUM_ACCEPTED_TOKENS=1.5900" in text
    section = yaml.safe_load(text)["speculative_config"]
    assert (section["max_draft_len"], section["decoding_type"]) == (3, "Draft_Target")
    with pytest.raises(ConfigError, match="takes 0 for nothing to be forced"):
        engines()["tensorrt_llm"]().forced(Forced((0.0, 0.0), "org/draft"))


# What the simulator answers.


def test_forced_rates_are_those_of_the_acceptance():
    assert forced(setting(DEPTHS)).rates == pytest.approx((0.8, 0.4, 0.2))


def test_forced_rates_of_a_log_are_those_that_it_had():
    rates = (0.72, 0.51, 0.36)
    words = (
        *(
            "latency=constant",
            "acceptance=observed",
            "acceptance.miss_fanouts=[1,8]",
            "lookahead=3",
        ),
        *("acceptance.miss_best=[0.4,0.1]", "acceptance.miss_worst=[0.8,0.5]"),
        f"acceptance.accept=[{','.join(map(str, run_chances(rates)))}]",
    )
    assert forced(setting(words)).rates == pytest.approx(rates, abs=1e-5)


def test_forced_rates_of_recorded_texts_are_those_of_their_rounds():
    words = ("profile=two_cores", "lookahead=2")
    found = forced(setting(words))
    assert 0 < found.rates[1] < found.rates[0] < 1


def test_the_best_lookahead_is_that_of_the_closed_form():
    words = ("latency=constant", "acceptance=iid", "acceptance.alpha=0.8", "batch=3")
    found = answered(setting((*words, "latency.draft.step=0.1")))
    speed = {K: (1 - 0.8 ** (K + 1)) / 0.2 / (1 + 0.1 * K) for K in range(1, 33)}
    best = max(speed, key=speed.get)
    assert found.lookahead == best
    assert {K for _, K in found.lookaheads} == {best}


def test_a_slow_draft_is_not_used():
    words = ("latency=constant", "acceptance=iid", "latency.draft.step=1.0")
    assert answered(setting(words)).lookahead == 0


# Neutral tables.


def test_a_runs_rounds_are_read_again(tmp_path):
    words = ("workload.prompts=20", "workload.output_tokens=100", "method=speculative")
    run(*DEPTHS, *words, f"out={tmp_path / 'run'}")
    own = load_run(tmp_path / "run")
    (tmp_path / "rounds.csv").write_text(rounds_csv(own))
    told = observe([str(tmp_path / "rounds.csv")]).told
    assert told.tau == pytest.approx(own.metrics["acceptance_length"])
    assert told.lookahead == 3


def test_costs_are_read_again(monkeypatch, capsys, tmp_path):
    to = tmp_path / "costs.csv"
    words = ("--engine", "csv", *DEPTHS, "latency.draft.step=0.1", "--to", str(to))
    assert exit_code(monkeypatch, program.main, "ssdsim.export", words) == 0
    assert capsys.readouterr().out == to.read_text()
    found = step_times(observe([str(to)]).told)
    assert (found.base, found.draft) == pytest.approx((1.0, 0.1), rel=1e-3)


# The command.


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ((), "choose among"),
        (("--engine", "tgi"), "choose among"),
        (("--engine", "vllm", "outputs/run"), "for --engine csv alone"),
        (("--engine", "csv", "--forced"), "needs an engine"),
        (("--engine", "vllm", "--loud"), "no such option"),
        (("--engine", "vllm", "profile=nobody"), "choose among"),
        (("--engine", "vllm", "--forced", "lookahead=0"), "needs a draft"),
    ],
)
def test_bad_input_gets_one_line(monkeypatch, capsys, words, right):
    assert exit_code(monkeypatch, program.main, "ssdsim.export", words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert right in line


def test_what_is_printed_is_written_as_well(monkeypatch, capsys, tmp_path):
    to = Path(tmp_path / "settings" / "vllm.txt")
    words = ("--engine", "vllm", "--draft", "org/d", *DEPTHS, "--to", str(to))
    assert exit_code(monkeypatch, program.main, "ssdsim.export", words) == 0
    assert to.read_text() == capsys.readouterr().out
    assert '"model": "org/d"' in to.read_text()
