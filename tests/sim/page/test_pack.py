import json
from pathlib import Path

import numpy as np
import pytest
from pages import columns_of, payload_of
from timelines import DEVICES, autoregressive, run_of, span, speculative, ssd

from ssdsim import load_run
from ssdsim.page import pack
from ssdsim.page.columns import TICK
from ssdsim.page.pack import packed, payload
from ssdsim.page.write import html
from ssdsim.run.metrics import confidence, measure
from ssdsim.run.report import figures
from ssdsim.run.results import describe
from ssdsim.run.trace import Recorder

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\u2028\ud800'
RUNS = {
    "autoregressive": autoregressive(12),
    "speculative": speculative(12, 1),
    "ssd": ssd(12, 1),
    "ssd in a batch": ssd(12, 4, hits=0.9),
    "cut before the first round": run_of(Recorder(spans=[span("target", "prefill", 0.0, 1.0)])),
    "empty": run_of(Recorder()),
}
runs = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())


@runs
def test_a_page_holds_the_tables(run):
    found = packed(run)
    for name in ("rounds", "spans"):
        table, columns = run.tables[name].to_pandas(), columns_of(found, name)
        assert (found[name]["rows"], found[name]["total"]) == (len(table), len(table))
        for column in ("start", "end"):
            assert np.abs(columns[column] - table[column]).max() <= TICK / 2 or not len(table)
        for column in {"round", "seq", "accepted", "used", "tokens", "rank"} & {*table}:
            assert columns[column].tolist() == table[column].tolist()
    assert [found["lanes"][at] for at in columns["lane"]] == table["lane"].tolist()
    assert [found["kinds"][at] for at in columns["kind"]] == table["kind"].tolist()


def test_hits_misses_and_what_was_not_predicted_are_told_apart():
    hits = columns_of(packed(RUNS["ssd"]), "rounds")["hit"]
    wanted = [{True: 1, False: 0}.get(hit, 255) for hit in RUNS["ssd"].rounds.hit]
    assert hits.tolist() == wanted
    assert {0, 1, 255} == {*wanted}


def test_an_outcome_leads_to_the_next_speculation_or_verify():
    found = packed(RUNS["ssd"])
    columns = columns_of(found, "spans")
    kinds = [found["kinds"][at] for at in columns["kind"]]
    led = [kinds[to] for to in columns["leads_to"] if to >= 0]
    assert led == ["verify" if hit else "speculate" for hit in RUNS["ssd"].rounds.hit[1:]]


def test_figures_are_those_of_the_table():
    run = ssd(160, 1)
    run.info["metrics"] = measure(run.tables, DEVICES) | {"ci95": confidence(run.tables)}
    assert packed(run)["rows"] == [list(row) for row in figures(run.metrics)]
    assert dict(packed(run)["rows"])["tokens/s"] == "106.8 ± 9.1"


def test_counts_have_no_decimals():
    told = dict(figures({"preemptions": 30, "running_mean": 3.0}))
    assert told == {"preemptions": "30", "requests running, mean": "3.000"}


@runs
def test_the_same_run_makes_the_same_page_read_back_or_not(run, tmp_path):
    run.info |= {"schema": 1, "metrics": {}}
    run.save(tmp_path)
    assert html(payload(packed(run))) == html(payload(packed(load_run(tmp_path))))


def test_nothing_tells_where_or_when_a_run_was(tmp_path):
    run = ssd(3, 1)
    config = {"lookahead": 5, "out": str(tmp_path), "choices": {"policy": "x"}}
    config |= {"acceptance": {"path": str(tmp_path / "trace"), "alpha": 0.8}}
    run.info |= {"config": config, "created_at": "1999-01-01", "machine": {"name": "somewhere"}}
    found = packed(run)
    assert found["config"] == {"lookahead": 5, "acceptance.alpha": 0.8}
    page = html(payload(found))
    assert not any(word in page for word in (str(tmp_path), "1999-01-01", "somewhere"))
    assert str(Path.cwd()) not in page


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("autoregressive", "autoregressive"),
        ("speculative", "speculative, K=5"),
        ("old", "old, K=5"),
    ],
)
def test_a_run_that_drafts_nothing_has_no_lookahead_in_its_name(method, name):
    run = ssd(3, 1)
    run.info |= {"method": method, "policy": None, "config": {"lookahead": 5}}
    assert packed(run)["name"] == name


def test_objects_among_the_settings_are_told_by_their_kind():
    run = ssd(3, 1)
    odd = {"alpha": np.float64(0.5), "most": float("inf"), "tree": (1, run, None)}
    odd["source"] = describe(ssd(3, 1))
    run.info["config"] = {"acceptance": odd}
    assert payload_of(html(payload(packed(run))))["runs"][0]["config"] == {
        "acceptance.alpha": 0.5,
        "acceptance.most": "inf",
        "acceptance.source": "Run",
        "acceptance.tree": [1, "Run", None],
    }


def test_a_long_run_is_cut_and_says_so(monkeypatch):
    monkeypatch.setattr(pack, "MOST", 10)
    run = RUNS["ssd"]
    found, last = packed(run), sorted(run.spans.start)[9]
    assert (found["spans"]["rows"], found["spans"]["total"]) == (10, len(run.spans))
    assert found["rounds"]["rows"] == (run.rounds.end <= last).sum()
    assert found["left_out"] == [
        f"Shown are the first 10 of {len(run.spans)} passes, and the rounds until then."
    ]


def test_texts_can_be_left_out():
    run = ssd(3, 1)
    table = run.tables["rounds"]
    place = table.column_names.index("token")
    run.tables["rounds"] = table.set_column(place, table.schema.field(place), [[7, 7, 7]])
    assert columns_of(packed(run), "rounds")["token"].tolist() == [7, 7, 7]
    found = packed(run, texts=False)
    assert columns_of(found, "rounds")["token"].tolist() == [-1, -1, -1]
    assert found["left_out"] == ["Texts were left out (page.texts=false)."]


def test_hostile_texts_stay_texts():
    run = ssd(3, 1)
    run.info |= {"method": HOSTILE, "config": {HOSTILE: HOSTILE}}
    page = html(payload(packed(run)))
    assert "<img" not in page
    assert page.count("</script>") == 3
    shown = payload_of(page)["runs"][0]
    assert shown["config"] == {HOSTILE: HOSTILE}
    assert json.dumps(shown) == json.dumps(packed(run))


def test_a_notebook_shows_the_page_in_a_frame(tmp_path):
    page = RUNS["ssd"].page(height=300)
    shown = page._repr_html_()
    assert shown.startswith('<iframe style="width:100%;height:300px')
    assert shown.count('"') == 6  # of the attributes: all others are spelled
    page.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == html(payload(packed(RUNS["ssd"])))


def test_the_front_end_is_small():
    assert len(html(payload()).encode()) <= 120_000  # of a page without a run
