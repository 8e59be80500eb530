"""What the page costs, beside its bars: `make bench-page`, on a quiet machine."""

import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from browsing import chromium, opened
from commands import run

from ssdsim import load_run
from ssdsim.page.pack import packed, payload
from ssdsim.page.write import html, write

NOISY = ("latency.target_jitter={_target_: lognormal, sigma: 0.05}",)
REQUESTS = (
    "workload=azure_conv",
    "workload.prompts=19366",
    "serving=continuous",
    "method=speculative",
    "lookahead=3",
)
SMALLER = {"ready": 500, "frame": 20, "draw": 4}
LARGEST = {"ready": 1500, "frame": 34, "draw": 34}
ZOOMS = (1.0, 0.25, 0.03, 0.003)
SIZE = {"width": 1280, "height": 800}

FRAMES = """async (share) => {
  const {from, to} = (await import("view")).whole(store.get().runs), canvas =
    document.querySelector("canvas.timeline"), length = (to - from) * share,
    frames = [], drawn = [];
  const next = () => new Promise(requestAnimationFrame);
  let before = await next();
  for (let at = 0; at < 90; at++) {
    const start = from + (to - from - length) * at / 90;
    store.set({view: {from: start, to: start + length}});
    const now = await next();
    frames.push(now - before);
    drawn.push(Number(canvas.dataset.drawn));
    before = now;
  }
  return [frames.slice(10), drawn.slice(10)];
}"""
BARE = """async () => {
  const canvas = document.createElement("canvas"), frames = [];
  [canvas.width, canvas.height] = [1200, 300];
  document.body.prepend(canvas);
  const pen = canvas.getContext("2d"), next = () => new Promise(requestAnimationFrame);
  let before = await next();
  for (let at = 0; at < 90; at++) {
    pen.clearRect(0, 0, 1200, 300);
    for (let bar = 0; bar < 2400; bar++) {
      pen.fillStyle = bar % 2 ? "#0072b2" : "#e69f00";
      pen.fillRect(bar % 1200, bar % 300, 1, 30);
    }
    const now = await next();
    frames.push(now - before);
    before = now;
  }
  canvas.remove();
  return frames.slice(10);
}"""
HOVER = """() => {
  const canvas = document.querySelector("canvas.timeline"), box = canvas.getBoundingClientRect();
  return Array.from({length: 200}, (_, at) => {
    const begun = performance.now();
    canvas.dispatchEvent(new PointerEvent("pointermove",
      {clientX: box.x + 90 + at * 5, clientY: box.y + 30 + at % 100}));
    return performance.now() - begun;
  });
}"""


def report(what, found, bar, unit):
    """Print a figure beside its bar; return whether it holds."""
    held = found <= bar
    print(f"{'ok  ' if held else 'OVER'} {what}: {found:.3g} {unit} (at most {bar:g})")  # noqa: T201
    return held


def p95(values):
    """Return what 95 % do not exceed."""
    return float(pd.Series(values).quantile(0.95))


def written(folder, *overrides):
    """Run a command and write its page once more; return page, seconds and spans."""
    with redirect_stdout(None):
        assert run(*overrides, f"out={folder}", "overwrite=true") == 0
    found = load_run(folder)
    begun = time.perf_counter()
    write(payload(packed(found)), folder / "page.html")
    return found, time.perf_counter() - begun, (folder / "page.html").stat().st_size


def in_browser(browser, folder, name, text, bars, tab="timeline"):
    """Measure the drawing of a page's tab; yield whether each bar holds."""
    with opened(browser, text, folder, viewport=SIZE) as shown:
        entry = "() => performance.getEntriesByName('ready')[0].startTime"
        ready = shown.page.evaluate(entry)
        yield report(f"{name}, until it can be used", ready, bars["ready"], "ms")
        shown.tab(tab)
        bare = p95(shown.page.evaluate(BARE))
        for share in ZOOMS:
            frames, drawn = shown.page.evaluate(FRAMES, share)
            what = f"{name}, {share:.1%} of it in view"
            also = f" ({p95(frames) / bare:.2f} of a bare canvas)"
            yield report(f"{what}, frame p95{also}", p95(frames), bars["frame"], "ms")
            yield report(f"{what}, drawing p95", p95(drawn), bars["draw"], "ms")
        yield report(f"{name}, hover p95", p95(shown.page.evaluate(HOVER)), 16, "ms")
        asked = [url for url in shown.asked if not url.startswith(("data:", "blob:"))]
        yield report(f"{name}, requests", len(asked) - 1, 0, "")


def main():
    """Measure everything; return how many bars do not hold."""
    held = []
    with TemporaryDirectory() as here, chromium() as browser:
        folder = Path(here)
        code = len(html(payload()).encode()) / 1e3
        held.append(report("front end", code, 120, "KB"))
        default, seconds, size = written(folder / "default")
        held.append(report(f"default run, {len(default.spans):,} spans", size / 1e3, 400, "KB"))
        held.append(report("writing it", seconds, 0.3, "s"))
        for prompts, bars in ((135, SMALLER), (1100, LARGEST)):
            found, _, size = written(folder / str(prompts), f"workload.prompts={prompts}", *NOISY)
            name = f"{min(100_000, len(found.spans)):,} spans"
            held.append(report(name, size / 1e6, 3.0, "MB"))
            held += in_browser(browser, folder, name, html(payload(packed(found))), bars)
        found, _, size = written(folder / "requests", *REQUESTS)
        name, text = f"{len(found.sequences):,} requests", html(payload(packed(found)))
        held.append(report(name, size / 1e6, 3.0, "MB"))
        for tab in ("requests", "timeline"):
            held += in_browser(browser, folder, f"{name}, {tab}", text, LARGEST, tab)
    return held.count(False)


if __name__ == "__main__":
    sys.exit(main())
