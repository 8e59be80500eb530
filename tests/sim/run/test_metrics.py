import json
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from timelines import DEVICES, autoregressive, played, span, speculative, ssd

from ssdsim.run.metrics import confidence, measure, speedup
from ssdsim.run.trace import Recorder, Run, load_run


def worked_example():
    """Three rounds, an unpredicted one, a hit and a miss, and a prefill before the last."""
    rounds = [
        played(1.0, 3.0, 2, round=0),
        played(3.0, 4.0, 1, round=1, hit=True),
        played(5.0, 8.0, 0, round=2, hit=False),
    ]
    spans = [
        span("draft", "speculate", 1.0, 2.0, tokens=3, used=2),
        span("target", "verify", 2.0, 3.0, tokens=4, used=3),
        span("draft", "prespeculate", 2.0, 3.0, tokens=6, used=1),
        span("target", "verify", 3.0, 4.0, tokens=4, used=2),
        span("draft", "prespeculate", 3.0, 4.5, tokens=6, used=0),
        span("target", "prefill", 4.0, 5.0, tokens=100),
        span("draft", "speculate", 5.0, 6.0, tokens=3, used=0),
        span("draft", "wait", 6.0, 7.0),
        span("link", "transfer", 6.0, 6.5),
        span("target", "verify", 6.5, 8.0, tokens=4, used=1),
    ]
    return Recorder(rounds=rounds, spans=spans).tables(8.0)


def test_worked_example():
    expected = {
        "tokens": 6,
        "seconds": 6.0,  # 1 to 4 and 5 to 8: the prefill in between is no decoding
        "tokens_per_s": 1.0,
        "tokens_per_s_e2e": 6 / 8,
        "tokens_per_s_per_device": 1 / 5,
        "step_seconds": 2.0,
        "acceptance_length": 2.0,
        "hit_rate": 0.5,
        "acceptance_length_on_hit": 2.0,
        "acceptance_length_on_miss": 1.0,
        "draft_busy": 4 / 6,  # the half second that ran into the prefill does not count
        "target_busy": 3.5 / 6,
        "idle": 0.5 / 6,  # while the draft waits and the link transfers
        "wasted_draft_token_fraction": 15 / 18,
        "wasted_draft_seconds": 1 / 3 + 5 / 6 + 1.5 + 1.0,
        "wasted_target_token_fraction": 0.5,
        "energy_j": 5 * (700 * 4.5 + 100 * 3.5),
        "itl_mean": 2.5,  # 3 to 4, and 4 to 8
        "itl_p50": 2.5,
        "itl_p90": 3.7,
        "itl_p99": 3.97,
    }
    assert measure(worked_example(), DEVICES) == pytest.approx(expected)


def test_rows_of_a_batch_share_their_steps():
    one, four = (measure(speculative(50, batch).tables, DEVICES) for batch in (1, 4))
    assert four["seconds"] == pytest.approx(one["seconds"])
    assert four["step_seconds"] == pytest.approx(one["step_seconds"]) == pytest.approx(0.040)
    assert four["tokens_per_s"] == pytest.approx(4 * four["acceptance_length"] / 0.040)


def test_rows_that_run_on_their_own():
    rounds = [played(0.0, 3.0, 1), played(1.0, 4.0, 2, seq=1), played(6.0, 7.0, 0)]
    found = measure(Recorder(rounds=rounds).tables(7.0), DEVICES)
    assert (found["tokens"], found["seconds"]) == (6, 5.0)
    assert found["step_seconds"] == pytest.approx(7 / 3)


def test_autoregressive_has_no_draft_and_no_spread():
    tables = autoregressive(64).tables
    found, spread = measure(tables, DEVICES), confidence(tables)
    assert found["tokens_per_s"] == pytest.approx(1 / 0.030)
    assert found["wasted_target_token_fraction"] == 0.0
    assert found["target_busy"] == pytest.approx(1.0)
    for name in ("draft_busy", "hit_rate", "wasted_draft_token_fraction"):
        assert found[name] is None
        assert name not in spread
    assert spread["tokens_per_s"] == pytest.approx(0.0, abs=1e-9)


def test_draft_spans_without_tokens_are_all_waste():
    spans = [span("draft", "prespeculate", 0.0, 2.0), span("draft", "speculate", 2.0, 2.0)]
    found = measure(Recorder(spans=spans).tables(2.0), DEVICES)
    assert found["wasted_draft_seconds"] == 2.0
    assert found["wasted_draft_token_fraction"] is None


