"""Answers as servers stream them, files that were cut or mixed, names that moved."""

import gzip
import json

import pytest

from ssdsim.errors import ConfigError
from ssdsim.observe.reading import observe
from ssdsim.observe.told import rates_for
from tests.support.engine_lines import LOAD, SPECULATION, counters

TIMINGS = {"prompt_n": 100, "prompt_ms": 50.0, "predicted_n": 60, "predicted_ms": 600.0}
DRAFTS = {"draft_n": 54, "draft_n_accepted": 36}


def streamed(*records):
    return "".join(f"data: {json.dumps(record)}\n\n" for record in records) + "data: [DONE]\n\n"


def test_a_streams_timings_go_on_and_the_last_ones_count(told_of):
    counts = [(1, 0, 0), (20, 18, 12), (40, 36, 24), (60, 54, 36)]
    names = ("predicted_n", "draft_n", "draft_n_accepted")
    each = [
        {"timings": TIMINGS | dict(zip(names, n, strict=True)) | {"predicted_ms": 10.0 * n[0]}}
        for n in counts
    ]
    told = told_of(streamed(*each) + streamed(*each))
    assert (told.rounds, told.read) == (48, 2)
    assert (told.tau, told.round_seconds) == (pytest.approx(2.5), pytest.approx(0.025))


def test_only_the_last_chunk_of_a_stream_has_timings(told_of):
    chunks = [{"choices": [{"delta": {"content": "x"}}]}] * 3
    told = told_of(": ping\n\n" + 2 * streamed(*chunks, {"timings": TIMINGS | DRAFTS}))
    assert (told.rounds, told.tau) == (48, pytest.approx(2.5))


def test_more_accepted_than_drafted_is_refused(told_of):
    with pytest.raises(ConfigError, match="draft_n_accepted is 55: needs at most the 54"):
        told_of({"timings": TIMINGS | DRAFTS | {"draft_n_accepted": 55}})
    with pytest.raises(ConfigError, match="accepted 4 of 3"):
        told_of("accepted,drafted\n4,3\n0,3\n", name="a.csv")
    with pytest.raises(ConfigError, match=r"accepted 2\.5: needs whole numbers"):
        told_of("accepted\n2.5\n1\n", name="a.csv")
    for commits, right in (("1.5", "1.5 in a row: needs a whole"), ("3", "3 in a row: needs")):
        with pytest.raises(ConfigError, match=f"commits is {right}"):
            told_of(f"commits,category,a0,a1\n{commits},x,0.5,0.5\n", name="a.csv")
    turn = {"decoding_steps": [2], "new_tokens": [40], "accept_lengths": [3, 3]}
    with pytest.raises(ConfigError, match="20 tokens a round: more than the 2 drafts"):
        told_of({"choices": [turn]})
    with pytest.raises(ConfigError, match="commits is -1"):
        told_of("commits,category,a0\n-1,x,0.5\n1,x,0.5\n", name="a.csv")
    with pytest.raises(ConfigError, match="seconds above 0"):
        told_of("batch_size,num_draft_tokens,step_seconds\n1,0,-0.1\n", name="a.csv")


def test_times_of_interleaved_slots_stay_with_their_slot(told_of):
    text = "".join(
        f"slot print_timing: id  {slot} | task {slot} | {line}\n"
        for line in (
            "       eval time =     600.00 ms /    60 tokens (   10.00 ms per token)",
            "draft acceptance rate = 0.66667 (   36 accepted /    54 generated)",
        )
        for slot in (0, 1)
    )
    told = told_of(text)
    assert (told.rounds, told.round_seconds) == (48, pytest.approx(0.025))


def test_drafters_in_a_row_are_asked_in_the_same_round(told_of):
    # Their counts go on from the server's start, so they may be of more than the log's requests.
    line = "statistics {}: #calls(b,g,a) = 4 {} 64, #gen drafts = 64, dur(b,g,a) = 0.0, 640.0, 0 ms"
    request = (
        "       eval time =   15000.00 ms /   192 tokens (   78.13 ms per token)\n"
        "draft acceptance rate = 0.68449 (  128 accepted /   187 generated)\n"
    )
    for calls in (64, 282):
        statistics = "\n".join(line.format(name, calls) for name in ("ngram-mod", "draft-mtp"))
        told = told_of(request + statistics)
        assert (told.rounds, told.tau) == (64, pytest.approx(3.0))


def test_sglangs_newest_names_and_streams_are_read(told_of):
    def meta(name, tokens, rounds, correct, histogram):
        counts = {"spec_verify_ct": rounds, "spec_num_proposed_drafts": 3 * rounds}
        counts |= {"spec_num_correct_drafts": correct, "spec_correct_drafts_histogram": histogram}
        return {"meta_info": {"id": name, "completion_tokens": tokens, **counts}}

    chunks = [(1, 0, 0, []), (3, 1, 1, [0, 1]), (8, 3, 5, [0, 1, 2])]
    told = told_of(streamed(*(meta(name, *chunk) for name in "ab" for chunk in chunks)))
    assert (told.rounds, told.lookahead, told.read) == (6, 3, 2)
    assert told.positions == pytest.approx((1, 2 / 3, 0))
    with pytest.raises(ConfigError, match="does not speculate"):
        told_of({"meta_info": {"completion_tokens": 8, "e2e_latency": 0.1}})


