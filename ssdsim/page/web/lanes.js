// The timeline: sequences and lanes on a canvas, to zoom, pan, hover and step through.

import { make } from "dom";
import { exportButtons } from "export";
import { bounds, pan, viewOf, zoom } from "look";
import { GUTTER, layout, paintTimeline, RULER } from "paint";
import { canvasPen } from "pen";
import { rowsOf, stretchAt } from "rows";
import { selectSpan, transport } from "steps";
import { selected, selectRound } from "store";
import { onTheme } from "theme";
import { scale, zoomed } from "view";
import { roundSentence, spanSentence } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */

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
  let asked = 0;
  /** @type {Run|null} */
  let explained = null;
  const soon = () => (asked ||= requestAnimationFrame(() => {
    asked = 0;
    const run = store.get().runs[store.get().selection.run];
    if (run && run !== explained) explain(legend, explained = run);
    paint(canvas, store);
  }));
  onTheme(soon);
  new ResizeObserver(soon).observe(canvas);
  point(canvas, tip, store);
  return { draw: soon };
}

/** @param {HTMLCanvasElement} canvas @param {Store} store */
function paint(canvas, store) {
  const begun = performance.now(), state = store.get();
  const [run, round] = selected(state);
  const width = canvas.clientWidth;
  if (!run || !width) return;
  const height = layout(rowsOf(run), RULER).bottom + 4, ratio = devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  paintTimeline(canvasPen(context), run, viewOf(store), width, { round, span: state.selection.span });
  canvas.setAttribute("aria-label", `Timeline of ${run.name}; the table below has the same.`);
  canvas.dataset.drawn = `${performance.now() - begun}`; // `make bench-page` reads it
}

/** @param {Store} store */
function zoomButtons(store) {
  const fit = () => store.set({ view: bounds(store) });
  return make("span", { class: "group" },
    make("button", { click: () => zoom(store, 1 / 1.6), "aria-label": "zoom in" }, "+"),
    make("button", { click: () => zoom(store, 1.6), "aria-label": "zoom out" }, "−"),
    make("button", { click: fit }, "whole run"));
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
}

/** What is under a point of the canvas.
 * @param {HTMLCanvasElement} canvas @param {Store} store @param {MouseEvent} event */
function under(canvas, store, event) {
  const { runs, selection } = store.get(), run = runs[selection.run];
  if (!run) return null;
  const y = event.offsetY, time = timeAt(canvas, store, event.offsetX);
  const place = layout(rowsOf(run), RULER).placed.find((each) => y >= each.y && y <= each.y + each.height);
  const at = place && event.offsetX >= GUTTER ? stretchAt(place.row, time) : -1;
  return at < 0 || !place ? null : { run, of: place.row.of, item: place.row.items[at], time };
}

/** @param {HTMLCanvasElement} canvas @param {Store} store @param {number} x */
function timeAt(canvas, store, x) {
  return scale(viewOf(store), GUTTER, canvas.clientWidth - GUTTER - 8).time(x);
}

/** Listens to the pointer.
 * @param {HTMLCanvasElement} canvas @param {HTMLElement} tip @param {Store} store */
function point(canvas, tip, store) {
  let dragged = 0, down = false;
  canvas.addEventListener("pointerdown", (event) => {
    [dragged, down] = [0, true];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", (event) => {
    down = false;
    const found = dragged < 4 ? under(canvas, store, event) : null;
    if (found?.of === "rounds") selectRound(store, found.item);
    else if (found) selectSpan(store, found.item, found.time);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (down) {
      dragged += Math.abs(event.movementX);
      if (dragged >= 4) pan(store, -event.movementX / (canvas.clientWidth - GUTTER - 8));
    }
    hover(canvas, tip, down ? null : under(canvas, store, event), event);
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("wheel", (event) => turn(canvas, store, event), { passive: false });
}

/** @param {HTMLCanvasElement} canvas @param {HTMLElement} tip
 * @param {ReturnType<typeof under>} found @param {PointerEvent} event */
function hover(canvas, tip, found, event) {
  tip.hidden = !found;
  if (!found) return;
  const sentence = found.of === "rounds" ? roundSentence : spanSentence;
  tip.textContent = sentence(found.run, found.item);
  const room = canvas.clientWidth - tip.offsetWidth - 4;
  tip.style.left = `${Math.max(0, Math.min(event.offsetX + 12, room))}px`;
  tip.style.top = `${event.offsetY + 18}px`;
}

/** @param {HTMLCanvasElement} canvas @param {Store} store @param {WheelEvent} event */
function turn(canvas, store, event) {
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    const at = timeAt(canvas, store, event.offsetX);
    store.set({ view: zoomed(viewOf(store), at, Math.exp(event.deltaY / 300), bounds(store)) });
  } else if (event.deltaX || event.shiftKey) {
    event.preventDefault();
    pan(store, (event.deltaX || event.deltaY) / canvas.clientWidth);
  }
}
