"""Runs of requests in a browser: strips, bars and latencies are what the tables hold."""

import re

import numpy as np
import pytest
from browsing import opened
from hand_made_pages import hand_made, page_of
from served_pages import PHASES, WORDS, crowded

import ssdsim
from ssdsim.page.pack import packed
from ssdsim.run.trace import Run

pytestmark = pytest.mark.slow

PASSES = """async (seq) => {
  const run = store.get().runs[0], {start} = run.spans.columns;
  return (await import("highlight")).passesOf(run, seq).map(span => start[span]);
}"""
STRIP = """async ([replica, time, share]) => {
  const [paint, look, view] = await Promise.all(
    ["paint", "look", "view"].map(name => import(name)));
  const run = store.get().runs[0], canvas = document.querySelector("#panel-timeline canvas");
  const {y, height} = paint.layout(run).strips[replica], ratio = devicePixelRatio;
  const scale = view.scale(look.viewOf(store), paint.GUTTER, canvas.clientWidth - paint.GUTTER - 8);
  const at = [scale.x(time), y + height * (1 - share)];
  const pixel = canvas.getContext("2d").getImageData(at[0] * ratio, at[1] * ratio, 1, 1).data;
  return pixel[3] > 0;
}"""
BAR = """async (seq) => {
  const canvas = document.querySelector("#panel-requests canvas"), tip = canvas.nextElementSibling;
  const {x, y} = canvas.getBoundingClientRect();
  for (let down = 0; down < canvas.clientHeight; down += 2) {
    canvas.dispatchEvent(new PointerEvent("pointermove", {clientX: x + 300, clientY: y + down}));
    if (!tip.hidden && tip.textContent.startsWith(`Request ${seq}:`)) return down;
  }
  return -1;
}"""

DELIVERED = """async () => {
  const {deliveredBy} = await import("served"), run = store.get().runs[0];
  const {kind} = run.spans.columns;
  return [...kind.keys()].filter(span => run.kinds[kind[span]] === "verify")
    .map(span => deliveredBy(run, span));
}"""


@pytest.fixture(scope="module")
def run():
    return crowded()


@pytest.fixture
def shown(run, browser, tmp_path):
    with opened(browser, page_of(run), tmp_path) as found:
        yield found
        assert not found.wrong


def phases(run):
    """Yield for each request what it goes through, from the tables."""
    for row in run.sequences.sort_values("arrival", kind="stable").itertuples():
        begun = [row.admitted, *row.resumed_at]
        over = [*row.preempted_at, row.finish]
        told, since = [], row.arrival
        for begins, ends in zip(begun, over, strict=True):
            told += [("waiting", since, begins)]
            own = run.rounds[(run.rounds.seq == row.seq) & (run.rounds.start >= begins)]
            decoding = row.first_token if begins < row.first_token else own.start.min()
            told += [("reading", begins, decoding), ("decoding", decoding, ends)]
            since = ends
        yield [each for each in told if each[2] > each[1]]


def test_bars_are_made_of_what_each_request_went_through(shown, run):
    found, wanted = shown.page.evaluate(PHASES), [*phases(run)]
    assert [[name for name, *_ in each] for each in found] == [
        [name for name, *_ in each] for each in wanted
    ]
    times = [time for each in found for _, *both in each for time in both]
    assert times == pytest.approx([t for each in wanted for _, *both in each for t in both])
    assert any(len(each) > 3 for each in wanted)  # somebody was preempted


