// The timeline: sequences and lanes on a canvas, to zoom, pan, hover and step through.

import { listen, onceAFrame, timeAt, zoomButtons } from "axis";
import { make } from "dom";
import { exportButtons } from "export";
import { viewOf } from "look";
import { GUTTER, layout, paintTimeline } from "paint";
import { canvasPen, sized } from "pen";
import { stretchAt } from "rows";
import { stationSentence } from "stations";
import { stationLegend } from "strip";
import { selectSpan, transport } from "steps";
import { selected, selectRound } from "store";
import { onTheme } from "theme";
import { roundSentence, spanSentence } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */
/** @typedef {{say: () => string, pick: () => void}} Found */

const LEGEND = /** @type {[string, string][]} */ ([
  ["hit", "✓ hit"], ["miss", "✗ miss (lower)"], ["nothing", "nothing predicted (lowest)"],
  ["verify", "verify, + tokens delivered"], ["speculate", "speculate, used/drafted"],
  ["prespeculate", "branches for outcomes"], ["transfer", "transfer"], ["prefill", "prefill"],
  ["search", "search"]]);

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  const canvas = make("canvas", { tabindex: 0, role: "img", class: "timeline" });
  const tip = make("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  const legend = make("ul", { class: "legend" });
  const bar = make("div", { class: "toolbar" }, transport(store), zoomButtons(store),
    exportButtons(store));
  element.append(bar, legend, make("div", { class: "stage" }, canvas, tip),
    make("p", { class: "hint" }, "Drag to pan; Ctrl + wheel or + and − to zoom; click to select."));
  /** @type {Run|null} */
  let explained = null;
  const soon = onceAFrame(() => {
    const run = store.get().runs[store.get().selection.run];
    if (run && run !== explained) explain(legend, explained = run);
    paint(canvas, store);
  });
  onTheme(soon);
  new ResizeObserver(soon).observe(canvas);
  listen(canvas, tip, store, { under: (event) => under(canvas, store, event),
    say: (found) => found.say(), pick: (found) => found.pick() });
  return { draw: soon };
}

/** @param {HTMLCanvasElement} canvas @param {Store} store */
function paint(canvas, store) {
  const begun = performance.now(), state = store.get();
  const [run, round] = selected(state);
  const width = canvas.clientWidth;
  if (!run || !width) return;
  const context = sized(canvas, width, layout(run).bottom + 4);
  paintTimeline(canvasPen(context), run, viewOf(store), width, { round, span: state.selection.span, seq: state.selection.seq });
  canvas.setAttribute("aria-label", `Timeline of ${run.name}; the table below has the same.`);
  canvas.dataset.drawn = `${performance.now() - begun}`; // `make bench-page` reads it
}

/** @param {HTMLElement} legend @param {Run} run */
function explain(legend, run) {
  const shown = LEGEND.filter(([name], at) => at < 3 || run.kinds.includes(name));
  legend.replaceChildren(...shown.map(([name, text]) =>
    make("li", {}, make("span", { class: `swatch ${name}` }), text)));
  if (run.kinds.some((kind) => kind.endsWith("speculate"))) {
    legend.append(make("li", {}, make("span", { class: "swatch pale" }), "pale: drafted in vain"),
      make("li", {}, make("b", { class: "arrow" }, "↓ "), "speculation that an outcome chose"));
  }
  if (run.state) legend.append(...stationLegend(run));
}

/** What is under a point of the canvas.
 * @param {HTMLCanvasElement} canvas @param {Store} store @param {MouseEvent} event
 * @returns {Found|null} */
function under(canvas, store, event) {
  const { runs, selection } = store.get(), run = runs[selection.run];
  if (!run || event.offsetX < GUTTER) return null;
  const y = event.offsetY, time = timeAt(canvas, store, event.offsetX), { strips, placed } = layout(run);
  const strip = strips.find((each) => y >= each.y && y <= each.y + each.height);
  if (strip) return { say: () => stationSentence(strip.station, time), pick: () => {} };
  const place = placed.find((each) => y >= each.y && y <= each.y + each.height);
  const at = place ? stretchAt(place.row, time) : -1;
  if (at < 0 || !place) return null;
  const item = place.row.items[at];
  return place.row.of === "rounds"
    ? { say: () => roundSentence(run, item), pick: () => selectRound(store, item) }
    : { say: () => spanSentence(run, item), pick: () => selectSpan(store, item, time) };
}