@pytest.mark.parametrize("rates", ["", ", Per-position acceptance rate: 0.800, 0.600"])
def test_the_first_releases_of_v1_leave_the_bonus_token_out_of_the_length(told_of, rates):
    told = told_of(
        "INFO 05-01 08:00:00 [metrics.py:71] SpecDecoding metrics: Draft acceptance rate: 70.0%, "
        f"Mean acceptance length: 1.40, Accepted: 1400 tokens, Drafted: 2000 tokens{rates}\n"
    )
    assert (told.lookahead, told.tau) == (pytest.approx(2), pytest.approx(2.4))


def test_intervals_of_several_k_count_where_they_were_drafted(told_of):
    longer = SPECULATION.replace("2.40", "3.00").replace("Drafted: 2000", "Drafted: 4000")
    longer = longer.replace("1400", "2000")
    text = SPECULATION.format("0.800, 0.600") + longer.format("0.800, 0.600, 0.400, 0.200")
    told = told_of(LOAD.format(0, 4) + text)
    assert told.varies
    assert (told.lookahead, told.tau) == (pytest.approx(3), pytest.approx(2.7))
    assert told.positions == pytest.approx((0.8, 0.6, 0.2, 0.1))
    assert told.conditional == pytest.approx((0.8, 0.75, 2 / 3, 0.5))


def test_an_old_v0_line_says_tokens_twice(told_of):
    told = told_of(
        "INFO 07-24 04:00:31 metrics.py:316] Speculative metrics: Draft acceptance rate: 0.100, "
        "System efficiency: 0.159, Number of speculative tokens: 16, Number of accepted tokens: "
        "4227, Number of draft tokens tokens: 42272, Number of emitted tokens tokens: 6000.\n"
    )
    assert (told.lookahead, told.tau) == (16, pytest.approx(6000 / 2642))


def test_logs_without_speculation_say_so(told_of):
    with pytest.raises(ConfigError, match="does it speculate"):
        told_of(LOAD.format(0, 4))
    with pytest.raises(ConfigError, match="does not speculate"):
        told_of("       eval time =     600.00 ms /    60 tokens (   10.00 ms per token)\n")


def test_scrapes_of_one_start_are_put_in_order_and_others_are_a_restart(told_of):
    def scrape(drafts, start):
        created = f'vllm:spec_decode_num_drafts_created{{engine="0"}} {start}\n'
        return created + counters(drafts, (0.8 * drafts, 0.5 * drafts))

    assert told_of(scrape(3000, 1.5e9), scrape(1000, 1.5e9)).rounds == 2000
    assert told_of(scrape(3000, 1.5e9), scrape(1000, 1.6e9)).rounds == 1000


def test_counters_that_do_not_add_up_tell_no_rates_by_position(told_of):
    lines = counters(1000, (800, 500)).splitlines()
    told = told_of("\n".join(lines[:-1]) + "\n")
    assert (told.tau, told.positions) == (pytest.approx(2.3), ())
    assert told.conditional == rates_for(2.3, 2)


def test_a_file_of_two_servers_and_sources_of_different_k_are_told(tmp_path):
    decode = (
        "[2026-09-25 22:27:16 TP0] Decode batch, #running-req: 16, #token: 9600, accept len: 2.59, "
        "accept rate: 0.65, gen throughput (token/s): 2072.00, #queue-req: 0\n"
    )
    log, counts = tmp_path / "a.log", tmp_path / "b.prom"
    log.write_text(LOAD.format(0, 4) + SPECULATION.format("0.800, 0.600") + decode)
    counts.write_text(counters(1000, (800, 500)))
    observation = observe([str(log), str(counts)])
    assert any("a.log holds vLLM server log, too" in said for said in observation.told.suspicious)
    assert any("agree on K" in gate.what and not gate.passed for gate in observation.gates)


def test_of_two_formats_in_a_file_one_that_tells_is_read(told_of):
    # By name SGLang's would come first, but its gauge alone tells nothing.
    told = told_of(counters(1000, (800, 500)) + "sglang:num_running_reqs 3\n")
    assert told.tau == pytest.approx(2.3)
    assert any("metrics of SGLang (Prometheus), too: left out" in said for said in told.suspicious)


def test_histograms_of_responses_without_k_have_a_place_for_every_draft(told_of):
    told = told_of({"metrics": {"speculative_decoding": {"acceptance_histogram": [0, 2, 1, 0]}}})
    assert (told.lookahead, told.positions) == (3, pytest.approx((1, 1 / 3, 0)))
    cut = {"per_step_accepted": [1, 1, 2], "per_step_drafted": [3, 3]}
    with pytest.raises(ConfigError, match="as many per_step_drafted"):
        told_of({"metrics": {"speculative_decoding": cut}})