def test_selecting_a_request_marks_its_passes_and_says_what_became_of_it(shown, run):
    shown.tab("requests")
    shown.page.locator("#panel-requests canvas").focus()
    for _ in range(3):
        shown.page.keyboard.press("ArrowDown")
    row, said = run.sequences.iloc[2], shown.text("#said")
    assert said.startswith(f"Request 2: came at {1000 * row.arrival:.2f} ms, ")
    assert f"first token after {1000 * (row.first_token - row.arrival):.2f} ms" in said
    rows = zip(run.spans.seq, run.spans.seqs, strict=True)
    own = [2 in ([one] if several is None else several) for one, several in rows]
    assert shown.page.evaluate(PASSES, 2) == pytest.approx(sorted(run.spans.start[own]))
    shown.page.keyboard.press("k")
    assert shown.text("#said").startswith("Request 1:")
    shown.page.keyboard.press("]")
    assert shown.text("#said").startswith("Sequence 1, round 0:")


def test_a_request_is_picked_with_the_pointer(shown):
    shown.tab("requests")
    y = shown.page.evaluate(BAR, 5)
    assert y > 0
    shown.page.locator("#panel-requests canvas").click(position={"x": 300, "y": y + 3})
    assert shown.text("#said").startswith("Request 5:")


def test_strips_are_as_high_as_requests_run(shown, run):
    shown.tab("timeline")
    shown.page.click("text=whole run")
    shown.settle()
    for replica in (0, 1):
        own = run.state[run.state.replica == replica]
        most = max(own.running.max(), own.waiting.max())
        long = np.diff(own.time, append=own.time.max()) > 0.03
        for time, running, blocks in own[["time", "running", "blocks"]][long].to_numpy():
            share, held = running / most, blocks / 46
            below = shown.page.evaluate(STRIP, [replica, time + 0.015, share - 0.06])
            assert below == (running > 0)
            free = min(0.99, max(share, held) + 0.12)
            if free > max(share, held) + 0.05:
                assert not shown.page.evaluate(STRIP, [replica, time + 0.015, free])


def test_latencies_shown_are_those_of_the_run(shown, run):
    shown.tab("requests")
    told = shown.page.locator("#panel-requests figcaption").all_inner_texts()
    names = {"ttft": "time to first token", "tpot": "time per output token"}
    names |= {"itl": "inter-token latency", "e2e": "end to end"}
    for text, (name, called) in zip(told, names.items(), strict=True):
        assert text.startswith(called)
        found = [float(number) for number in re.findall(r"p\d\d ([0-9.]+) ms", text)]
        wanted = [1000 * run.metrics[f"{name}_{of}"] for of in ("p50", "p90", "p99")]
        assert found == pytest.approx(wanted, rel=6e-4), name
    good = run.metrics["good_fraction"]
    said = shown.text("#panel-requests .latencies > p")
    assert said.startswith(f"{100 * good:.1f} % of 30 finished requests keep the limits")
    late = (run.sequences.first_token - run.sequences.arrival) <= 0.1
    assert f"; {100 * late.mean():.1f} % within the limit" in told[0]


def test_curves_go_through_the_quantiles_of_all_requests(shown):
    """Figures come from the run's metrics; the curve beside them from the requests."""
    shown.tab("requests")
    script = """async () => {
      const dots = [...document.querySelectorAll("#panel-requests svg.latency")].map(picture => {
        const points = picture.querySelector("polyline").getAttribute("points").split(" ")
          .map(pair => pair.split(",").map(Number));
        const off = ([x, y], [a, b], [c, d]) => {
          const [u, v] = [c - a, d - b], long = u * u + v * v;
          const at = long ? Math.max(0, Math.min(1, ((x - a) * u + (y - b) * v) / long)) : 0;
          return Math.hypot(x - a - at * u, y - b - at * v);
        };
        return [...picture.querySelectorAll("circle")].map(dot => {
          const [x, y] = ["cx", "cy"].map(name => Number(dot.getAttribute(name)));
          return Math.min(...points.slice(1).map((to, at) => off([x, y], points[at], to)));
        });
      });
      return dots.flat();
    }"""
    distances = shown.page.evaluate(script)
    assert len(distances) == 12
    assert max(distances) < 1.5


