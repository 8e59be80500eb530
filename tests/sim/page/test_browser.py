"""Pages in a browser: what they show is what the tables hold."""

import json
import re

import pytest
from browsing import opened
from hand_made_pages import TABS, hand_made, page_of
from knobs import SMALL, setup_of
from pages import columns_of, payload_of
from timelines import played, run_of, span

from ssdsim import simulate
from ssdsim.options.plugins import plugins
from ssdsim.page.pack import packed, payload
from ssdsim.page.write import html
from ssdsim.run.report import figures
from ssdsim.run.trace import Recorder

pytestmark = pytest.mark.slow

HOSTILE = '</script><img src=x onerror="window.hurt=1"><b>&amp;'


def check_against_tables(shown, run):
    """Compare what a page shows with the run: figures, hits and misses, each round in words."""
    cells = shown.page.locator(".figures tbody tr").all_inner_texts()
    told = dict(cell.strip().split("\t") for cell in cells)
    assert {label.strip(): text for label, text in figures(run.metrics)}.items() <= told.items()
    hits = run.rounds.hit.map({True: "hit", False: "miss"}).fillna("nothing predicted")
    legend = shown.page.locator(".panel.overview .legend li").all_inner_texts()
    for name in ("hit", "miss", "nothing predicted"):
        assert any(line.endswith(f" {name}: {(hits == name).sum()}") for line in legend)
    shown.tab("timeline")
    for row, outcome in zip(run.rounds.itertuples(), hits, strict=True):
        shown.page.keyboard.press("]")
        said = shown.text("#said")
        assert said.startswith(f"Sequence {row.seq}, round {row.round}: {outcome}, ")
        assert f"{row.accepted} of {row.drafted} drafted tokens accepted" in said


def test_numbers_shown_are_those_of_the_tables(browser, tmp_path):
    run = hand_made()
    with opened(browser, page_of(run), tmp_path) as shown:
        check_against_tables(shown, run)
        assert not shown.wrong


def test_why_there_is_no_gain_is_told_where_there_is_none(browser, tmp_path):
    why = "no gain over SD (0.80 ×): K<4> is too deep"
    for told in (why, ""):
        held = payload(packed(hand_made()) | {"no_gain": told})
        with opened(browser, html(held), tmp_path) as shown:
            assert (why in shown.text(".figures")) == bool(told)
            assert not shown.wrong


def test_one_altered_hit_is_found(browser, tmp_path):
    run, altered = hand_made(), hand_made()
    hits = altered.rounds.hit.tolist()
    at = hits.index(True)
    hits[at] = False
    table = altered.tables["rounds"]
    place = table.column_names.index("hit")
    altered.tables["rounds"] = table.set_column(place, table.schema.field(place), [hits])
    with (
        opened(browser, page_of(altered), tmp_path) as shown,
        pytest.raises(AssertionError),
    ):
        check_against_tables(shown, run)


def test_the_anatomy_shown_is_the_round_s(browser, tmp_path):
    run = hand_made()
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("timeline")
        shown.page.keyboard.press("]")
        heading = shown.text(".panel.anatomy h3")
        lasting = run.rounds.end[0] - run.rounds.start[0]
        assert heading == f"Round 0 of sequence 0: {lasting * 1000:.2f} ms"
        parts = shown.page.locator(".panel.anatomy .parts b").all_inner_texts()
        units = {"ms": 1.0, "µs": 1e-3}
        told = sum(float(part.split()[0]) * units[part.split()[1]] for part in parts)
        assert told == pytest.approx(lasting * 1000, 1e-3)


def odd_runs():
    yield "empty", run_of(Recorder())
    prefill = span("target", "prefill", 0.0, 1.0)
    yield "cut before the first round", run_of(Recorder(spans=[prefill]))
    yield "cut", hand_made(complete=False)
    yield "a batch", simulated("batch=8", "workload.prompts=12")
    yield "a tree", simulated("tree=widths", "method=speculative")
    for method in plugins("method"):
        yield method, simulated(f"method={method}")


def simulated(*overrides):
    profile = "acceptance=language_model" if "method=swift" in overrides else "acceptance=iid"
    return simulate(setup_of((*SMALL, "latency=constant", profile, *overrides)))


@pytest.mark.usefixtures("registered")
def test_a_page_of_every_kind_of_run_shows_all_its_tabs(browser, tmp_path):
    for name, run in odd_runs():
        run.info.setdefault("metrics", {})
        with opened(browser, page_of(run), tmp_path) as shown:
            for tab in TABS:
                shown.tab(tab)
                assert shown.page.locator(f"#panel-{tab} .panel").count(), name
                assert "failed" not in shown.text(f"#panel-{tab}"), name
            assert not shown.wrong, name


def test_a_page_asks_for_nothing_and_lets_nothing_in(browser, tmp_path):
    with opened(browser, page_of(hand_made()), tmp_path) as shown:
        for tab in TABS:
            shown.tab(tab)
        outside = [url for url in shown.asked if not url.startswith(("data:", "blob:"))]
        assert outside == [(tmp_path / "page.html").as_uri()]
        add = "document.body.append(Object.assign(document.createElement('script'), "
        shown.page.evaluate(f"() => {add} {{textContent: 'window.hurt = 1'}}))")
        assert shown.page.evaluate("() => window.hurt") is None
        assert shown.page.evaluate("() => fetch('http://127.0.0.1:9').catch(e => 'refused')") == (
            "refused"
        )


