"""Lines and fields of other releases and tools: right, or refused."""

import json

import pytest

from ssdsim.errors import ConfigError
from ssdsim.observe.gates import refuse_impossible
from ssdsim.observe.told import RoundCounts, Told, rates_for


def test_ranks_of_tensorrt_llm_that_repeat_the_first_ones_counts_are_left_out(told_of):
    row = {
        "iter": 1,
        "iterLatencyMS": 20.0,
        "numActiveRequests": 4,
        "specDecodingStats": {
            "numDraftTokens": 12,
            "numAcceptedTokens": 6,
            "numRequestsWithDraftTokens": 4,
        },
    }
    rows = [row, {**row, "attentionDpRank": 1}, {**row, "iter": 2}]
    told = told_of(rows, name="metrics.json")
    assert (told.rounds, told.lookahead, told.tau) == (8, 3, 2.5)
    warm_up = {**row, "iterLatencyMS": 3000.0}
    assert told_of([warm_up, *rows], name="metrics.json").round_seconds == 0.02


def test_a_bench_without_its_intervals_tells_what_its_counters_do(told_of):
    record = {
        "completed": 9,
        "mean_ttft_ms": 65.0,
        "mean_itl_ms": 20.0,
        "spec_decode_num_drafts": 100,
        "spec_decode_draft_tokens": 300,
        "spec_decode_acceptance_length": 2.4,
        "spec_decode_per_position_acceptance_rates": [80.0, 40.0, 20.0],
    }
    told = told_of(record, name="bench.json")
    assert (told.tau, told.lookahead, told.round_seconds) == (2.4, 3, 0.02)
    assert told.positions == (0.8, 0.4, 0.2)  # percent, in some releases
    with pytest.raises(ConfigError, match="--save-detailed"):
        told_of({"completed": 9, "mean_ttft_ms": 65.0}, name="bench.json")


SGLANG_BENCH = {"backend": "sglang", "completed": 2, "accept_length": 2.4, "duration": 1.0}
SGLANG_BENCH |= {"mean_ttft_ms": 100.0, "mean_itl_ms": 25.0, "mean_tpot_ms": 25.0}


def test_sglangs_bench_divides_intervals_among_tokens(told_of):
    lists = {"output_lens": [13, 13], "ttfts": [0.1, 0.1], "itls": [[0.025] * 12] * 2}
    told = told_of(SGLANG_BENCH | lists)
    assert (told.tau, told.round_seconds) == (pytest.approx(2.4), pytest.approx(0.06))
    assert (told.rounds, told.tpot_seconds) == (pytest.approx(10), pytest.approx(0.025))
    assert told.passes[0].weight == pytest.approx(5)
    assert not told.suspicious
    told = told_of(SGLANG_BENCH)
    assert (told.tau, told.round_seconds) == (2.4, pytest.approx(0.06))


def test_a_summary_of_requests_says_how_long_drafts_were(told_of):
    counts = {"num_spec_steps": 4, "num_draft_tokens": 8, "num_spec_tokens": 3}
    found = {"acceptance_histogram": [2, 2, 0, 0], **counts}
    told = told_of({"metrics": {"speculative_decoding": found}})
    assert (told.lookahead, told.tau, told.varies) == (2, 1.5, True)


def test_the_ssd_engine_prints_no_miss_where_there_is_none(told_of):
    text = (
        "F=3, fan_out_list=[3, 3, 3], fan_out_list_miss=[3, 3, 3], MQ_LEN=9\n"
        "[metrics] Avg Tokens per step (incl recovery): 2.50\n"
        "[metrics] Avg Cache Hits: 1.00\n"
        "[metrics] Avg Tokens per step on Cache Hit: 2.50\n"
        "[metrics] Empirical frequencies of accepted_suffix_lens_on_hit - 1:\n"
        "  0: 0.200\n  1: 0.100\n  2: 0.700\n"
        "[metrics] Avg Tokens per step on Cache Hit: N/A (no cache hits)\n"
    )
    hits = told_of(text).hits
    assert (hits.rate, hits.tau, hits.tau_miss, hits.fanout) == (1, 2.5, None, 3)
    assert hits.accepted == (0.2, 0.1, 0.7)


