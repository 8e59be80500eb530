// Requests one below the other on the time axis of the lanes, to select one and follow it there.

import { listen, onceAFrame, timeAt, zoomButtons } from "axis";
import { barAt, bottomOf, INKS, paintBars, placeBars } from "bars";
import { make } from "dom";
import { paintRequest } from "highlight";
import { pan, viewOf } from "look";
import { GUTTER, paintCuts, paintNames, paintRows, paintRuler, paintSelection, placeRows, RULER, workOf } from "paint";
import { canvasPen, sized } from "pen";
import { rowsOf, stretchAt } from "rows";
import { PHASES, requestOf, requestSentence, serves } from "served";
import { stationSentence } from "stations";
import { selectRequest, selectSpan, stepRequest } from "steps";
import { selected } from "store";
import { paintStrips, placeStrips, stationLegend } from "strip";
import { onTheme } from "theme";
import { counted, spanSentence } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */
/** @typedef {{say: () => string, pick: () => void}} Found */

const MEANT = /** @type {Record<string, string>} */ ({ waiting: "waits (thin)", reading: "its prompt is computed",
  decoding: "is decoded (high)" });
const GAP = 12;

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  const canvas = make("canvas", { tabindex: 0, role: "img", class: "timeline", "data-keys": "own" });
  const tip = make("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  const hint = make("p", { class: "hint" }), legend = make("ul", { class: "legend" });
  element.append(make("div", { class: "toolbar" }, steps(store), zoomButtons(store)), legend,
    make("div", { class: "stage" }, canvas, tip), hint);
  /** @type {Run|null} */
  let explained = null;
  const soon = onceAFrame(() => {
    const run = store.get().runs[store.get().selection.run];
    if (!run || !serves(run) || !canvas.clientWidth) return;
    if (run !== explained) explain(legend, explained = run);
    hint.textContent = paint(canvas, store, run);
  });
  onTheme(soon);
  new ResizeObserver(soon).observe(canvas);
  listen(canvas, tip, store, { under: (event) => under(canvas, store, event),
    say: (found) => found.say(), pick: (found) => found.pick() });
  canvas.addEventListener("keydown", (event) => press(store, event));
  return { draw: soon };
}

/** @param {Store} store */
function steps(store) {
  return make("span", { class: "group" },
    make("button", { click: () => stepRequest(store, -1), "aria-label": "request before" }, "‹ request"),
    make("button", { click: () => stepRequest(store, 1), "aria-label": "next request" }, "request ›"),
    make("button", { click: () => store.set({ tab: "timeline" }) }, "its rounds"));
}

/** @param {HTMLElement} legend @param {Run} run */
function explain(legend, run) {
  legend.replaceChildren(...PHASES.map((phase) => make("li", {},
    make("span", { class: `swatch ${INKS[phase]} ${phase}` }), MEANT[phase])),
    make("li", {}, make("b", {}, "| "), "first token"), ...stationLegend(run));
}

/** Where everything is: strips, lanes, and below them the bars of requests, as many as are seen.
 * @param {Run} run @param {Store} store */
function layout(run, store) {
  const { strips, bottom } = placeStrips(run, RULER), { selection } = store.get();
  const spans = rowsOf(run).filter(({ of }) => of === "spans");
  const lanes = placeRows(spans, bottom + 2, { least: 12, room: 200 });
  const bars = placeBars(run, viewOf(store), requestOf(run, selection.seq), lanes.bottom + GAP);
  return { strips, lanes, bars };
}

/** Paints all of it, and returns what there is to say of it.
 * @param {HTMLCanvasElement} canvas @param {Store} store @param {Run} run */
function paint(canvas, store, run) {
  const begun = performance.now(), { selection } = store.get(), [, round] = selected(store.get());
  const { strips, bars, lanes } = layout(run, store), width = canvas.clientWidth, bottom = bottomOf(bars);
  const work = workOf(canvasPen(sized(canvas, width, bottom + 4)), run, viewOf(store), width);
  paintRuler(work, 0, bottom);
  paintStrips(work, strips);
  paintBars(work, bars, requestOf(run, selection.seq));
  paintRows(work, lanes.placed);
  paintNames(work, lanes.placed);
  paintCuts(work, lanes.placed);
  paintRequest(work, lanes.placed, selection.seq);
  paintSelection(work, lanes.placed, round, selection.span);
  canvas.setAttribute("aria-label", `Requests of ${run.name}; the table below has the same.`);
  canvas.dataset.drawn = `${performance.now() - begun}`; // `make bench-page` reads it
  return sentence(bars);
}

/** Which requests have a bar.
 * @param {import("bars").Bars} bars */
function sentence({ seen, items, stride }) {
  const there = `${counted(seen, "request is", "requests are")} there in this stretch of time, in order of arrival`;
  const drawn = stride > 1 ? `; every ${stride}th has a bar (${items.length}), zoom in for the others` : "";
  return `${there}${drawn}. Click one, or use ↑ and ↓, to underline its passes in the lanes.`;
}

/** What is under a point of the canvas.
 * @param {HTMLCanvasElement} canvas @param {Store} store @param {MouseEvent} event @returns {Found|null} */
function under(canvas, store, event) {
  const { runs, selection } = store.get(), run = runs[selection.run], y = event.offsetY;
  if (!run) return null;
  const { strips, bars, lanes } = layout(run, store), time = timeAt(canvas, store, event.offsetX);
  const strip = strips.find((each) => y >= each.y && y <= each.y + each.height);
  if (strip) return { say: () => stationSentence(strip.station, time), pick: () => {} };
  const request = barAt(bars, y);
  if (request >= 0) return { say: () => requestSentence(run, request), pick: () => selectRequest(store, request) };
  const place = lanes.placed.find((each) => y >= each.y && y <= each.y + each.height);
  const at = place && event.offsetX >= GUTTER ? stretchAt(place.row, time) : -1;
  if (!place || at < 0) return null;
  const span = place.row.items[at];
  return { say: () => spanSentence(run, span), pick: () => selectSpan(store, span, time) };
}

/** Goes from request to request, or along the axis.
 * @param {Store} store @param {KeyboardEvent} event */
function press(store, event) {
  const moves = /** @type {Record<string, () => void>} */ ({ ArrowUp: () => stepRequest(store, -1),
    ArrowDown: () => stepRequest(store, 1), ArrowLeft: () => pan(store, -0.2), ArrowRight: () => pan(store, 0.2) });
  if (!Object.hasOwn(moves, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  moves[event.key]();
}
