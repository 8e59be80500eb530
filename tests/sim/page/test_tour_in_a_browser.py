"""The tour of a round in a browser: eight steps, each in its place, with the run's own numbers."""

import pytest
from browsing import opened
from knobs import WARM, setup_of

from ssdsim import simulate
from ssdsim.engine.baselines import compare
from ssdsim.page.pack import packed, payload
from ssdsim.page.write import html

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("registered")]
SMALL = (*WARM, "lookahead=3", "policy=uniform_fanout", "policy.fanout=1")

FREE = """() => {
  const over = document.querySelector(".tour").getBoundingClientRect().top;
  const all = [...document.querySelectorAll("canvas.timeline, .tree-scroll")];
  const [picture] = all.filter(it => it.checkVisibility());
  const { top, bottom } = picture.getBoundingClientRect();
  return bottom <= over || Math.abs(top) < 1;
}"""
"""That the card hides nothing of a picture, or that it is as high up as it can be."""

PLACES = ("timeline", "timeline", "round", "round", "timeline", "round", "timeline", "overview")


def page_of(run):
    return html(payload(packed(run)))


def steps(shown):
    """Go through the tour; yield what each step says, and the tab that it shows."""
    shown.page.get_by_role("button", name="tour").click()
    card = shown.page.locator(".tour")
    for _ in PLACES:
        shown.page.wait_for_timeout(200)
        yield card.inner_text(), shown.page.locator("body").get_attribute("data-tab")
        card.get_by_role("button").nth(1).click()
    assert not card.is_visible()


def test_the_tour_tells_a_run_in_its_own_numbers(browser, tmp_path):
    run = simulate(setup_of(SMALL), detailed=True)
    rounds, metrics = run.rounds, run.metrics
    with opened(browser, page_of(run), tmp_path) as shown:
        said, tabs = zip(*steps(shown), strict=True)
        assert not shown.wrong
    assert tabs == PLACES
    assert [text.split("\n")[0].split(": ")[1] for text in said] == [
        *("Draft", "Verify", "Outcome", "Prediction", "Hit", "Miss", "Backup", "Waste")
    ]
    some = rounds[(rounds.accepted > 0) & (rounds.accepted < rounds.drafted)].iloc[0]
    assert f"{some.accepted} of {some.drafted}" in said[2]
    assert f"prepares {rounds.predicted[rounds.predicted > 0].iloc[0]} outcomes" in said[3]
    assert f"{100 * metrics['hit_rate']:.1f} % of the rounds" in said[4]
    missed = rounds[rounds.hit.eq(False)].iloc[0]
    spans = run.spans[(run.spans.kind == "speculate") & (run.spans["round"] == missed["round"])]
    anew = spans[spans.seq == missed.seq].iloc[0]
    assert f"{1e3 * (anew.end - anew.start):.1f} ms" in said[6]
    assert f"{metrics['tokens_per_s']:.3f} tokens/s" in said[7]


def test_a_batch_and_a_slow_draft_are_told_as_they_are(browser, tmp_path):
    batch = (*SMALL, "batch=2", "backup=random", "latency.draft.step=0.5")
    setup = setup_of((*batch, "method.on_outcome=wait"))
    run = simulate(setup, detailed=True)
    compare(run, setup)
    with opened(browser, page_of(run), tmp_path) as shown:
        said, _ = zip(*steps(shown), strict=True)
    assert "guesses the next 3 tokens at once, as good as they come" in said[0]
    assert "3 guessed tokens, and those of 1 other sequence, in one pass" in said[1]
    assert "Alone it needs" not in said[1]  # AR's mean over both sequences would mislead
    assert "the draft finishes all of its branches first: the target begins" in said[4]
    assert "waits for it: here no time at all" in said[6]
    assert "% of the time, in which the target waits until all are drafted" in said[7]


def test_in_a_small_window_the_card_leaves_the_picture_free(browser, tmp_path):
    run = simulate(setup_of(SMALL), detailed=True)
    with opened(browser, page_of(run), tmp_path, viewport={"width": 360, "height": 900}) as shown:
        for _, tab in steps(shown):
            if tab != "overview":
                shown.page.wait_for_function(FREE)


def test_without_predictions_there_is_no_tour(browser, tmp_path):
    run = simulate(setup_of((*WARM, "method=speculative")))
    with opened(browser, page_of(run), tmp_path) as shown:
        assert not shown.page.get_by_role("button", name="tour").is_visible()
