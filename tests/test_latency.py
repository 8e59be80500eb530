import json
import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.jitter import Lognormal, NoJitter, Quantiles
from ssdsim.latency.presets import CONF, read_device
from ssdsim.latency.roofline import Roofline
from ssdsim.latency.shapes import read_shape
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
        (("fill", 1, 1, 0), "pass='fill': must be one of verify"),
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


# Shapes.


@pytest.mark.parametrize(
    ("name", "billions", "cached"),
    [
        ("llama31_70b", 70.554, 163840),
        ("llama31_8b", 8.030, 65536),
        ("llama32_1b", 1.236, 16384),
        ("qwen3_32b", 32.762, 131072),
        ("qwen3_0.6b", 0.596, 57344),
        ("mixtral_8x7b", 46.703, 65536),
        ("vicuna_7b", 6.738, 262144),
        ("vicuna_7b_eagle", 0.4645, 8192),
        ("smollm2_135m", 0.1345, 11520),
        ("smollm2_135m_draft", 0.02596, 2304),
    ],
)
def test_presets_have_the_published_parameter_counts(name, billions, cached):
    shape = read_shape(name)
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=1e-3)
    assert shape.cached == cached


def test_every_preset_of_a_shape_is_tested_above_and_every_device_can_run_one():
    assert len(list((CONF / "shape").iterdir())) == 10
    for path in (CONF / "device").iterdir():
        assert Roofline("llama32_1b", path.stem).seconds("step", 1, 1, 100) > 0


def test_smollm_weights_are_the_measured_file_and_floor():
    assert read_shape("smollm2_135m").parameters * 2 == pytest.approx(269e6, rel=1e-3)
    assert SMOL.memory_seconds(1, 0) == pytest.approx(6.6e-3, rel=0.01)


