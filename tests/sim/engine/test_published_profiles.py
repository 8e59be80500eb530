"""Published rows come out of the shipped profiles; nothing is wired to these rows."""

import pytest
from hydra import compose, initialize

from ssdsim import simulate
from ssdsim.command.config import register, setup_from

# tokens/s of decoding and ms a step, from the logs named in conf/profile.
LLAMA = "profile=h100x4_llama70b_1b"
QWEN = "profile=h100x4_qwen32b_0.6b"
UNIFORM = ("method=ssd", "policy=uniform_fanout", "policy.fanout=3")
PUBLISHED = {
    "llama ar": ((LLAMA, "method=autoregressive"), 66, None),
    "llama sd": ((LLAMA, "method=speculative", "lookahead=6"), 183, 27.52),
    "llama ssd": ((LLAMA, *UNIFORM, "lookahead=7"), 286, 19.43),
    "llama ssd batch 4": ((LLAMA, *UNIFORM, "lookahead=7", "batch=4"), 888, 24.91),
    "llama ssd at 0.7": ((LLAMA, *UNIFORM, "lookahead=7", "temperature=0.7"), 242, 20.47),
    "qwen ar": ((QWEN, "method=autoregressive"), 97.4, None),
    "qwen ssd": ((QWEN, *UNIFORM, "lookahead=4"), 210.9, None),
}


def run(*overrides, prompts=48):
    register()
    with initialize(version_base="1.3", config_path=None):
        size = (f"workload.prompts={prompts}", "workload.output_tokens=512")
        config = compose("config", overrides=[*overrides, *size])
    choices = {"profile": overrides[0].split("=")[1]}
    return simulate(setup_from(config, choices, []))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_row_within_5_percent(name):
    overrides, tokens_per_s, step_ms = PUBLISHED[name]
    metrics = run(*overrides).metrics
    assert metrics["tokens_per_s"] == pytest.approx(tokens_per_s, rel=0.05)
    if step_ms is not None:
        assert 1000 * metrics["step_seconds"] == pytest.approx(step_ms, rel=0.05)


@pytest.mark.slow
def test_logged_acceptance_comes_back():
    metrics = run(LLAMA, *UNIFORM, prompts=512).metrics
    for name, logged in (
        ("acceptance_length", 5.47),
        ("acceptance_length_on_hit", 5.68),
        ("acceptance_length_on_miss", 4.01),
        ("hit_rate", 0.88),
    ):
        assert metrics[name] == pytest.approx(logged, rel=0.015), name


@pytest.mark.slow
def test_too_long_a_lookahead_loses_where_the_tree_outlasts_the_verify():
    speeds = [
        run(QWEN, *UNIFORM, f"lookahead={K}", prompts=16).metrics["tokens_per_s"] for K in (4, 7)
    ]
    assert speeds[1] < 0.9 * speeds[0]


@pytest.mark.slow
def test_one_miss_in_a_larger_batch_costs_everyone():
    single, eight = (run(LLAMA, *UNIFORM, f"batch={b}", prompts=32).metrics for b in (1, 8))
    assert eight["step_seconds"] > 1.3 * single["step_seconds"]
    assert eight["tokens_per_s"] > 4 * single["tokens_per_s"]