def test_the_table_of_requests_is_that_of_the_run(shown, run):
    shown.tab("requests")
    shown.page.click("text=whole run")
    shown.page.click("text=The requests seen, as a table")
    shown.page.wait_for_selector("#panel-requests tbody tr")
    rows = shown.page.locator("#panel-requests tbody tr").all_inner_texts()
    assert len(rows) == 30
    for line, row in zip(rows, run.sequences.itertuples(), strict=True):
        name, *cells = line.split("\t")
        assert (name, cells[5], cells[6], cells[7]) == (
            f"#{row.seq}",
            f"{row.tokens}",
            f"{row.preempted}",
            f"{row.replica}",
        )
        over = ["ttft"] * (row.first_token - row.arrival > 0.1)
        over += ["tpot"] * ((row.finish - row.first_token) / 39 > 0.008)
        assert cells[8].split() == over


def test_a_round_names_the_requests_that_it_was_decoded_with(shown, run):
    shown.tab("timeline")
    verify = run.spans[(run.spans.kind == "verify") & (run.spans.batch > 2)].iloc[0]
    mates = [*verify.seqs]
    rounds = run.rounds[(run.rounds.seq == mates[0]) & (run.rounds.end >= verify.end - 1e-9)]
    place = int(rounds.index[0])
    shown.page.evaluate("async (row) => (await import('store')).selectRound(store, row)", place)
    shown.settle()
    named = shown.page.locator(".panel.anatomy button").all_inner_texts()
    assert named == [f"#{seq}" for seq in mates]
    shown.page.click(f".panel.anatomy button:text-is('#{mates[1]}')")
    assert shown.text("#said").startswith(f"Request {mates[1]}:")


def test_preemptions_are_marked_where_they_were(shown, run):
    marked = shown.page.evaluate(
        "async () => (await import('stations')).stationsOf(store.get().runs[0])"
        ".map(({preempted}) => preempted)"
    )
    for replica, times in enumerate(marked):
        own = run.sequences[run.sequences.replica == replica].preempted_at
        assert times == pytest.approx(sorted(time for each in own for time in each))
    assert any(marked)


def test_a_run_without_arrivals_looks_as_before(browser, tmp_path):
    with opened(browser, page_of(hand_made()), tmp_path) as shown:
        assert not shown.page.locator("#tab-requests").is_visible()
        shown.page.evaluate("() => store.set({tab: 'requests'})")
        shown.page.wait_for_selector("body[data-tab=overview]", state="attached")
        shown.tab("timeline")
        assert "waiting" not in shown.text("#panel-timeline .legend")
        found = shown.page.evaluate(
            "async () => (await import('paint')).layout(store.get().runs[0]).placed.map(p => p.y)"
        )
        assert found == [22 + 35 * at for at in range(4)]
        assert not shown.wrong


def test_two_runs_of_requests_are_compared(run, browser, tmp_path):
    other = crowded("serving.num_gpu_blocks=90")
    rows = [packed(each)["rows"] for each in (run, other)]
    both = [(label, text, below) for (label, text), (_, below) in zip(*rows, strict=True)]
    with opened(browser, page_of(run, other), tmp_path) as shown:
        shown.tab("compare")
        told = shown.page.locator("#panel-compare figcaption").all_inner_texts()
        assert len(told) == 4
        middle = [1000 * each.metrics["ttft_p50"] for each in (run, other)]
        found = [float(number) for number in re.findall(r"p50 ([0-9.]+) ms", told[0])]
        assert found == pytest.approx(middle, rel=6e-4)
        assert shown.page.locator("#panel-compare polyline.below").count() == 4
        lines = shown.page.locator("#panel-compare tbody tr").all_inner_texts()
        shown_rows = [tuple(line.split("\t")) for line in lines][-len(both) :]
        assert shown_rows == both
        assert not shown.wrong


