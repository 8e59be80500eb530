"""Latency models: what every one owes, and constants, tables and jitter in particular."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.jitter import Lognormal, NoJitter, Quantiles
from ssdsim.latency.roofline import Roofline
from ssdsim.latency.step_costs import StepCost, StepCosts
from ssdsim.latency.table import Table

PASSES = ("prefill", "verify", "step", "glue", "tree", "fill")
GRID = {
    "batch": [1, 4],
    "tokens": [1, 8, 32],
    "context": [0, 512],
    "seconds": [[[1.0, 2.0], [1.5, 2.5], [4.0, 6.0]], [[2.0, 3.0], [2.5, 4.0], [5.0, 9.0]]],
}
TABLE = Table(dict.fromkeys(PASSES, GRID))
TARGET = Roofline("llama31_70b", "h100", devices=4)
SMOL = Roofline("smollm2_135m", "cpu_core")
MODELS = {
    "constant": Constant(verify=1.0, step=0.1, prefill=3.0, glue=0.2, fill=0.1),
    "table": TABLE,
    "target": TARGET,
    "core": SMOL,
    "steps": StepCosts(dict.fromkeys(PASSES, StepCost(0.1, 0.2, 0.3, 0.001))),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def model(request):
    return request.param


# What every latency model owes.


@pytest.mark.parametrize("work", PASSES)
def test_every_pass_takes_a_positive_finite_time_that_does_not_fall_with_tokens(model, work):
    for batch, context in product((1, 2, 4), (0, 100, 512)):
        times = [model.seconds(work, batch, tokens, context) for tokens in (4, 8, 16, 32)]
        assert all(0 < time < math.inf for time in times)
        assert times == sorted(times)


def test_the_same_question_gets_the_same_answer(model):
    question = ("verify", 2, 10, 300)
    assert model.seconds(*question) == model.seconds(*question) == replace(model).seconds(*question)


def test_spread_answers_for_the_devices_it_has_and_never_guesses(model):
    assert model.spread(model.devices) == model
    more = model.spread(model.devices * 2)
    assert more is None or more.devices == model.devices * 2


# Constant.


def test_constant_tree_is_a_step_unless_given():
    assert Constant(1.0, 0.1).seconds("tree", 8, 64, 900) == 0.1
    assert Constant(1.0, 0.1, tree=0.3).seconds("tree", 8, 64, 900) == 0.3
    assert Constant(1.0, 0.1).seconds("glue", 1, 1, 0) == 0


@pytest.mark.parametrize("options", [{"step": -1.0}, {"verify": math.nan}, {"tree": math.inf}])
def test_constant_refuses_times_that_are_none(options):
    (name,) = options
    with pytest.raises(ConfigError, match=f"^{name}=.*seconds"):
        Constant(**{"verify": 1.0, "step": 0.1, **options})


# Table.


def test_table_interpolates_by_hand():
    assert TABLE.seconds("verify", 1, 8, 256) == 2.0
    assert TABLE.seconds("verify", 2, 8, 0) == pytest.approx(1.5 + 1 / 3)
    assert TABLE.seconds("verify", 4, 20, 512) == 6.5
    middle = (1.5 + 2.5 + 4 + 6 + 2.5 + 4 + 5 + 9) / 8
    assert Table({"step": {**GRID, "batch": [2, 4]}}).seconds("step", 3, 20, 256) == middle


@given(st.sampled_from([0, 1]), st.sampled_from([0, 1, 2]), st.sampled_from([0, 1]))
def test_table_is_exact_at_grid_points(i, j, k):
    point = (GRID["batch"][i], GRID["tokens"][j], GRID["context"][k])
    assert TABLE.seconds("step", *point) == GRID["seconds"][i][j][k]


@given(st.integers(1, 4), st.integers(1, 32), st.integers(0, 512))
def test_table_stays_between_the_corners_of_its_cell(batch, tokens, context):
    cell = slice(0, 2) if tokens <= 8 else slice(1, 3)
    corners = np.array(GRID["seconds"])[:, cell]
    time = TABLE.seconds("step", batch, tokens, context)
    assert corners.min() - 1e-12 <= time <= corners.max() + 1e-12


def test_table_ignores_axes_it_was_not_given():
    table = Table({"step": {"seconds": 0.5}, "verify": {"tokens": [1, 9], "seconds": [1, 2]}})
    assert table.seconds("step", 10**6, 10**6, 10**6) == 0.5
    assert table.seconds("verify", 10**6, 5, 10**6) == 1.5


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (("verify", 5, 8, 0), "batch=5: the table covers 1 to 4 for 'verify'"),
        (("verify", 1, 33, 0), "tokens=33: the table covers 1 to 32 for 'verify'"),
        (("verify", 1, 8, 513), "context=513: the table covers 0 to 512 for 'verify'"),
        (("fill", 1, 1, 0), "pass='fill': there are only verify"),
    ],
)
def test_table_never_extrapolates(question, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        Table({"verify": GRID}).seconds(*question)


def test_a_single_grid_point_covers_itself_alone():
    table = Table({"step": {"batch": [2], "seconds": [0.5]}})
    assert table.seconds("step", 2, 1, 0) == 0.5
    with pytest.raises(ConfigError, match="batch=1"):
        table.seconds("step", 1, 1, 0)


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ({}, "passes={}"),
        ({"verfy": {"seconds": 1}}, "passes='verfy': must be one of prefill"),
        ({"step": 0.5}, "passes.step=0.5: must be a mapping"),
        ({"step": {"tokens": [1]}}, "passes.step=.*must have seconds"),
        ({"step": {"width": [1], "seconds": 1}}, "passes.step='width'"),
        ({"step": {"tokens": [1, 2], "seconds": [1]}}, r"passes.step.seconds=\(1,\).*\(2,\)"),
        ({"step": {"tokens": [2, 1], "seconds": [1, 2]}}, "passes.step.tokens=.*increasing"),
        ({"step": {"tokens": [1, 1], "seconds": [1, 2]}}, "passes.step.tokens=.*increasing"),
        ({"step": {"tokens": [], "seconds": []}}, "passes.step.tokens"),
        ({"step": {"seconds": -1}}, "passes.step.seconds=-1: must be >= 0"),
        ({"step": {"seconds": math.nan}}, "passes.step.seconds=nan"),
        ({"step": {"seconds": "fast"}}, "passes.step.seconds='fast'"),
        ({"step": {"batch": [1, 2], "tokens": [1, 2], "seconds": [[1, 2], [3]]}}, "even rows"),
    ],
)
def test_table_refuses_what_is_malformed(passes, message):
    with pytest.raises(ConfigError, match=message):
        Table(passes)


def test_a_table_may_hold_other_numbers_of_devices():
    table = Table({"step": {"seconds": 2.0}}, 1, {"2": {"step": {"seconds": 1.5}}})
    assert table.spread(1) is table
    spread = table.spread(2)
    assert (spread.devices, spread.seconds("step", 1, 1, 0)) == (2, 1.5)
    assert table.spread(3) is None


@pytest.mark.parametrize("elsewhere", [{"two": {"step": {"seconds": 1.0}}}, {2: {"stop": {}}}])
def test_what_is_said_of_other_numbers_of_devices_is_checked(elsewhere):
    with pytest.raises(ConfigError, match=r"elsewhere|passes"):
        Table({"step": {"seconds": 2.0}}, 1, elsewhere)


# Jitter.


def test_without_jitter_there_are_ones_and_no_random_numbers():
    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    assert NoJitter().factors(rng, 3).tolist() == [1, 1, 1]
    assert rng.random() == same.random()


@given(st.floats(0, 0.8), st.integers(0, 2**32))
def test_lognormal_factors_are_positive_and_of_mean_one(sigma, seed):
    factors = Lognormal(sigma).factors(np.random.default_rng(seed), 20_000)
    error = math.sqrt(math.expm1(sigma**2) / factors.size)
    assert (factors > 0).all()
    assert abs(factors.mean() - 1) <= 6 * error + 1e-12


def test_quantiles_are_the_inverse_distribution_function():
    jitter = Quantiles([0.9, 1.0, 2.0])
    factors = jitter.factors(np.random.default_rng(0), 40_000)
    quarters = np.quantile(factors, [0.25, 0.5, 0.75])
    assert quarters == pytest.approx([0.95, 1.0, 1.5], abs=0.02)
    assert 0.9 <= factors.min() <= factors.max() <= 2.0
    assert hash(jitter) == hash(Quantiles((0.9, 1.0, 2.0)))


@pytest.mark.parametrize("values", [(), (1.0,), (1.1, 1.0, 0.9), (0.0, 1.0, 2.0), (7.0, 8.0, 9.0)])
def test_quantiles_refuse_what_is_no_distribution(values):
    with pytest.raises(ConfigError, match=r"^values="):
        Quantiles(values)


@pytest.mark.parametrize("sigma", [-0.1, math.inf, math.nan])
def test_lognormal_refuses_what_is_no_width(sigma):
    with pytest.raises(ConfigError, match=r"^sigma="):
        Lognormal(sigma)
