"""Pages of requests of which a part is missing: the run was cut short, or the page is."""

import pyarrow as pa
import pytest
from browsing import opened
from hand_made_pages import page_of
from served_pages import PHASES, crowded

from ssdsim.page import pack
from ssdsim.run.trace import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run():
    return crowded()


def test_a_page_without_all_passes_says_so_where_they_would_be(run, browser, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "MOST", 130)
    with opened(browser, page_of(run), tmp_path) as shown:
        assert "Shown are the first 100 of 311 passes" in shown.text(".panel.overview")
        shown.tab("requests")
        shown.page.click("text=whole run")
        last = shown.page.evaluate("() => store.get().view.to")
        assert last == pytest.approx(max(run.sequences.finish.max(), run.spans.end[:100].max()))
        with shown.page.expect_download() as download:
            shown.tab("timeline")
            shown.page.click("button:text-is('SVG')")
        assert "passes from here on are not in the page" in download.value.path().read_text()
        assert not shown.wrong


def cut_short(run, until):
    """Return a run as it was at a time: nothing that came later is in its tables."""
    sequences = run.sequences[run.sequences.arrival <= until].copy()
    for name in ("admitted", "first_token", "finish"):
        sequences[name] = sequences[name].where(sequences[name] <= until)
    for name in ("preempted_at", "resumed_at"):
        sequences[name] = sequences[name].map(lambda times: [at for at in times if at <= until])
    tables = {
        "sequences": pa.Table.from_pandas(
            sequences, run.tables["sequences"].schema, preserve_index=False
        ),
        "rounds": run.tables["rounds"].filter(run.rounds.end.to_numpy() <= until),
        "spans": run.tables["spans"].filter(run.spans.end.to_numpy() <= until),
        "state": run.tables["state"].filter(run.state.time.to_numpy() <= until),
    }
    return Run(run.info | {"complete": False}, tables)


@pytest.mark.parametrize("until", [-1.0, 0.05, 0.64, 0.7])
def test_a_run_of_requests_that_was_cut_short_has_a_page(until, run, browser, tmp_path):
    found = cut_short(run, until)
    with opened(browser, page_of(found), tmp_path) as shown:
        told = shown.page.evaluate(PHASES) if len(found.sequences) else []
        end = shown.page.evaluate(
            "async () => (await import('view')).whole([store.get().runs[0]]).to"
        )
        assert all(each[-1][2] <= end for each in told if each)
        if until == 0.7:  # who was preempted is being read once more
            assert [name for name, *_ in told[22]][2:] == ["decoding", "waiting", "reading"]
        for tab in ("timeline", "requests") if told else ("timeline", "overview"):
            shown.tab(tab)
            assert "failed" not in shown.text(f"#panel-{tab}")
        shown.page.keyboard.press("j")
        shown.settle()
        if told:
            assert shown.text("#said").startswith("Request 0: came at")
        assert not shown.wrong