def test_a_run_cut_before_its_first_round():
    for spans in ([], [span("target", "prefill", 0.0, 1.0, tokens=9)]):
        tables = Recorder(spans=spans).tables(1.0)
        found = measure(tables, DEVICES)
        assert (found["tokens"], found["seconds"], confidence(tables)) == (0, 0.0, {})
        assert found["tokens_per_s"] is found["tokens_per_s_per_device"] is None
        json.dumps(found, allow_nan=False)


def test_energy_needs_every_power():
    unknown = [DEVICES[0], DEVICES[1] | {"idle_watts": None}]
    assert measure(worked_example(), unknown)["energy_j"] is None
    assert measure(worked_example(), [])["tokens_per_s_per_device"] is None


def test_metrics_are_plain_json():
    for run in (autoregressive(9), speculative(9, 4), ssd(9, 4)):
        found = measure(run.tables, DEVICES) | {"ci95": confidence(run.tables)}
        assert json.loads(json.dumps(found, allow_nan=False)) == found


intervals = st.tuples(st.integers(0, 40), st.integers(0, 10))


@given(st.lists(intervals, min_size=1, max_size=12), st.lists(intervals, max_size=12))
def test_seconds_and_busy_against_counting_ticks(rounds, work):
    def ticks(pairs):
        return {tick for start, length in pairs for tick in range(start, start + length)}

    record = Recorder(
        rounds=[played(float(s), float(s + n), 0) for s, n in rounds],
        spans=[span("target", "verify", float(s), float(s + n)) for s, n in work],
    )
    found, decoding = measure(record.tables(100.0), DEVICES), ticks(rounds)
    assert found["seconds"] == len(decoding)
    if decoding and work:
        busy = len(decoding & ticks(work)) / len(decoding)
        assert found["target_busy"] == pytest.approx(busy)
    else:
        assert found["target_busy"] is None


def chain_of_rounds(random, rounds, stay):
    """Rounds whose hit lasts: the next one hits as this one did with probability `stay`.

    A hit delivers 3 tokens on average in 1 s, a miss 2 in 1.5 s, and half of all rounds hit.
    """
    change = random.random(rounds) > stay
    hits = (random.integers(2) + np.cumsum(change)) % 2 == 1
    accepted = random.binomial(4, np.where(hits, 0.5, 0.25))
    ends = np.cumsum(np.where(hits, 1.0, 1.5))
    starts = np.r_[0.0, ends[:-1]]
    columns = (starts.tolist(), ends.tolist(), accepted.tolist(), hits.tolist())
    return [played(s, e, a, hit=h) for s, e, a, h in zip(*columns, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("stay", [0.5, 0.8])
def test_the_intervals_cover_the_truth_in_95_of_100_runs(stay):
    truth = {
        "tokens_per_s": 2.5 / 1.25,
        "acceptance_length": 2.5,
        "hit_rate": 0.5,
        "acceptance_length_on_miss": 2.0,
    }
    seeds, covered = 300, dict.fromkeys(truth, 0)
    for seed in range(seeds):
        rounds = chain_of_rounds(np.random.default_rng(seed), 1280, stay)
        tables = Recorder(rounds=rounds).tables(1e9)
        found, half_widths = measure(tables, DEVICES), confidence(tables)
        for name, value in truth.items():
            covered[name] += abs(found[name] - value) <= half_widths[name]
    slack = 3.3 * sqrt(0.95 * 0.05 / seeds)
    # Correlation that reaches past a block's ends costs a little coverage.
    for share in (count / seeds for count in covered.values()):
        assert 0.95 - slack - (stay - 0.5) / 15 <= share <= 0.95 + slack


def test_half_widths_shrink_with_the_root_of_the_length():
    short, long = (confidence(ssd(rounds, 1).tables) for rounds in (640, 10_240))
    assert long["tokens_per_s"] == pytest.approx(short["tokens_per_s"] / 4, rel=0.5)
    assert {"draft_busy", "target_busy", "step_seconds"} <= long.keys()
    assert {"wasted_draft_token_fraction", "wasted_target_token_fraction"} <= long.keys()


def test_speedup():
    ratio, half_width = speedup(200.0, 6.0, 100.0, 4.0)
    assert (ratio, half_width) == pytest.approx((2.0, 0.1))


def test_an_empty_run_reads_back(tmp_path):
    run = Run({"schema": 1}, Recorder().tables(0.0))
    run.save(tmp_path)
    tables = load_run(tmp_path).tables
    assert measure(tables, DEVICES) == measure(run.tables, DEVICES)
    assert confidence(tables) == {}
