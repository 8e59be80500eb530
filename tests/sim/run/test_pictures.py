import json
from collections import defaultdict
from itertools import pairwise

import pytest
from matplotlib.image import imread
from rich.console import Console
from timelines import DEVICES, autoregressive, run_of, span, speculative, ssd

from ssdsim.run import timeline
from ssdsim.run.metrics import confidence, measure
from ssdsim.run.picture import timeline_picture
from ssdsim.run.report import comparison, ranking
from ssdsim.run.timeline import perfetto
from ssdsim.run.trace import Recorder, load_run

RUNS = {
    "autoregressive": autoregressive(12),
    "speculative": speculative(12, 1),
    "speculative on its own device": speculative(12, 4, draft_device="b"),
    "ssd": ssd(12, 1),
    "ssd in a batch": ssd(12, 4, hits=0.9),
    "ssd in a large batch": ssd(12, 16, hits=0.95),
    "cut before the first round": run_of(Recorder(spans=[span("target", "prefill", 0.0, 1.0)])),
    "empty": run_of(Recorder()),
}
runs = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())


def drawn(run):
    return perfetto(run.info, run.tables["spans"])


def events(run, phase):
    return [event for event in drawn(run)["traceEvents"] if event["ph"] == phase]


@runs
def test_picture_is_an_image(run, tmp_path):
    timeline_picture(run, tmp_path / "timeline.png")
    height, width, _ = imread(tmp_path / "timeline.png").shape
    assert width > height > 100


@runs
def test_perfetto_is_json_and_no_lane_does_two_things_at_once(run):
    json.dumps(drawn(run), allow_nan=False)
    lanes = defaultdict(list)
    for event in events(run, "X"):
        lanes[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for spans in lanes.values():
        # A nanosecond is the format's resolution.
        assert all(before[1] <= after[0] + 1e-3 for before, after in pairwise(sorted(spans)))
    assert len(events(run, "X")) == len(run.tables["spans"])


@runs
def test_every_arrow_leaves_a_verify_and_reaches_what_it_chose(run):
    leaving, reaching = events(run, "s"), events(run, "f")
    assert [e["id"] for e in leaving] == [e["id"] for e in reaching] == list(range(len(leaving)))
    starts = {(e["pid"], e["tid"], e["ts"]): e for e in events(run, "X")}
    verifies = [e for e in events(run, "X") if e["name"] == "verify"]
    for source, goal in zip(leaving, reaching, strict=True):
        assert source["ts"] < goal["ts"]
        assert starts[goal["pid"], goal["tid"], goal["ts"]]["name"] in {"speculate", "verify"}
        assert any(v["ts"] <= source["ts"] < v["ts"] + v["dur"] for v in verifies)
    drafts = any(e["name"] == "speculate" for e in events(run, "X"))
    assert len(leaving) == (len(verifies) - 1 if drafts else 0)


def test_an_arrow_shows_hit_and_miss():
    run = RUNS["ssd"]
    names = {(e["tid"], e["ts"]): e["name"] for e in events(run, "X")}
    chosen = [names[e["tid"], e["ts"]] for e in events(run, "f")]
    assert chosen == ["verify" if hit else "speculate" for hit in run.rounds["hit"][1:]]


def test_target_comes_first_and_threads_have_names():
    named = {
        (e["name"], e["pid"], e["tid"]): e["args"].get("name") for e in events(RUNS["ssd"], "M")
    }
    assert named["process_name", 1, 1] == "a"
    assert [named["thread_name", pid, tid] for pid, tid in ((1, 1), (2, 2), (2, 3))] == [
        "target",
        "draft",
        "link",
    ]


def test_a_long_run_is_cut_and_says_so(monkeypatch):
    monkeypatch.setattr(timeline, "LIMIT", 10)
    assert len(events(RUNS["ssd"], "X")) == 10
    total = len(RUNS["ssd"].tables["spans"])
    assert drawn(RUNS["ssd"])["otherData"]["spans"] == f"the first 10 of {total}"


def test_a_saved_run_gives_the_same_timeline(tmp_path):
    run = ssd(12, 4)
    run.info |= {"schema": 1}
    run.save(tmp_path)
    assert json.loads((tmp_path / "timeline.json").read_text()) == drawn(load_run(tmp_path))


def measured(run, **info):
    run.info |= {"metrics": measure(run.tables, DEVICES) | {"ci95": confidence(run.tables)}} | info
    return run


def printed(table, width):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_comparison_fits_80_columns():
    rows = [
        ("AR", measured(autoregressive(640)).metrics),
        ("SD, K=5", measured(speculative(640, 1)).metrics),
        ("SSD topk_outcomes", measured(ssd(640, 1)).metrics | {"speedup_over_ar": 2.345}),
    ]
    text = printed(comparison(rows, title="demo"), 80)
    assert all(len(line) <= 80 for line in text.splitlines())
    lines = {line.split("  ")[0].strip(): line for line in text.splitlines()}
    assert "33.33" in lines["tokens/s"]
    assert "2.345" in lines["× over AR"]
    assert lines["hit rate, %"].count("–") == 2


def test_comparison_shows_two_digits_of_a_half_width_and_drops_empty_rows():
    metrics = {"tokens_per_s": 193.42, "hit_rate": 0.51234, "ci95": {"tokens_per_s": 12.04}}
    exact = {"tokens_per_s": 66.0641, "ci95": {"tokens_per_s": 0.0003}}
    text = printed(comparison([("one", metrics), ("two", exact)]), 80)
    assert "193 ± 12  66.06" in text
    assert "hit rate" in text
    assert not any(word in text for word in ("busy", "devices", "0.00"))


def test_ranking_is_sorted_and_names_only_what_differs():
    entries = [
        measured(
            ssd(160, 1, K=K),
            method="speculative",
            policy="geometric_fanout",
            config={
                "lookahead": K,
                "batch": 1,
                "out": f"{K}",
                "policy": {"_target_": f"{K}", "budget": K},
                "workload": {"tokens": K},
                "backup": {"tokens": 7 * K},
            },
        )
        for K in (2, 4, 6)
    ]
    entries.append(measured(run_of(Recorder()), method="ssd", policy="oracle", config={}))
    text = printed(ranking(entries), 100)
    places = [text.index(f"lookahead={K}") for K in (6, 4, 2)]
    assert places == sorted(places)
    assert text.index("oracle") > max(places)
    assert all(word in text for word in (" budget=6", "backup.tokens", "geometric_fanout", "waste"))
    assert not any(word in text for word in ("batch=", "out=", "_target_", "…"))


def test_ranking_compares_options_of_a_plug_in_only_where_it_was_chosen():
    entries = []
    for policy, budget, lookahead in (("oracle", 1, 3), ("uniform", 9, 3), ("uniform", 9, 5)):
        choices = {"policy": policy, "backup": "jit" if lookahead == 3 else "random"}
        config = {"policy": {"budget": budget}, "lookahead": lookahead, "choices": choices}
        entries.append(measured(run_of(Recorder()), method="ssd", policy=policy, config=config))
    text = printed(ranking(entries), 100)
    assert "lookahead=5 backup=random" in text
    assert "budget" not in text
