"""vLLM's counters and log lines of other releases, and of servers with faults."""

import pytest

from ssdsim.errors import ConfigError
from tests.support.engine_lines import ITERATION, LOAD, SPECULATION, V0, counters

# Counters.


def test_a_counter_that_fell_is_a_restart_whose_counts_begin_at_zero(told_of):
    # One of its counters has come past its old value again: it was restarted all the same.
    told = told_of(counters(1000, (700, 400)), counters(500, (400, 200)))
    assert (told.rounds, told.tau) == (500, pytest.approx(1 + 600 / 500))
    told = told_of(counters(100, (90, 80)), counters(200, (80, 70)))
    assert told.rounds == 200
    assert any("restarted" in said for said in told.suspicious)


def test_a_restart_of_one_engine_leaves_the_other_alone(told_of):
    one, other = 'engine="0"', 'engine="1"'
    first = counters(1000, (800, 600), labels=one) + counters(1000, (800, 600), labels=other)
    second = counters(100, (80, 60), labels=one) + counters(1300, (1040, 780), labels=other)
    told = told_of(first, second)
    assert told.rounds == 100 + 300
    assert told.positions == pytest.approx((0.8, 0.6))


def test_scrapes_behind_each_other_in_one_file_are_told_apart(told_of):
    scrapes = [counters(n, (n * 0.8, n * 0.5)) for n in (100, 300, 700)]
    assert told_of("".join(scrapes)).rounds == 600


def test_older_names_and_other_prefixes_are_read(told_of):
    others = {
        "time_per_output_token_seconds_sum": 10,
        "time_per_output_token_seconds_count": 500,
        "gpu_cache_usage_perc": 0.5,
        "num_requests_running": 10,
    }
    text = counters(100, (80, 50), prefix="vllm_", end="", **others)
    told = told_of(text)
    assert told.round_seconds == pytest.approx(0.02)
    assert told.kv_per_request == pytest.approx(0.05)
    assert told.positions == pytest.approx((0.8, 0.5))


def test_values_that_are_no_numbers_and_creation_times_are_left_out(told_of):
    created = "vllm:spec_decode_num_drafts_created 1.78e+09\nvllm:num_requests_running NaN\n"
    told = told_of(created + counters(100, (80, 50)))
    assert told.rounds == 100
    assert told.requests is None


def test_llama_cpps_counters_are_read(told_of):
    text = (
        "llamacpp:tokens_predicted_total 250\nllamacpp:tokens_predicted_seconds_total 3\n"
        "llamacpp:requests_processing 1\nllamacpp:spec_decode_num_draft_tokens_total 300\n"
        "llamacpp:spec_decode_num_accepted_tokens_total 150\n"
        "llamacpp:spec_decode_num_drafts_total 100\n"
        'llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 80\n'
        'llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="1"} 70\n'
    )
    told = told_of(text)
    assert (told.tau, told.round_seconds) == (pytest.approx(2.5), pytest.approx(0.03))


def test_a_server_without_drafts_is_refused_with_what_is_missing(told_of):
    with pytest.raises(ConfigError, match="does not speculate"):
        told_of("vllm:num_requests_running 3\n")
    with pytest.raises(ConfigError, match="needs both under load"):
        told_of(counters(100, (80, 50)), counters(100, (80, 50)))


# the log.


@pytest.mark.parametrize("rates", ["0.800, 0.600", "[0.80, 0.60]", "[0.8,0.6]", "0,800, 0,600"])
def test_lists_of_rates_are_read_however_they_are_written(told_of, rates):
    told = told_of(LOAD.format(0, 4) + SPECULATION.format(rates))
    assert (told.lookahead, told.tau) == (2, pytest.approx(2.4))
    assert told.positions == (0.8, 0.6)
    assert told.round_seconds == pytest.approx(4 * 2 / 200)


def test_releases_without_rates_by_position_tell_k_and_tokens_a_round(told_of):
    old = (
        "INFO 04-25 10:00:00 [metrics.py:82] SpecDecoding metrics: Draft acceptance rate: 70.0%, "
        "Mean acceptance length: 2.40, Accepted: 1400 tokens, Drafted: 2000 tokens\n"
    )
    told = told_of(LOAD.format(0, 4) + old)
    assert (told.lookahead, told.tau) == (pytest.approx(2), pytest.approx(2.4))
    assert told.positions == ()
    told = told_of(
        "Initializing a V1 LLM engine with config: speculative_config=SpeculativeConfig("
        "method='ngram', model=None, num_spec_tokens=2)\n"
        + old.replace("Mean acceptance length: 2.40, ", "")
    )
    assert (told.lookahead, told.tau) == (2, pytest.approx(2.4))


def test_idle_intervals_do_not_make_rounds_long(told_of):
    busy = LOAD.format(0, 4) + SPECULATION.format("0.800, 0.600")
    idle = (LOAD.format(0, 1) + SPECULATION.format("0.800, 0.600")).replace("200.00", "0.34")
    told = told_of(5 * busy + idle.replace("1400", "14").replace("2000 tokens", "20 tokens"))
    assert told.round_seconds == pytest.approx(0.04)


def test_engines_of_one_log_are_kept_apart(told_of):
    log = LOAD.format(0, 2) + LOAD.format(1, 6)
    log += "".join(
        SPECULATION.format("0.800, 0.600").replace("[metrics", f"Engine 00{n}: [metrics")
        for n in (0, 1)
    )
    assert told_of(log).requests == pytest.approx((2 + 6) / 2)