def test_hostile_texts_are_shown_as_they_are(browser, tmp_path):
    run = hand_made(method=HOSTILE, policy=HOSTILE)
    found = packed(run)
    found["sequences"] = [{"seq": 0, "prompt": HOSTILE, "kind": HOSTILE, "tokens": 3}]
    found["sequences"][0]["output"] = [5] * int(run.rounds.accepted.sum() + len(run.rounds))
    found["texts"] = {"5": HOSTILE}
    with opened(browser, html(payload(found)), tmp_path) as shown:
        for tab in TABS:
            shown.tab(tab)
        shown.tab("text")
        assert HOSTILE in shown.text(".output")
        assert HOSTILE in shown.text("h1")
        assert shown.page.evaluate("() => window.hurt") is None
        assert not shown.page.locator("img").count()


PROBE = """async ([lane, time]) => {
  const [paint, look, view, theme] = await Promise.all(
    ["paint", "look", "view", "theme"].map(name => import(name)));
  const run = store.get().runs[0], canvas = document.querySelector("canvas.timeline");
  const place = paint.layout(run).placed.find(({row}) => row.label === lane);
  const scale = view.scale(look.viewOf(store), paint.GUTTER, canvas.clientWidth - paint.GUTTER - 8);
  const ratio = devicePixelRatio, y = place.y + 3; // arrows leave further down
  const pixel = canvas.getContext("2d").getImageData(scale.x(time) * ratio, y * ratio, 1, 1).data;
  return ["#" + [...pixel.slice(0, 3)].map(v => v.toString(16).padStart(2, "0")).join(""),
    theme.colours()];
}"""


def test_spans_lie_where_their_times_are(browser, tmp_path):
    run = hand_made()
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("timeline")
        spans = run.spans[run.spans.end < run.rounds.end[8]]
        for at in spans[spans.kind.isin(["verify", "transfer"])].itertuples():
            for time in (at.start * 0.9 + at.end * 0.1, at.start * 0.1 + at.end * 0.9):
                found, colours = shown.page.evaluate(PROBE, [at.lane, time])
                if at.kind == "verify":
                    assert found == colours[at.kind]
        idle = (spans[spans.kind == "verify"].end.iloc[0] + 1e-4) * 1.0
        found, colours = shown.page.evaluate(PROBE, ["target", idle])
        assert found != colours["verify"]


def test_the_address_keeps_what_is_shown(browser, tmp_path):
    with opened(browser, page_of(hand_made()), tmp_path) as shown:
        shown.tab("timeline")
        shown.page.keyboard.press("]")
        shown.page.keyboard.press("]")
        shown.page.wait_for_function("() => location.hash.includes('round=1')")
        address = shown.page.url
        shown.page.goto("about:blank")
        shown.page.goto(address)
        shown.page.wait_for_selector("body[data-ready=true]", state="attached")
        assert shown.text("#said").startswith("Sequence 0, round 1:")
        assert shown.page.locator("#panel-timeline").is_visible()


def test_what_is_seen_can_be_saved(browser, tmp_path):
    run = hand_made()
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("timeline")
        kept = {}
        for kind in ("SVG", "PNG", "CSV"):
            with shown.page.expect_download() as download:
                shown.page.click(f"button:text-is('{kind}')")
            kept[kind] = download.value.path().read_bytes()
        assert kept["SVG"].startswith(b"<svg")
        assert kept["PNG"].startswith(b"\x89PNG")
        first = kept["CSV"].decode().splitlines()[1].split(",")
        assert first[0] in {"target", "draft", "link"}
        assert re.fullmatch(r"[0-9.e-]+", first[4])


@pytest.mark.parametrize(("seq", "arrows"), [(0, 0), (1, 1)])
def test_an_arrow_leads_to_branches_of_the_same_sequence_alone(seq, arrows, browser, tmp_path):
    """Only where those under way at a verify's end are its own may the next verify be of them."""
    record = Recorder(rounds=[played(5.0, 6.0, 0, seq=1), played(6.0, 8.0, 0, seq=1, round=1)])
    record.spans = [
        span("target", "verify", 5.0, 6.0, seqs=[1]),
        span("draft", "prespeculate", 5.2, 5.9, seqs=[seq]),
        span("target", "verify", 7.2, 8.0, seqs=[1]),
    ]
    with opened(browser, page_of(run_of(record, metrics={})), tmp_path) as shown:
        shown.tab("timeline")
        with shown.page.expect_download() as download:
            shown.page.click("button:text-is('SVG')")
        picture = download.value.path().read_text()
        assert picture.count('stroke-width="1.6"') == 2 * arrows


def test_a_page_tells_its_columns_to_the_browser_as_to_python(browser, tmp_path):
    text = page_of(hand_made())
    spans = columns_of(payload_of(text)["runs"][0], "spans")
    with opened(browser, text, tmp_path) as shown:
        read = json.loads(
            shown.page.evaluate(
                "() => JSON.stringify(Object.fromEntries(Object.entries("
                "store.get().runs[0].spans.columns).filter(([, c]) => c.length)"
                ".map(([n, c]) => [n, [...c]])))"
            )
        )
    for name, values in read.items():
        assert values == spans[name].tolist(), name


def test_a_notebook_s_frame_shows_the_page(browser):
    run = hand_made()
    page = browser.new_page()
    page.set_content(f"<h1>A notebook</h1>{run.page()._repr_html_()}")
    frame = page.frame_locator("iframe")
    frame.locator("body[data-ready=true]").wait_for(state="attached")
    assert frame.locator("#panel-overview .headline").inner_text().endswith("tokens/s")
    page.close()


def test_passes_can_be_gone_through_one_by_one(browser, tmp_path):
    run = hand_made()
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("timeline")
        spans = run.spans.sort_values("start", kind="stable")
        for at in spans.head(6).itertuples():
            shown.page.keyboard.press(".")
            assert f"{at.lane}: {at.kind}, sequence 0, round {at.round}; " in shown.text("#said")
