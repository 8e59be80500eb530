"""Lines and fields of engines but vLLM, of other releases and with faults: right, or refused."""

import json

import pytest

from ssdsim.errors import ConfigError
from ssdsim.observe.gates import refuse_impossible
from ssdsim.observe.told import RoundCounts, Told, rates_for

# SGLang.

DECODE = (
    "[2026-09-25 22:27:16 {}] Decode batch. #running-req: {}, #token: 9600, token usage: 0.05, "
    "accept len: {}, {}cuda graph: True, gen throughput (token/s): {}, #queue-req: 0\n"
)
ARGUMENTS = "server_args=ServerArgs(speculative_num_steps=3, speculative_num_draft_tokens=4)\n"


def test_sglang_without_a_rate_takes_k_from_the_servers_arguments(told_of):
    told = told_of(ARGUMENTS + DECODE.format("TP0", 16, 2.59, "", 2072.0))
    assert (told.lookahead, told.round_seconds) == (3, pytest.approx(0.02))
    told = told_of(DECODE.format("TP0", 16, 2.59, "", 2072.0))
    assert told.lookahead is None
    assert any(said.startswith("K:") for said in told.unknown)


@pytest.mark.parametrize(("rate", "counted"), [(0.65, "with the root"), (0.53, "drafts alone")])
def test_sglang_tells_k_by_its_rate_however_it_counts(told_of, rate, counted):
    assert counted
    told = told_of(DECODE.format("TP0", 16, 2.59, f"accept rate: {rate}, ", 2072.0))
    assert told.lookahead == 3


def test_other_ranks_of_an_engine_say_the_same_and_other_engines_do_not(told_of):
    again = "".join(DECODE.format(f"TP{rank}", 16, 2.59, "", 2072.0) for rank in (0, 1))
    assert told_of(again).read == 1
    others = "".join(DECODE.format(f"DP{n} TP0", 16, 2.59, "", 2072.0) for n in (0, 1))
    assert told_of(others).read == 2


def test_lines_after_a_prefill_do_not_count_where_others_do_not(told_of):
    prefill = "[2026-09-25 22:27:10 TP0] Prefill batch, #new-seq: 2, #new-token: 1024\n"
    slow, fast = (DECODE.format("TP0", 16, 2.59, "", g) for g in (1000.0, 2072.0))
    assert told_of(prefill + slow + fast).round_seconds == pytest.approx(0.02)


def test_sglangs_fields_are_read_by_other_names(told_of):
    meta = {
        "completion_tokens": 9,
        "spec_verify_ct": 3,
        "spec_num_correct_drafts": 5,
        "spec_proposed_drafts": 9,
    }
    told = told_of({"meta_info": meta}, name="meta.json")
    assert (told.lookahead, told.tau) == (3, 3)
    chat = {"choices": [{"message": {}, "meta_info": meta}]}
    assert told_of(chat, name="chat.json").rounds == 3


# The others.


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


def test_llama_cpp_prints_positions_in_a_line_of_their_own_in_newer_releases(told_of):
    slot = "0.16.519.195 I slot print_timing: id  0 | task 42 | "
    told = told_of(
        f"{slot}prompt eval time =      50.00 ms /   100 tokens (    0.50 ms per token)\n"
        f"{slot}       eval time =     600.00 ms /    60 tokens (   10.00 ms per token)\n"
        f"{slot}draft acceptance = 0.66667 (   36 accepted /    54 generated), mean len =  2.50\n"
        f"{slot}     acc per pos = (0.800, 0.400, 0.300)\n"
    )
    assert told.positions == pytest.approx((0.8, 0.4, 0.3))
    assert told.round_seconds == pytest.approx(0.025)
    assert [p.prompt_tokens for p in told.passes] == [100, 0]


def test_llama_cpps_statistics_go_on_from_request_to_request(told_of):
    line = (
        "I statistics  draft-mtp: #calls(b,g,a) = 1 {} {}, #gen drafts = 4, #acc drafts = 2, "
        "#gen tokens = 8, #acc tokens = 3, dur(b,g,a) = 0.006, {}, 0.010 ms\n"
    )
    request = "draft acceptance rate = 0.50000 (   10 accepted /   20 generated)\n"
    text = request + line.format(10, 10, "40.0") + request + line.format(30, 30, "120.0")
    told = told_of(text + request + line.format(10, 10, "40.0"))  # restarted
    assert told.draft_seconds == pytest.approx(0.160 / 40)


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


def test_several_slots_are_noted(told_of):
    line = "slot print_timing: id  {} | draft acceptance = 0.5 ( 3 accepted / 6 generated), "
    log = "".join(line.format(slot) + "mean len = 2.50\n" for slot in (0, 1))
    assert any("several slots" in said for said in told_of(log).suspicious)


def test_rounds_in_which_a_lookup_found_nothing_are_rounds(told_of):
    told = told_of(
        {
            "timings": {
                "predicted_n": 100,
                "predicted_ms": 900.0,
                "draft_n": 30,
                "draft_n_accepted": 10,
            }
        },
        name="timings.json",
    )
    assert told.rounds == 90
    assert told.lookahead == pytest.approx(30 / 90)
    assert told.varies


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