def test_iterations_of_newer_releases_are_read_and_dummies_left_out(told_of):
    line = (
        "(EngineCore_DP0 pid=24) INFO 04-22 12:53:55 [core.py:359] Engine 000: Iteration({}): 0 "
        "context requests, 0 context tokens, 4 generation requests, {} generation tokens, "
        "iteration elapsed time: 20.00 ms{}, GPU KV cache usage: 50.0%\n"
    )
    capacity = "INFO 09-25 [kv_cache_utils.py:1087] GPU KV cache size: 643,232 tokens\n"
    told = told_of(
        capacity + line.format(1, 12, "") + line.format(2, 4, "") + line.format(3, 4, " (dummy)")
    )
    first, second = told.passes
    assert (first.drafted, first.context, first.seconds) == (2, 321_616, 0.02)
    assert second.drafted == 0


def test_v0_counts_emitted_tokens_since_the_server_started(told_of):
    stages = (
        "INFO 10-16 19:05:47 spec_decode_worker.py:1071] SpecDecodeWorker stage times: "
        "average_time_per_proposal_tok_ms=2.00 scoring_time_ms=19.00 verification_time_ms=1.00\n"
    )
    told = told_of(V0.format(100, 300, 200) + V0.format(8547, 13311, 10616) + stages)
    assert told.tau == pytest.approx(4 * 0.598, abs=0.005)  # its own efficiency, times K + 1
    assert (told.draft_seconds, told.round_seconds) == (pytest.approx(0.006), pytest.approx(0.026))
    after = told_of(V0.format(0, 3000, 2000) + V0.format(0, 300, 200))
    assert after.rounds == pytest.approx(1000 + 100)


def test_intervals_of_all_engines_together_are_of_each(told_of):
    load = LOAD.replace("Engine 00{}", "{} Engines Aggregated").format(2, 16)
    told = told_of(load + SPECULATION.format("0.800, 0.600").replace("200.00", "400.00"))
    assert (told.requests, told.kv_per_request) == (8, pytest.approx(0.1 / 8))
    assert told.round_seconds == pytest.approx(8 * 2 / 200)


def test_intervals_of_engines_that_are_not_named_follow_their_loads(told_of):
    slow = SPECULATION.format("0.800, 0.600").replace("200.00", "50.00")
    quick = SPECULATION.format("0.800, 0.600").replace("200.00", "300.00")
    quick = quick.replace("1400", "4200").replace("2000", "6000")
    told = told_of(LOAD.format(0, 2) + slow + LOAD.format(1, 6) + quick)
    assert told.round_seconds == pytest.approx(6 * 2 / 300)  # of the 3,000 rounds, not the 1,000
    assert told.requests == pytest.approx((2 * 1000 + 6 * 3000) / 4000)


def test_fields_between_the_others_change_nothing(told_of):
    deeper = SPECULATION.replace("2.40, ", "2.40, Current speculative depth: 2, ")
    told = told_of(LOAD.format(0, 4) + deeper.format("0.800, 0.600"))
    assert (told.lookahead, told.tau, told.positions) == (2, pytest.approx(2.4), (0.8, 0.6))


def test_the_first_line_of_v1_needs_k_from_the_servers_configuration(told_of):
    line = (
        "INFO 03-20 [metrics.py:49] Speculative metrics: Draft acceptance rate: 0.700, Number of "
        "accepted tokens: 1400, Number of draft tokens: 2000, \n"
    )
    told = told_of("speculative_config=SpeculativeConfig(num_spec_tokens=2)\n" + line)
    assert (told.lookahead, told.tau) == (2, pytest.approx(2.4))
    with pytest.raises(ConfigError, match="no interval with drafts"):
        told_of(line)


def test_with_asynchronous_scheduling_an_iterations_time_is_no_passs(told_of):
    intervals = LOAD.format(0, 4) + SPECULATION.format("0.800, 0.600")
    prepared, waited = (ITERATION.format(0, 0, 4, 12, ms) for ms in ("0.03", "39.00"))
    told = told_of(intervals + 9 * prepared + waited)
    assert [p.seconds for p in told.passes] == [pytest.approx(0.04)]
    assert any("0.03 ms where a round takes 40 ms" in said for said in told.suspicious)
    assert len(told_of(intervals + 9 * waited + prepared).passes) == 10
    with pytest.raises(ConfigError, match=r"0\.03 ms, so it is no pass's"):
        told_of(9 * prepared)


def test_counters_with_times_of_any_form_and_labels_with_braces_are_read(told_of):
    labels = r'engine="0",model_name="a{b} \"c\\ d}"'
    for stamp in (" 1756736798734", " 1.7567367987e+09", ' # {trace_id="a b"} 0.05 1.7e9'):
        scrapes = [
            counters(n, (0.8 * n, 0.5 * n), labels=labels).replace("\n", f"{stamp}\n")
            for n in (500, 1500)
        ]
        assert told_of(*scrapes).rounds == 1000


def test_counters_of_v0_are_too_few(told_of):
    with pytest.raises(ConfigError, match=r"older than vLLM 0\.9"):
        told_of("vllm:spec_decode_num_draft_tokens_total 3\nvllm:spec_decode_efficiency 0.5\n")


def test_a_log_with_lines_that_only_look_right_is_refused(told_of):
    with pytest.raises(ConfigError, match="no interval with drafts"):
        told_of("SpecDecoding metrics: Mean acceptance length: n/a\n")
