"""What a page holds of requests is what the run's tables have."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import columns_of
from served_pages import WORDS, crowded

import ssdsim
from ssdsim.page import pack, requests
from ssdsim.page.columns import TICK
from ssdsim.page.pack import packed
from ssdsim.run.tables import STATE
from ssdsim.run.trace import Run

SAID = "Queues and KV blocks changed {} times: of every {} s the largest counts are shown."
MOMENTS = ("arrival", "admitted", "first_token", "finish")


def test_requests_are_those_of_the_run_in_order_of_arrival():
    run = crowded()
    found = columns_of(packed(run), "requests")
    wanted = run.sequences.sort_values("arrival", kind="stable")
    for name in MOMENTS:
        assert np.abs(found[name] - wanted[name]).max() <= TICK / 2
    for name in ("seq", "prompt_tokens", "tokens", "preempted", "replica"):
        assert found[name].tolist() == wanted[name].tolist()
    for name in ("preempted_at", "resumed_at"):
        times = [[*each] for each in wanted[name]]
        assert [pytest.approx(each, abs=TICK) for each in times] == [
            [*each] for each in found[name]
        ]
    assert wanted.preempted.sum() == 2


def test_the_state_is_that_of_the_run():
    run = crowded()
    held = packed(run)
    found = columns_of(held, "state")
    assert np.abs(found["time"] - run.state.time).max() <= TICK / 2
    for name in ("replica", "waiting", "running", "blocks"):
        assert found[name].tolist() == run.state[name].tolist()
    assert (held["replicas"], held["kv_blocks"], held["state"]["stretch"]) == (2, 46, None)


def test_a_run_without_arrivals_has_neither():
    held = packed(ssdsim.simulate(ssdsim.setup("profile=demo", "workload.prompts=2")))
    assert held["requests"] is held["state"] is held["kv_blocks"] is None


def test_requests_of_a_run_that_was_cut_short_have_no_end():
    run = crowded()
    table = run.tables["sequences"]
    at = table.column_names.index("finish")
    times = [None if seq in {3, 29} else time for seq, time in enumerate(run.sequences.finish)]
    cut = Run(run.info, run.tables | {"sequences": table.set_column(at, "finish", [times])})
    found = columns_of(packed(cut), "requests")
    assert np.isnan(found["finish"]).nonzero()[0].tolist() == [3, 29]


def test_older_runs_do_not_say_when_somebody_was_preempted():
    run = crowded()
    tables = run.tables | {
        "sequences": run.tables["sequences"].drop_columns(["preempted_at", "resumed_at"])
    }
    held = packed(Run(run.info, tables))
    assert not {"preempted_at", "resumed_at"} & {*held["requests"]["columns"]}


def test_a_page_says_which_requests_and_changes_it_does_not_show(monkeypatch):
    monkeypatch.setattr(pack, "MOST_REQUESTS", 20)
    monkeypatch.setattr(requests, "MOST_CHANGES", 40)
    run = crowded()
    held = packed(run)
    assert (held["requests"]["rows"], held["state"]["rows"]) == (20, 40)
    changes, stretch = len(run.state), run.state.time.max() / 20
    assert held["left_out"] == [
        "Shown are the first 20 of 30 requests.",
        SAID.format(changes, f"{stretch:.3g}"),
    ]


changes = st.lists(
    st.tuples(
        st.floats(0, 10).map(lambda time: round(time, 3)),
        st.integers(0, 2),
        *[st.integers(0, 9)] * 3,
    ),
    min_size=1,
    max_size=30,
)


@given(changes, st.integers(1, 7))
def test_a_stretch_has_the_largest_counts_within_it(rows, stretches):
    columns = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
    told = {name: np.array(column) for name, column in zip(STATE.names, columns, strict=True)}
    edges = np.linspace(0, 10.0005, stretches + 1)  # nobody changes just then
    found = requests.largest(told, edges[:-1])
    assert (np.diff(found["time"]) >= 0).all()
    for replica in set(told["replica"].tolist()):
        own = told["replica"] == replica
        for name in ("waiting", "running", "blocks"):
            counts = found[name][found["replica"] == replica]
            wanted = [
                max(_counts(told["time"][own], told[name][own], *pair)) for pair in pairwise(edges)
            ]
            assert counts.tolist() == wanted


def _counts(times, counts, begin, end):
    """Return the counts that are in force at some time from `begin` on and before `end`."""
    before = counts[times <= begin]
    return [before[-1] if len(before) else 0, *counts[(times > begin) & (times < end)]]


def test_texts_left_out_take_no_request_away():
    held = packed(crowded(), texts=False)
    assert held["requests"]["rows"] == 30
    assert {row["output"] for row in held["sequences"]} == {None}
    assert {row["tokens"] for row in held["sequences"]} == {40}


def test_slots_have_requests_without_blocks():
    words = [word for word in WORDS if word != "serving=continuous"]
    run = ssdsim.simulate(ssdsim.setup(*words, "workload.rate=20", "batch=2"))
    held = packed(run)
    assert held["kv_blocks"] is None
    assert not columns_of(held, "state")["blocks"].any()
    assert pa.compute.max(run.tables["state"]["running"]).as_py() == 2