def test_the_ssd_engines_draft_is_busy_with_more_than_the_tree(told_of):
    text = (
        "[PROFILE target] handshake={}ms verify=11.45ms postprocess=0.04ms total=22.25ms hits=1/1\n"
        "[PROFILE draft] service=0.71ms build_tree=2.83ms decode_tree={}ms total=13.75ms\n"
        "[12:00:01] [PROFILE draft] tree_step[0]=2.60ms\n"
        "[12:00:01] [PROFILE draft] tree_decode: K=4 steps=2.5 2.6 avg=2.55ms total=10.20ms\n"
    )
    metrics = (
        "[metrics] Avg Tokens per step (incl recovery): 2.50\n[metrics] Avg Cache Hits: 0.50\n"
        "[metrics] Avg Tokens per step on Cache Hit: 3.00\n"
        "[metrics] Suggested geometric fan_out_list (next run): [4, 3, 2, 1]\n"
        "[metrics] Avg Tokens per step on Cache Miss: 2.00\n"
    )
    compiling, *steps = (text.format(*ms) for ms in ((900, 700), (1.5, 10.16), (1.5, 10.16)))
    told = told_of(compiling + "".join(steps) + metrics)
    assert told.hits.tree == pytest.approx(0.0102, rel=0.01)
    assert (told.hits.handshake, told.hits.tau_miss) == (0.0015, 2.0)


def test_the_last_of_several_runs_of_the_ssd_engine_counts(told_of):
    text = "[metrics] Avg Tokens per step (incl recovery): {}\nMode: Speculative(k=4) + JIT\n"
    told = told_of(text.format(2.0) + text.format(3.0))
    assert (told.tau, told.lookahead) == (3, 4)
    assert any("2 runs" in said for said in told.suspicious)


def test_eagles_steps_are_counted_from_zero(told_of):
    choice = {"turns": ["..."], "idxs": [9], "new_tokens": [25], "wall_time": [0.5]}
    told = told_of({"choices": [choice]}, name="eagle.jsonl")
    assert (told.rounds, told.tau, told.round_seconds) == (10, 2.5, 0.05)
    assert any(said.startswith("K") for said in told.unknown)


def test_turns_that_failed_are_left_out_and_steps_follow_from_lengths(told_of):
    turn = {"new_tokens": [12], "wall_time": [0.25], "accept_lengths": [3, 3, 3, 2, 1]}
    failed = {"decoding_steps": [-1], "new_tokens": [-1], "wall_time": [-1], "accept_lengths": []}
    told = told_of("\n".join(json.dumps({"choices": [of]}) for of in (turn, failed)))
    assert (told.rounds, told.tau, told.round_seconds) == (5, 2.4, 0.05)
    assert any(said.startswith("K: the longest") for said in told.unknown)


def test_a_length_for_every_position_is_walked_from_round_to_round(told_of):
    # Of the text's positions rounds begin at 1, 4 and 5.
    told = told_of({"acc_eagle": [9, 3, 1, 1, 1, 2, 1]}, name="bench.jsonl")
    assert told.rounds == 3
    assert told.tau == pytest.approx((3 + 1 + 2) / 3)


def test_what_a_callback_of_assisted_generation_counts_is_read(told_of):
    rows = [{"n_matches": k, "candidate_length": 5} for k in (5, 2, 0)]
    text = "\n".join(map(json.dumps, rows))
    told = told_of(text, name="callback.jsonl")
    assert (told.lookahead, told.tau) == (5, pytest.approx(1 + 7 / 3))


def test_a_table_with_semicolons_and_decimal_commas_is_read(told_of):
    told = told_of(
        "batch_size;num_draft_tokens;step_seconds\n1;0;0,0072\n1;3;0,0091\n", name="c.csv"
    )
    assert [p.seconds for p in told.passes] == [0.0072, 0.0091]


def test_drafts_of_several_lengths_count_where_they_were_drafted():
    counts = RoundCounts()
    for accepted, drafted in ((1, 1), (1, 1), (2, 2), (0, 2)):
        counts.add(accepted, drafted)
    assert counts.positions == pytest.approx((0.75, 0.25))  # of all rounds
    assert counts.conditional == pytest.approx((0.75, 1.0))  # where the second was drafted
    assert counts.varies


def test_one_chance_for_all_positions_makes_the_logged_length():
    (a, *_) = rates_for(2.59, 3)
    assert 1 + a + a**2 + a**3 == pytest.approx(2.59)
    assert rates_for(1.0, 3) == (0, 0, 0)


@pytest.mark.parametrize(
    "told",
    [Told(tau=5.0, lookahead=3.0), Told(positions=(1.3, 0.2), lookahead=2.0)],
    ids=["more than was drafted", "no share"],
)
def test_numbers_that_cannot_be_are_refused(told):
    with pytest.raises(ConfigError, match="--from"):
        refuse_impossible(told)