def test_a_shape_is_counted_by_hand_from_a_config(tmp_path):
    config = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 16,
        "vocab_size": 100,
    }
    (tmp_path / "config.json").write_text(json.dumps({**config, "head_dim": None}))
    shape = read_shape(str(tmp_path))
    assert (shape.kv_heads, shape.head_dim, shape.tied) == (4, 2, False)
    assert shape.multiplied == 2 * (4 * 8 * 8 + 3 * 8 * 16) + 800
    assert shape.parameters == shape.multiplied + 5 * 8 + 800
    assert read_shape(str(tmp_path / "config.json")) == shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": None}, "config.json: vocab_size=None: must be a positive"),
        ({"hidden_size": "wide"}, "config.json: hidden_size='wide'"),
        ({"num_hidden_layers": 0}, "config.json: num_hidden_layers=0"),
        ({"n_routed_experts": 64}, "config.json: n_routed_experts=64: must be a dense model"),
        ({"num_experts": 128}, "config.json: num_experts_per_tok=None"),
        (
            {"num_experts": 8, "num_experts_per_tok": 9},
            "config.json: num_experts_per_tok=9: must be at most the 8 experts",
        ),
    ],
)
def test_a_malformed_config_is_named(tmp_path, change, message):
    config = json.loads((CONF / "shape" / "qwen3_0.6b.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ConfigError, match=message):
        read_shape(str(tmp_path))


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_file_that_is_no_config_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json.*must"):
        read_shape(str(tmp_path))
    with pytest.raises(ConfigError, match=r"config\.json"):
        read_device(str(tmp_path / "config.json"))


# Roofline.


def test_roofline_bounds_by_hand():
    # Memory: 139.0 GB of weights over 4 devices at 85 % of 3.35 TB/s, and 400 tokens of cache.
    weights = 69.5017e9 * 2 / 4
    cache = 400 * 163840 * 2 / 4
    assert TARGET.memory_seconds(1, 400) == pytest.approx((weights + cache) / 2.8475e12, rel=1e-5)
    # Compute: 8 tokens at 60 % of 989.4 TFLOP/s, each seeing the context and half of its own.
    attention = 4 * 80 * 64 * 128 * (400 + 4.5)
    flops = 8 * (2 * 69.5017e9 + attention) / 4
    assert TARGET.compute_seconds(1, 8, 400) == pytest.approx(flops / 593.64e12, rel=1e-5)
    # Links: 160 all-reduces of 8 x 8192 numbers, each sent 2 x 3/4 times.
    link = 160 * (12.7e-6 + 1.5 * 8 * 8192 * 2 / 366e9)
    assert TARGET.link_seconds(8) == pytest.approx(link)
    assert Roofline("llama32_1b", "h100").link_seconds(8) == 0


@given(
    st.integers(1, 64),
    st.integers(1, 512),
    st.integers(0, 8192),
    st.one_of(st.none(), st.floats(1, 1e6)),
)
def test_roofline_is_never_under_its_bounds_nor_over_their_sum(batch, each, context, knee):
    model, tokens = replace(TARGET, knee=knee), batch * each
    parts = model.memory_seconds(batch, context), model.compute_seconds(batch, tokens, context)
    beside = 0.88e-3 + model.link_seconds(tokens)
    time = model.seconds("verify", batch, tokens, context) - beside
    assert max(parts) * (1 - 1e-9) <= time <= sum(parts) * (1 + 1e-9)
    assert model.seconds("verify", batch, tokens + batch, context) > time + beside


def test_an_infinite_knee_takes_the_longer_time():
    model = replace(TARGET, knee=math.inf, launch_overhead=0)
    expected = model.memory_seconds(1, 0) + model.link_seconds(1)
    assert model.seconds("step", 1, 1, 0) == pytest.approx(expected)


def test_only_tokens_tell_the_kinds_of_passes_apart():
    assert len({TARGET.seconds(work, 2, 16, 300) for work in PASSES}) == 1


def test_more_devices_read_faster_but_talk_more():
    times = [TARGET.spread(n).seconds("step", 1, 1, 400) for n in (2, 4, 8)]
    assert times == sorted(times, reverse=True)
    speedups = [slow / fast for slow, fast in pairwise(times)]
    assert 2 > speedups[0] > speedups[1] > 1


def test_key_value_heads_are_copied_where_there_are_more_devices_than_heads():
    eight, sixteen = (TARGET.spread(n) for n in (8, 16))
    caches = [m.memory_seconds(64, 4096) - m.memory_seconds(64, 0) for m in (eight, sixteen)]
    assert caches[0] == pytest.approx(caches[1])


def test_two_cores_share_what_the_memory_gives():
    both = SMOL.spread(2)
    assert both.memory_seconds(1, 0) == pytest.approx(269e6 / 50e9, rel=1e-3)


def test_wider_weights_widen_the_caches_and_narrow_ones_do_not():
    def cache(model):
        return model.memory_seconds(1, 1000) - model.memory_seconds(1, 0)

    half, double = replace(SMOL, weight_bytes=0.5), replace(SMOL, weight_bytes=4)
    assert cache(half) == pytest.approx(cache(SMOL)) == pytest.approx(cache(double) / 2)


# Llama-3.1-70B and Qwen3-32B on 4 H100, in the SSD engine's logs, a rerun of it, and its paper.
# One preset serves the three but for the launch overhead, which belongs to engine and host.
QWEN = Roofline("qwen3_32b", "h100", devices=4)
RERUN, PAPER = 2.9e-3, 3.9e-3


@pytest.mark.parametrize(
    ("model", "batch", "tokens", "context", "published"),
    [
        (TARGET, 1, 1, 400, 15.15e-3),
        (TARGET, 1, 7, 400, 15.29e-3),
        (TARGET, 1, 8, 400, 15.03e-3),
        (TARGET, 4, 32, 400, 16.14e-3),
        (Roofline("llama32_1b", "h100"), 1, 1, 400, 1.75e-3),
        (replace(QWEN, launch_overhead=RERUN), 1, 1, 400, 1 / 97.4),
        (replace(QWEN, launch_overhead=PAPER), 1, 1, 400, 1 / 88.8),
        (replace(TARGET, launch_overhead=PAPER), 1, 1, 400, 1 / 54.7),
        (SMOL, 1, 1, 256, 7.6e-3),
        (SMOL, 1, 5, 256, 9.1e-3),
        (SMOL, 1, 16, 256, 12.9e-3),
    ],
)
def test_published_and_measured_times_come_out(model, batch, tokens, context, published):
    time = model.seconds("verify", batch, tokens, context)
    assert time == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 0}, "devices=0: must be at least 1"),
        ({"devices": 1}, "devices=1: must be at least 2 for the weights of llama31_70b"),
        ({"weight_bytes": 0}, "weight_bytes=0"),
        ({"launch_overhead": -1e-3}, "launch_overhead=-0.001"),
        ({"knee": 0.5}, "knee=0.5: must be at least 1"),
        ({"shape": "llama9"}, "shape='llama9': must be a file or one of llama31_70b"),
        ({"device": "tpu"}, "device='tpu': must be a file or one of a100_80gb"),
    ],
)
def test_roofline_refuses_what_cannot_be(options, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        replace(TARGET, **options)


@pytest.mark.parametrize("question", [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_roofline_refuses_passes_over_nothing(question):
    with pytest.raises(ConfigError, match="must be at least"):
        TARGET.seconds("step", *question)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("watts: 700", ""), "missing or unknown: watts"),
        (("watts: 700", "watts: 700\nprice: 3"), "missing or unknown: price"),
        (("knee: 1.5", "knee: 0.5"), "knee=0.5: must be at least 1"),
        (("bandwidth: 3.35e12", "bandwidth: 0"), "bandwidth=0.0: must be above 0"),
        (("knee: 1.5", "knee: sharp"), "sharp"),
        (("compute_efficiency: 0.6", "compute_efficiency: 60"), r"must be in \(0, 1\]"),
        (("watts: 700", "watts: [700"), "must be YAML"),
    ],
)
def test_a_malformed_device_is_named(tmp_path, change, message):
    text = (CONF / "device" / "h100.yaml").read_text()
    assert change[0] in text
    (tmp_path / "mine.yaml").write_text(text.replace(*change, 1))
    with pytest.raises(ConfigError, match=f"device='.*mine.yaml'.*{message}"):
        read_device(str(tmp_path / "mine.yaml"))


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
