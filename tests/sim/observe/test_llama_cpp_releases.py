"""llama.cpp's lines and fields of other releases."""

import pytest


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


REQUEST = (
    "I slot print_timing: id  0 | task 6 |        eval time =     600.00 ms /    60 tokens\n"
    "I slot print_timing: id  0 | task 6 | draft acceptance = 0.66667 (   36 accepted /    54 "
    "generated), mean len =  2.50\n"
)
STATISTICS = (
    "I spec common_specu: statistics        {}: #calls(b,g,a) =    1     {n}     {n}, "
    "#gen drafts =     {n}, #acc rate/pos = ({}), dur(b,g,a) = 0.004, 96.000, 0.505 ms\n"
)


def test_llama_cpps_statistics_tell_positions_where_no_other_line_does(told_of):
    first = STATISTICS.format("draft-mtp", "0.800, 0.400, 0.300", n=24)
    told = told_of(REQUEST + first)
    assert (told.rounds, told.positions) == (24, pytest.approx((0.8, 0.4, 0.3)))
    later = STATISTICS.format("draft-mtp", "0.600, 0.200", n=12)  # the server was restarted
    assert told_of(REQUEST + first + later).positions == pytest.approx((2.2 / 3, 1 / 3, 0.2))
    other = STATISTICS.format("ngram-mod", "0.900", n=4)
    assert told_of(REQUEST + first + other).positions == ()


def test_llama_cpps_requests_are_all_in_its_sums(told_of):
    told = told_of(20_000 * REQUEST)  # more than are kept of anything
    assert told.rounds == 20_000 * 24
    assert (told.tau, told.round_seconds) == (pytest.approx(2.5), pytest.approx(0.025))


def test_llama_cpps_statistics_go_on_from_request_to_request(told_of):
    line = (
        "I statistics  draft-mtp: #calls(b,g,a) = 1 {} {}, #gen drafts = 4, #acc drafts = 2, "
        "#gen tokens = 8, #acc tokens = 3, dur(b,g,a) = 0.006, {}, 0.010 ms\n"
    )
    request = "draft acceptance rate = 0.50000 (   10 accepted /   20 generated)\n"
    text = request + line.format(10, 10, "40.0") + request + line.format(30, 30, "120.0")
    told = told_of(text + request + line.format(10, 10, "40.0"))  # restarted
    assert told.draft_seconds == pytest.approx(0.160 / 40)


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


def test_rounds_of_an_answer_are_those_that_make_its_drafts_of_one_length(told_of):
    # As a server of 2026 answers with 3 drafts a round: of its 25 tokens that no draft had, one is
    # the prefill's, and the last pass had no draft.
    timings = {"predicted_n": 40, "predicted_ms": 2400.0, "draft_n": 69, "draft_n_accepted": 15}
    told = told_of({"timings": timings})
    assert (told.rounds, told.lookahead, told.varies) == (23, 3, False)
    assert (told.tau, told.round_seconds) == (pytest.approx(1 + 15 / 23), pytest.approx(0.1))
    told = told_of({"timings": timings | {"draft_n": 61}})  # of no one length
    assert (told.rounds, told.varies) == (25, True)


def test_a_call_drafts_for_all_slots_that_are_busy(told_of):
    # The same server with two slots: 24 calls made 46 drafts.
    request = (
        "slot print_timing: id  {slot} | task 1 |        eval time = 2400.00 ms /    40 tokens\n"
        "slot print_timing: id  {slot} | task 1 | draft acceptance rate = 0.21739 (   15 accepted /"
        "    69 generated)\n"
    )
    statistics = (
        "statistics     draft-simple: #calls(b,g,a) =    2     24     46, #gen drafts =     46, "
        "#gen tokens =    138, dur(b,g,a) = 0.051, 1200.000, 0.035 ms\n"
    )
    told = told_of(request.format(slot=0) + request.format(slot=1) + statistics)
    assert (told.rounds, told.lookahead) == (46, 3)
    assert told.draft_seconds == pytest.approx(0.05)  # of both slots together
    assert told.round_seconds == pytest.approx(0.1)
