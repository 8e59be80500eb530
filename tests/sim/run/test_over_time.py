"""What is added up on the way: gaps between deliveries, and counts over time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.run.columns import Rounds
from ssdsim.run.request_metrics import Limits, costs, request_metrics
from ssdsim.run.station import Station, state_table
from ssdsim.run.tables import Sequence
from ssdsim.run.token_gaps import TokenGaps


def rounds_of(seq, end):
    nothing = np.zeros(len(seq))
    return Rounds(nothing, np.array(end, float), np.array(seq, float), nothing, nothing)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 20))
def test_gaps_are_those_between_rounds_of_a_sequence_however_they_come(seqs, stretch):
    ends = np.cumsum(np.arange(len(seqs)) % 3 + 1)
    gaps, last, expected = TokenGaps(), {}, []
    for seq, end in zip(seqs, ends, strict=True):
        expected += [end - last[seq]] if seq in last else []
        last[seq] = end
    for at in range(0, len(seqs), stretch):
        gaps.add(rounds_of(seqs[at : at + stretch], ends[at : at + stretch]))
    assert gaps.found.kept.tolist() == expected
    assert gaps.found.total == sum(expected)
    summary = gaps.found.summary("itl")
    assert summary["itl_p50"] == (np.median(expected) if expected else None)
    assert summary["itl_mean"] == (pytest.approx(np.mean(expected)) if expected else None)


def test_of_many_gaps_every_so_manieth_is_kept_and_all_are_counted(monkeypatch):
    monkeypatch.setattr("ssdsim.run.thinned.MOST", 8)
    ends = np.cumsum(np.arange(1, 102))
    told = TokenGaps()
    for at in range(0, 101, 7):
        told.add(rounds_of([0] * len(ends[at : at + 7]), ends[at : at + 7]))
    whole, gaps = np.diff(ends), told.found
    assert gaps.kept.tolist() == whole[:: gaps.stride].tolist()
    assert len(gaps.kept) <= 16
    assert (gaps.count, gaps.total) == (100, whole.sum())


def test_means_over_time_are_exact_whatever_is_kept(monkeypatch):
    monkeypatch.setattr("ssdsim.run.station.MOST", 4)
    station = Station(0)
    for time in range(40):
        station.note(float(time), (time % 3, 1, time))
        station.note(float(time), (time % 3, 1, time))  # no change
    waiting = sum(time % 3 for time in range(40)) / 40
    assert station.means(40.0) == pytest.approx([waiting, 1.0, sum(range(40)) / 40])
    assert station.peak == 39
    kept = state_table([station])["time"].to_pylist()
    assert len(kept) <= 8
    assert kept == [float(time) for time in range(0, 40, station.stride)][: len(kept)]


def test_goodput_counts_who_keeps_to_all_limits():
    times = [(0.0, 0.5, 1.0, 3.0), (1.0, 1.0, 4.0, 5.0), (2.0, 2.0, 2.5, 9.0)]
    served = [
        Sequence(seq, "", "", 1, None, 5, arrival, admitted, first, finish, "length")
        for seq, (arrival, admitted, first, finish) in enumerate(times)
    ]
    found = request_metrics(served, [Station(0)], np.inf, Limits(ttft=2.0, tpot=0.6), 10.0)
    # Times to first token 1, 3, 0.5; per token 0.5, 0.25, 1.625.
    assert found["good_fraction"] == pytest.approx(1 / 3)
    assert found["goodput_requests_per_s"] == pytest.approx(0.1)
    assert found["ttft_mean"] == pytest.approx(1.5)
    assert found["tpot_p50"] == pytest.approx(0.5)
    assert found["kv_usage_mean"] is None


def test_costs_of_a_million_tokens():
    devices = [{"count": 4, "price_per_hour": 3.0}, {"count": 1, "price_per_hour": 1.5}]
    metrics = {"tokens": 500_000, "output_tokens_per_s": 100.0, "energy_j": 1e6}
    found = costs(devices, metrics, 1800.0)
    assert found["cost_per_million_tokens"] == pytest.approx((4 * 3 + 1.5) / 2 * 2)
    assert found["energy_j_per_million_tokens"] == pytest.approx(2e6)
    assert found["output_tokens_per_s_per_device"] == 20.0
    unknown = [{"count": 1, "price_per_hour": None}]
    assert costs(unknown, {**metrics, "energy_j": None}, 1.0)["cost_per_million_tokens"] is None
