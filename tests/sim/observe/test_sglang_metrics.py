"""SGLang's own metrics: what counts by token, what is a gauge, ranks that say the same."""

from pathlib import Path

import pytest

from ssdsim.errors import ConfigError

SAMPLE = Path(__file__).parents[2] / "support" / "engine_logs" / "sglang_metrics.prom"
LABELS = 'dp_rank="{}",model_name="m",pp_rank="0",tp_rank="{}"'


def page(length, running=8, rank=0, tp=0, **gauges):
    labels = LABELS.format(rank, tp)
    values = {"spec_accept_length": length, "num_running_reqs": running} | gauges
    return "".join(f"sglang:{name}{{{labels}}} {value}\n" for name, value in values.items())


def test_counters_tell_tokens_and_seconds_of_a_round(told_of):
    # (15,360 tokens less the first ones of 60 requests) / 6,000 verifies; 8 ms for each token
    told = told_of(SAMPLE.read_text(encoding="utf-8"))
    assert (told.rounds, told.lookahead) == (6000, 3)
    assert told.tau == pytest.approx(2.55)
    assert told.round_seconds == pytest.approx(2.55 * 0.008)
    assert told.kv_per_request == pytest.approx(0.02)
    assert (told.requests, told.passes[0].context) == (8, 40_000)
    assert not told.suspicious


def test_gauges_alone_are_weighed_by_the_load_and_said_to_be_gauges(told_of):
    told = told_of(page(2.6, spec_accept_rate=1.6 / 3) + page(0.0, running=0) + page(2.6))
    assert (told.tau, told.lookahead) == (2.6, 3)
    assert any("not of all in between" in line for line in told.suspicious)


@pytest.mark.parametrize("rate", [1.6 / 3, 2.6 / 4])
def test_the_lookahead_follows_from_rates_of_older_and_newer_releases(told_of, rate):
    assert told_of(page(2.6, spec_accept_rate=rate)).lookahead == 3


def test_ranks_of_an_engine_say_the_same_and_engines_add_up(told_of):
    one = page(2.0, tp=0, spec_num_steps=3, gen_throughput=100.0)
    other = page(3.0, running=24, rank=1, tp=4, spec_num_steps=3, gen_throughput=300.0)
    repeated = page(2.0, tp=1, spec_num_steps=3, gen_throughput=100.0)
    told = told_of(one + repeated + other)
    assert told.tau == pytest.approx((8 * 2.0 + 24 * 3.0) / 32)
    assert (told.requests, told.throughput) == (16, 400)


def test_an_idle_server_and_one_that_does_not_speculate_are_refused(told_of):
    for text in (page(0.0), 'sglang:num_running_reqs{tp_rank="0"} 3\n'):
        with pytest.raises(ConfigError, match="no spec_accept_length above 0"):
            told_of(text)
