"""The explorer's page: what it shows is what its command says."""

import shlex
from contextlib import contextmanager
from threading import Thread

import pytest
from browsing import Opened, opened

import ssdsim
from ssdsim.compare.alignment import align
from ssdsim.engine.speed_surface import speed_surface
from ssdsim.explore.answer import Explorer
from ssdsim.explore.asking import Questions
from ssdsim.explore.program import question
from ssdsim.explore.server import Desk, Server
from ssdsim.page.pack import packed, payload
from ssdsim.page.write import html
from ssdsim.run.report import figures
from ssdsim.system.package_data import TRACES

pytestmark = pytest.mark.slow

SMALL = ("profile=demo", "workload.prompts=2", "workload.output_tokens=64", "policy=uniform_fanout")
MEASURED = TRACES / "two_cores" / "runs" / "test" / "ssd_k1_topk"
DETAILED = """() => {{ const [run] = store.get().runs;
    return run.command.endsWith('{}') && run.outcomes?.rows; }}"""
FIGURES = """() => [...document.querySelectorAll('.figures tbody tr')].map(
    (row) => [...row.cells].map((cell) => cell.textContent))"""
ANSWERED = "() => document.querySelector('.command code').textContent.endsWith('{}')"


@contextmanager
def exploring(browser, *arguments):
    """Serve an explorer and open its page."""
    asked = question(arguments)
    with Server(Desk(Explorer(Questions(asked.words), asked.beside))) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        shown = Opened(browser, server.address)
        yield shown
        assert all(address.startswith(server.address) for address in shown.asked)
        assert not shown.wrong
        shown.close()
        server.shutdown()
        thread.join()


@pytest.fixture
def explorer(browser):
    with exploring(browser, *SMALL) as shown:
        yield shown


def set_to(shown, name, value):
    shown.page.locator(f"[name='{name}']").evaluate(
        "(input, value) => { input.value = value;"
        " input.dispatchEvent(new Event('input', { bubbles: true })); }",
        str(value),
    )


def wait_for(shown, ending):
    shown.page.wait_for_function(ANSWERED.format(ending))
    shown.settle()


def simulated(shown):
    words = shlex.split(shown.text(".command code"))[3:]
    return ssdsim.simulate(ssdsim.setup(*words))


def speed(run):
    return dict(figures(run.metrics))["tokens/s"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("lookahead", 3), ("policy.fanout", 1), ("batch", 2), ("latency.draft_scale", 2.5)],
)
def test_a_slider_shows_the_run_of_the_command(explorer, name, value):
    before = speed(simulated(explorer))
    set_to(explorer, name, value)
    wait_for(explorer, f"{name}={value}")
    explorer.page.wait_for_function(
        f"() => !document.querySelector('.number').textContent.startsWith('{before} ')"
    )
    run = simulated(explorer)
    assert explorer.text(".number") == f"{speed(run)} tokens/s"
    told = {label.strip(): text for label, text in explorer.page.evaluate(FIGURES)}
    assert {label.strip(): text for label, text in figures(run.metrics)}.items() <= told.items()


def test_of_many_changes_the_last_one_is_shown(explorer):
    for lookahead in (*range(1, 12), 4):
        set_to(explorer, "lookahead", lookahead)
    wait_for(explorer, "lookahead=4")
    explorer.page.wait_for_timeout(400)
    assert explorer.text(".number") == f"{speed(simulated(explorer))} tokens/s"


def test_a_refusal_is_shown_until_a_setting_can_be(explorer):
    set_to(explorer, "temperature", 0.3)
    explorer.page.wait_for_selector(".refusal:not([hidden])")
    assert explorer.text(".refusal").startswith("temperature=0.3: these logs were taken at")
    set_to(explorer, "temperature", 0)
    explorer.page.wait_for_selector(".refusal", state="hidden")


def test_another_policy_has_other_controls(explorer):
    set_to(explorer, "policy", "topk_outcomes")
    explorer.page.wait_for_selector("[name='policy.budget']")
    assert explorer.page.locator("[name='policy.fanout']").count() == 0
    set_to(explorer, "policy.budget", "verify")
    wait_for(explorer, "policy.budget=verify")


def test_the_address_keeps_what_was_changed(explorer):
    set_to(explorer, "lookahead", 2)
    wait_for(explorer, "lookahead=2")
    explorer.page.wait_for_function("() => location.hash.includes('set=')")
    explorer.page.reload()
    explorer.page.wait_for_selector("body[data-ready=true]", state="attached")
    wait_for(explorer, "lookahead=2")


def test_the_surface_is_the_expectation_and_a_cell_is_chosen_by_keys(explorer):
    explorer.tab("surface")
    explorer.page.wait_for_selector("table.heat")
    found = speed_surface(simulated_setup(explorer))
    cells = explorer.page.locator("table.heat button").all_inner_texts()
    speeds = [speed for row in reversed(found.speeds) for speed in row]
    assert [float(cell.split()[-1]) for cell in cells] == [
        pytest.approx(speed, rel=5e-3) for speed in speeds
    ]
    best = max(speeds)
    assert f"{best:.1f} tokens/s" in explorer.text(".panel.surface [role=status]")
    explorer.page.focus("table.heat button.best")
    key = "ArrowLeft" if speeds.index(best) % len(found.lookaheads) else "ArrowRight"
    explorer.page.keyboard.press(key)
    at = explorer.page.evaluate("() => ({...document.activeElement.dataset})")
    explorer.page.keyboard.press("Enter")
    wait_for(explorer, f"lookahead={at['k']} policy.fanout={at['value']}")
    explorer.page.wait_for_selector(f"button.chosen[data-k='{at['k']}']")


