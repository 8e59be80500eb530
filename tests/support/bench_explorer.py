"""What the explorer costs, beside its bars: part of `make bench-page`, on a quiet machine."""

import gc
import sys
import time
from threading import Thread

import pandas as pd
from bench_page import SIZE, report
from browsing import Opened, chromium

from ssdsim.command.entry import YOUNG
from ssdsim.explore.answer import Explorer
from ssdsim.explore.asking import Questions
from ssdsim.explore.program import settle
from ssdsim.explore.server import Desk, Server

PAINTED = """async (value) => {
  const input = document.querySelector("[name=lookahead]"), { runs } = store.get();
  const canvas = document.querySelector("canvas.timeline"), begun = performance.now();
  const next = () => new Promise(requestAnimationFrame);
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  canvas.dataset.drawn = "";
  while (store.get().runs === runs || !canvas.dataset.drawn) await next();
  return performance.now() - begun;
}"""
TRIES = 40
REQUESTS = ("workload=poisson", "workload.rate=4", "serving=continuous")


def slider(name, *words):
    """Measure from a slider to painted lanes, of 400 rounds or more; yield whether bars hold."""
    with (
        Server(Desk(Explorer(Questions(words)))) as server,
        chromium() as browser,
    ):
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        shown = Opened(browser, server.address, viewport=SIZE)
        shown.tab("timeline")
        found = [shown.page.evaluate(PAINTED, 3 + at % 6) for at in range(TRIES)]
        rounds = shown.page.evaluate("() => store.get().runs[0].rounds.rows")
        for share, bar in ((0.5, 120), (0.95, 200)):
            what = f"{name}, slider to lanes of {rounds} rounds, p{100 * share:.0f}"
            yield report(what, float(pd.Series(found[5:]).quantile(share)), bar, "ms")
        server.shutdown()


def answers(profile):
    """Measure expectations and surfaces; yield whether each bar holds."""
    explorer = Explorer(Questions((f"profile={profile}",)))
    for want, bar in (("expect", 60), ("surface", 150)):
        found = []
        for at in range(TRIES):
            begun = time.perf_counter()
            explorer.answer({"policy": "uniform_fanout", "lookahead": 2 + at % 8}, want)
            found.append(1000 * (time.perf_counter() - begun))
        yield report(f"{profile}, {want}, median", float(pd.Series(found[8:]).median()), bar, "ms")


def main():
    """Measure everything; return how many bars do not hold."""
    held = []
    gc.set_threshold(YOUNG)  # as the command does
    settle()
    for profile in ("demo", "two_cores"):
        held += [*answers(profile), *slider(profile, f"profile={profile}")]
    held += slider("requests", "profile=demo", *REQUESTS)
    return held.count(False)


if __name__ == "__main__":
    sys.exit(main())