def test_many_replicas_have_one_strip_together(browser, tmp_path):
    words = ("workload.rate=80", "replicas=8", "router=round_robin")
    run = ssdsim.simulate(ssdsim.setup(*WORDS, *words))
    with opened(browser, page_of(run), tmp_path) as shown:
        station, *more = shown.page.evaluate(
            "async () => (await import('stations')).stationsOf(store.get().runs[0])"
        )
        assert not more
        assert station["label"] == "8 replicas"
        latest = run.state.pivot_table(
            index="time", columns="replica", values="running", aggfunc="last"
        )
        total = latest.ffill().fillna(0).sum(axis=1)
        assert station["most"]["running"] == total.max()
        assert not shown.wrong


@pytest.mark.parametrize(("replicas", "label"), [(2, "replica 0"), (7, "7 replicas")])
def test_what_works_for_all_replicas_has_a_strip_of_its_own(replicas, label, browser, tmp_path):
    words = ("workload.rate=80", f"replicas={replicas}", "draft_pool=1", "method=speculative")
    away = ("method.draft_on=own", "serving.disaggregated={latency: 0.01}")
    run = ssdsim.simulate(ssdsim.setup(*WORDS, *words, *away))
    with opened(browser, page_of(run), tmp_path) as shown:
        found = shown.page.evaluate(
            "async () => (await import('stations')).stationsOf(store.get().runs[0])"
        )
        assert found[0]["label"] == label
        assert [each["label"] for each in found[-2:]] == ["prefill", "draft pool"]
        for place in (-1, -2):
            own = run.state[run.state.replica == {-1: -2, -2: -1}[place]]
            assert found[place]["counts"]["waiting"][1:] == own.waiting.tolist()
            assert found[place]["counts"]["running"][1:] == own.running.tolist()
        requests = run.state[run.state.replica >= 0].running
        assert requests.max() <= found[0]["most"]["running"] <= 30
        assert not shown.wrong


def test_slots_have_a_page_as_well(browser, tmp_path):
    words = [word for word in WORDS if word != "serving=continuous"]
    run = ssdsim.simulate(ssdsim.setup(*words, "workload.rate=20", "batch=2"))
    with opened(browser, page_of(run), tmp_path) as shown:
        shown.tab("requests")
        assert "KV blocks" not in shown.text("#panel-requests .legend")
        assert len(shown.page.locator("#panel-requests figcaption").all_inner_texts()) == 4
        begun = [each[1] for each in shown.page.evaluate(PHASES)[0] if each[0] == "decoding"]
        first = run.rounds[(run.rounds.seq == 0) & (run.rounds["round"] == 0)]
        assert begun == pytest.approx([first.start.item()])
        assert not shown.wrong


def test_tokens_of_prompts_are_not_taken_for_delivered_ones(shown, run):
    verifies = run.spans[run.spans.kind == "verify"].sort_values("start", kind="stable")
    found = shown.page.evaluate(DELIVERED)
    delivered = (run.rounds.accepted + 1).groupby([run.rounds.seq, run.rounds.end]).sum()
    wanted = [
        sum(int(delivered[seq, span.end]) for seq in (span.seqs if span.seq < 0 else [span.seq]))
        for span in verifies.itertuples()
    ]
    assert found == wanted
    assert sum(found) < verifies.used.sum()


def test_speedups_of_requests_are_told_as_what_they_are(run, browser, tmp_path):
    sd = {"tokens_per_s": 300.0, "e2e_mean": 0.5, "lookahead": 3, "by": "e2e_mean"}
    told = {"speedup_over_ar": 3.2, "speedup_over_sd": 1.5}
    info = run.info | {"baselines": {"sd": sd}, "metrics": run.metrics | told}
    with opened(browser, page_of(Run(info, run.tables)), tmp_path) as shown:
        assert "requests done sooner by 3.20 × AR, 1.50 × best SD" in shown.text(".headline")
        assert "how much sooner requests are done" in shown.text(".figures caption")
        assert "best SD, K=3: end to end, ms\t500.0" in shown.text(".figures")
        assert not shown.wrong