def test_the_round_tab_has_the_tree_of_the_run_that_is_shown(explorer):
    set_to(explorer, "lookahead", 3)
    wait_for(explorer, "lookahead=3")
    explorer.page.wait_for_function(DETAILED.format("lookahead=3"))
    rows = explorer.page.evaluate("() => store.get().runs[0].outcomes.rows")
    setup = simulated_setup(explorer)
    assert rows == len(ssdsim.simulate(setup, detailed=True).tables["outcomes"])
    assert explorer.page.evaluate("() => store.get().runs[0].metrics.tokens") == 128


def test_a_run_is_kept_above_those_to_come(explorer):
    above = simulated(explorer)
    explorer.tab("compare")
    explorer.page.click("text=keep this run above")
    said = ".panel.compare [role=status]"
    explorer.page.wait_for_selector(f"{said}:has-text('100 % of them are the same in both.')")
    set_to(explorer, "policy.fanout", 1)
    wait_for(explorer, "policy.fanout=1")
    explorer.page.wait_for_selector(f"{said}:has-text('First that differs')")
    first = align(above, simulated(explorer)).first
    where = f"sequence {first.seqs[0]}, round {first.rounds[0]}, after {first.place} token"
    assert where in explorer.text(said)
    explorer.page.click("text=keep this run above")
    explorer.page.wait_for_selector("text=A second run is needed")


def test_a_method_without_a_surface_says_so_and_is_not_refused(explorer):
    explorer.tab("surface")
    explorer.page.wait_for_selector("table.heat")
    set_to(explorer, "method", "speculative")
    explorer.page.wait_for_selector("text=No surface: method='speculative': needs a method")
    assert explorer.page.locator(".refusal").is_hidden()
    assert explorer.text(".number") == f"{speed(simulated(explorer))} tokens/s"


def simulated_setup(shown):
    return ssdsim.setup(*shlex.split(shown.text(".command code"))[3:])


def test_a_measured_run_stands_above_its_replay(browser):
    with exploring(browser, str(MEASURED), "profile=two_cores") as shown:
        shown.tab("compare")
        found = align(ssdsim.load_run(MEASURED), simulated(shown))
        said = shown.text(".panel.compare [role=status]")
        assert said.startswith(f"{found.met} rounds begin at the same token, 91.3 % of them")
        first = found.first
        where = f"sequence {first.seqs[0]}, round {first.rounds[0]}, after {first.place} token"
        assert where in said
        assert "hit is hit above, miss below" in said
        shown.page.click("text=go there")
        assert shown.text("#said").startswith(f"Sequence {first.seqs[0]}, round {first.rounds[0]}:")


def test_two_runs_that_are_the_same_do_not_part(browser, tmp_path):
    run = ssdsim.simulate(ssdsim.setup(*SMALL))
    page = html(
        {
            **payload(packed(run), packed(run)),
            "causes": {
                "measured": 10.0,
                "scheduling": 11.0,
                "durations": 10.5,
                "contention": 10.5,
                "drift": 10.5,
                "acceptance": 12.0,
            },
        }
    )
    with opened(browser, page, tmp_path) as shown:
        shown.tab("compare")
        rounds = len(run.rounds)
        assert shown.text(".panel.compare [role=status]") == (
            f"{rounds} rounds begin at the same token, 100 % of them are the same in both."
        )
        cells = shown.page.locator(".waterfall tbody tr").all_inner_texts()
        assert cells[0] == "scheduling: how pieces are put together\t11.00\t+10.0 %"
        assert cells[-1] == "all of them\t12.00\t+20.0 %"
        assert not shown.wrong


def test_requests_have_sliders_and_their_latencies_beside_the_speed(browser):
    words = ("profile=demo", "workload=poisson", "workload.rate=4", "workload.prompts=12")
    words += ("workload.output_tokens=32", "serving=continuous", "serving.ttft_limit=0.05")
    with exploring(browser, *words) as shown:
        before = shown.text(".number + .hint")
        set_to(shown, "workload.rate", 16)
        wait_for(shown, "workload.rate=16")
        shown.page.wait_for_function(
            "(before) => document.querySelector('.number + .hint').textContent !== before",
            arg=before,
        )
        run = simulated(shown)
        told = shown.text(".number + .hint")
        assert f"time to first token {1000 * run.metrics['ttft_p50']:.2f} ms" in told
        assert f"(p99 {1000 * run.metrics['ttft_p99']:.2f} ms)" in told
        assert f"{100 * run.metrics['good_fraction']:.3g}" in told
        assert shown.text(".number") == f"{speed(run)} tokens/s"
        shown.tab("requests")
        rows = shown.page.evaluate("() => store.get().runs[0].requests.rows")
        assert rows == 12
        set_to(shown, "replicas", 2)
        wait_for(shown, "replicas=2")
        shown.page.wait_for_selector("[name=router]")
        shown.page.wait_for_function("() => store.get().runs[0].replicas === 2")
