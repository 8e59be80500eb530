"""SGLang's lines and fields of other releases."""

import pytest

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


@pytest.mark.parametrize(
    ("length", "rate", "counted", "K"),
    [
        (2.59, 0.65, "with the root", 3),
        (2.59, 0.53, "drafts alone", 3),
        (2.40, 0.80, "with the root", 2),
        (2.50, 0.50, "either way: 2.5 of 5 with the root, or 1.5 of 3 drafts", None),
    ],
)
def test_sglang_tells_k_by_its_rate_however_it_counts(told_of, length, rate, counted, K):
    assert counted
    told = told_of(DECODE.format("TP0", 16, length, f"accept rate: {rate}, ", 2072.0))
    assert told.lookahead == K


def test_sglangs_arguments_may_be_a_command_line(told_of):
    command = (
        "--speculative-num-steps 3 --speculative-eagle-topk 1 --speculative-num-draft-tokens 4\n"
    )
    assert told_of(command + DECODE.format("TP0", 16, 2.59, "", 2072.0)).lookahead == 3


def test_sglangs_newest_decode_line_is_read(told_of):
    told = told_of(
        "[2026-09-17 11:37:01 DP0 TP0 EP0] Decode batch [1203], #running-req: 8, #full token: 960, "
        "full token usage: 0.04, #swa token: 512, swa token usage: 0.01, accept len: 2.50, accept "
        "rate: 0.75, npu graph: True, gen throughput (token/s): 200.00, #queue-req: 0, est. decode "
        "TFLOPS/s (per GPU): 1.23, fwd occupancy: 90.00%\n"
    )
    assert (told.lookahead, told.kv_per_request) == (2, pytest.approx(0.005))
    assert told.round_seconds == pytest.approx(0.1)


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


@pytest.mark.parametrize(
    ("histogram", "positions"),
    [
        ([2, 2, 6], (0.8, 0.6)),
        ([0, 2, 2, 6], (0.8, 0.6)),  # the bonus token counted
        ([9, 1, 0], ()),  # of other rounds
    ],
)
def test_sglangs_histograms_are_read_by_what_they_count(told_of, histogram, positions):
    counts = {"spec_verify_ct": 10, "spec_accept_token_num": 14, "spec_draft_token_num": 20}
    told = told_of(
        {"meta_info": {"completion_tokens": 24, "spec_accept_histogram": histogram, **counts}}
    )
    assert told.positions == pytest.approx(positions)
    assert told.tau == 2.4