def test_tables_as_spreadsheets_write_them_and_cut_ones_are_read(told_of):
    told = told_of(
        "sep=;\r\nCommits;Category;A0;A1\r\n1;c;0,9;0,4\r\n2;c;0,9;0,4\r\n1", name="a.csv"
    )
    assert (told.rounds, told.unread) == (2, 1)
    assert told.positions == pytest.approx((1, 0.5))


def test_packed_files_are_known_by_their_content(tmp_path):
    packed = tmp_path / "server.log"
    packed.write_bytes(gzip.compress((LOAD.format(0, 4) + SPECULATION.format("0.8, 0.6")).encode()))
    assert observe([str(packed)]).told.tau == pytest.approx(2.4)


def test_json_lines_inside_a_log_are_read(told_of):
    found = {"acceptance_histogram": [2, 2, 6], "num_spec_tokens": 2}
    line = json.dumps({"metrics": {"speculative_decoding": found}})
    told = told_of(f"Server started\nINFO a line\n{line}\nINFO {{another}}\n{line}\n")
    assert (told.rounds, told.tau, told.unread) == (20, pytest.approx(2.4), 0)


@pytest.mark.parametrize("field", ["message", "textPayload", "line"])
@pytest.mark.parametrize("export", [lambda of: of, lambda of: {"events": of}])
def test_a_collectors_records_may_be_one_document(told_of, field, export):
    text = LOAD.format(0, 4) + SPECULATION.format("0.800, 0.600")
    records = [{"timestamp": 17, field: line} for line in text.splitlines()]
    assert told_of(export(records)).tau == pytest.approx(2.4)


def test_a_collectors_file_may_have_bare_lines_as_well(told_of):
    bare, record = SPECULATION.format("0.800, 0.600"), {"message": LOAD.format(0, 4)}
    assert told_of(f"{json.dumps(record)}\n{bare}").round_seconds == pytest.approx(0.04)


def test_statistics_of_tensorrt_llm_may_be_texts_in_a_list(told_of):
    each = {"iter": 1, "iterLatencyMS": 20.0, "inflightBatchingStats": {"numGenRequests": 16}}
    each["specDecodingStats"] = {"numDraftTokens": 48, "numAcceptedTokens": 25}
    told = told_of([json.dumps(each)] * 2)
    assert (told.lookahead, told.tau) == (3, pytest.approx(2.5625))


def test_accepted_lengths_of_turns_may_be_a_list_each(told_of):
    choice = {"new_tokens": [8, 4], "decoding_steps": [3, 2], "wall_time": [0.075, 0.05]}
    told = told_of({"choices": [choice | {"accept_lengths": [[3, 3, 2], [2, 2]]}]})
    assert (told.tau, told.round_seconds) == (pytest.approx(2.4), pytest.approx(0.025))


def test_a_length_of_nothing_shows_that_the_bonus_token_is_not_counted(told_of):
    with pytest.raises(ConfigError, match="a length of 0: needs the bonus token counted"):
        told_of('{"accept_length": 0}\n{"accept_length": 3}\n')


def test_a_table_with_an_index_and_rates_in_percent_are_read(told_of):
    told = told_of(",accepted,drafted\n0,2,3\n1,0,3\n2,3,3\n", name="a.csv")
    assert (told.lookahead, told.tau) == (3, pytest.approx(1 + 5 / 3))
    told = told_of(
        "Decode batch, #running-req: 16, #token: 9600, accept len: 2.59, accept rate: 65.00%, "
        "gen throughput (token/s): 2072.00, #queue-req: 0\n"
    )
    assert told.lookahead == 3


def test_counts_and_seconds_below_nothing_are_refused(told_of):
    with pytest.raises(ConfigError, match="needs both under load"):
        told_of(counters(-5, (-4, -2)))
    with pytest.raises(ConfigError, match="seconds a round: needs above 0"):
        told_of({"timings": TIMINGS | DRAFTS | {"predicted_ms": -5.0}})


@pytest.mark.parametrize("rates", ["0.001, 0.000", "0.000, 0.000"])
def test_hardly_any_acceptance_is_no_other_k(told_of, rates):
    text = SPECULATION.replace("2.40", "1.00").replace("1400", "1").replace("70.0", "0.1")
    told = told_of(text.format(rates))
    assert (told.lookahead, told.tau) == (2, pytest.approx(1.001))


def test_counts_of_other_rates_are_left_out(told_of):
    # As where marks between thousands were not understood: K cannot be above its positions.
    with pytest.raises(ConfigError, match="no interval with drafts"):
        told_of(SPECULATION.replace("1400", "1 400").replace("2000", "2 000").format("0.8, 0.6"))
