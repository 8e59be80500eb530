"""Times from shapes and devices: bounds, published times, and what is refused."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.errors import ConfigError
from ssdsim.latency.presets import CONF, read_device
from ssdsim.latency.roofline import Roofline

PASSES = ("prefill", "verify", "step", "glue", "tree", "fill")
TARGET = Roofline("llama31_70b", "h100", devices=4)
SMOL = Roofline("smollm2_135m", "cpu_core")


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
