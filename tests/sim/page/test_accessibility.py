"""Pages for everybody: by keyboard, in windows of any width, and as axe-core judges them."""

import subprocess
from shutil import which

import pytest
from browsing import opened
from hand_made_pages import TABS, hand_made, page_of
from served_pages import crowded

pytestmark = pytest.mark.slow


def test_everything_can_be_done_by_keyboard(browser, tmp_path):
    run = hand_made()
    with opened(browser, page_of(run), tmp_path) as shown:
        keys = shown.page.keyboard
        keys.press("Tab")
        assert shown.page.evaluate("() => document.activeElement.id") == "tab-overview"
        keys.press("ArrowRight")
        shown.page.wait_for_selector("body[data-tab=timeline]", state="attached")
        assert shown.page.locator("#panel-timeline").is_visible()
        keys.press("n")
        first = run.rounds.index[run.rounds.hit == False][0]  # noqa: E712 - null is no miss
        assert shown.text("#said").startswith(f"Sequence 0, round {first}: miss")
        keys.press("[")
        assert f"round {first - 1}:" in shown.text("#said")
        before = shown.page.evaluate("() => store.get().view")
        keys.press("+")
        shown.page.focus("canvas.timeline")
        keys.press("ArrowRight")
        after = shown.page.evaluate("() => store.get().view")
        assert after["to"] - after["from"] < 1
        assert after != before
        keys.press("?")
        assert shown.page.locator("dialog").is_visible()
        keys.press("Escape")
        assert not shown.page.locator("dialog").is_visible()
        keys.press("c")
        shown.page.wait_for_selector("body[data-tab=compare]", state="attached")
        assert shown.page.locator("#panel-compare").is_visible()


@pytest.mark.parametrize("width", [360, 820, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("serves", [False, True])
def test_a_page_fits_its_window(serves, width, scheme, browser, tmp_path):
    size = {"width": width, "height": 800}
    page = page_of(crowded() if serves else hand_made())
    with opened(browser, page, tmp_path, viewport=size, color_scheme=scheme) as shown:
        for tab in (*TABS, "requests") if serves else TABS:
            shown.tab(tab)
            wide = shown.page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= width, tab
        shown.tab("overview")
        figures = shown.page.locator(".figures .table")
        assert figures.evaluate("it => it.scrollWidth - it.clientWidth") == 0


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """Return the source of axe-core, got by npm where there is one."""
    folder = tmp_path_factory.mktemp("axe")
    npm = which("npm") or pytest.skip("no npm here")
    got = [npm, "install", "--silent", "--no-save", "--prefix", str(folder), "axe-core@4"]
    if subprocess.run(got, capture_output=True, check=False).returncode:  # noqa: S603 - as said
        pytest.skip("axe-core could not be got")
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("serves", [False, True])
def test_nothing_serious_stands_in_anyone_s_way(serves, scheme, axe, browser, tmp_path):
    page = page_of(crowded() if serves else hand_made())
    with opened(browser, page, tmp_path, color_scheme=scheme) as shown:
        shown.page.evaluate(axe)
        for tab in (*TABS, "requests") if serves else TABS:
            shown.tab(tab)
            for folded in shown.page.locator("details:visible summary").all():
                folded.click()
            found = shown.page.evaluate("() => axe.run()")["violations"]
            grave = [each for each in found if each["impact"] in {"serious", "critical"}]
            nodes = [(each["id"], [node["html"] for node in each["nodes"]]) for each in grave]
            assert not nodes, tab
