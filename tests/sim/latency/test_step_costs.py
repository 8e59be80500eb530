"""Costs of an engine's steps, worked by hand."""

import math

import pytest
from commands import refused
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.errors import ConfigError
from ssdsim.latency.step_costs import StepCost, StepCosts
from ssdsim.options.building import build

STAIRS = {"sizes": (1, 4, 8, 16, 32), "seconds": (5, 6, 8, 9, 17)}
CAPTURED = StepCost(**STAIRS, captured=(1, 4, 8, 16))


@pytest.mark.parametrize(
    ("tokens", "seconds"), [(1, 5), (2, 6), (4, 6), (5, 8), (9, 9), (16, 9), (17, 9.5), (32, 17)]
)
def test_a_pass_takes_as_long_as_the_next_captured_size_and_as_it_is_beyond(tokens, seconds):
    assert CAPTURED.of(1, tokens, 0) == seconds


def test_a_line_is_that_of_a_regression():
    """Stated for Llama-3.1-8B in vLLM on one H100 (arXiv 2601.11580, its simulator's predictor)."""
    verify = StepCost(5.88590713e-3, 0.0, 2.10103129e-5, 3.92645679e-8)
    expected = 5.88590713e-3 + 2.10103129e-5 * 4 * 64 + 3.92645679e-8 * 64 * 500
    assert verify.of(64, 4 * 64, 500) == pytest.approx(expected, rel=1e-12)


def test_lines_count_what_is_computed_padding_included():
    cost = StepCost(1.0, row=0.5, token=0.1, kv_token=0.001, captured=(8,))
    assert cost.of(3, 5, 100) == pytest.approx(1 + 1.5 + 0.8 + 0.3)
    assert cost.of(3, 9, 100) == pytest.approx(1 + 1.5 + 0.9 + 0.3)


def test_sizes_may_count_rows():
    cost = StepCost(by="rows", sizes=(1, 8), seconds=(2, 9), captured=(1, 4, 8), token=0.5)
    assert cost.of(3, 30, 0) == pytest.approx(5 + 15)  # as long as 4 rows, of 30 tokens


@given(st.integers(1, 32), st.integers(1, 32))
def test_more_tokens_never_take_less(one, other):
    low, high = sorted((one, other))
    assert CAPTURED.of(1, low, 0) <= CAPTURED.of(1, high, 0)


def test_nothing_is_guessed():
    with pytest.raises(ConfigError, match=r"^tokens=33: the sizes measured end at 32$"):
        CAPTURED.of(1, 33, 0)
    with pytest.raises(ConfigError, match=r"^pass='step': there are only verify$"):
        StepCosts({"verify": CAPTURED}).seconds("step", 1, 1, 0)


def test_it_says_whether_it_reads_the_context():
    assert not StepCosts({"verify": CAPTURED}).reads_context
    assert StepCosts({"verify": StepCost(kv_token=1e-9)}).reads_context


WRONG = {
    "fixed=-1": {"fixed": -1},
    "token=inf": {"token": math.inf},
    "sizes=(4, 1)": {"sizes": (4, 1), "seconds": (1, 2)},
    "captured=(0,)": {"captured": (0,)},
    "seconds=(1,)": {"sizes": (1, 2), "seconds": (1,)},
    "seconds=(1, -2)": {"sizes": (1, 2), "seconds": (1, -2)},
}


@pytest.mark.parametrize("said", WRONG)
def test_what_cannot_be_is_refused(said):
    with pytest.raises(ConfigError) as caught:
        StepCost(**WRONG[said])
    assert str(caught.value).startswith(f"{said}: needs ")


def test_a_file_s_mistakes_are_named_in_full():
    with pytest.raises(ConfigError, match=r"^latency.passes.verify.by='x': "):
        build(StepCosts, {"passes": {"verify": {"by": "x"}}}, "latency")
    with pytest.raises(ConfigError, match=r"^latency.passes='verfy': must be one of prefill"):
        build(StepCosts, {"passes": {"verfy": {}}}, "latency")
    with pytest.raises(ConfigError, match=r"^latency.passes.verify.fixed=-1\.0: needs"):
        build(StepCosts, {"passes": {"verify": {"fixed": -1}}}, "latency")


def test_a_method_whose_passes_have_no_seconds_is_refused_by_model_and_pass(tmp_path, capsys):
    words = "profile=h100_llama31_8b_eagle3", "method=ssd"
    line = refused(capsys, tmp_path / "run", *words)
    assert line == "latency.draft, glue: pass='glue': there are only step, fill, prefill"
