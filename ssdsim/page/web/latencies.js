// How long requests took: of each latency the share of requests within so many seconds, and limits.

import { make, svg } from "dom";
import { LATENCIES, latenciesOf, limitsOf, missedBy, serves } from "served";
import { counted, duration, percent } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("columns").Table} Table */
/** @typedef {import("store").Store} Store */

const WIDTH = 280, HEIGHT = 92, LEFT = 34, BOTTOM = 18, TOP = 8;
const SHARES = /** @type {[string, number][]} */ ([["p50", 0.5], ["p90", 0.9], ["p99", 0.99]]);
/** Points of a curve. */
const FINE = 160;

/** @type {WeakMap<Run, Record<string, Float64Array>>} */
const known = new WeakMap();

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  /** @type {Run|null} */
  let shown = null;
  return {
    draw() {
      const run = store.get().runs[store.get().selection.run];
      if (!run || run === shown || !serves(run)) return;
      shown = run;
      element.replaceChildren(make("h2", {}, "How long requests took"), ...kept(run), ...charts([run]));
    },
  };
}

/** A chart of each latency that is known of all runs; the second one's curve is dashed.
 * @param {Run[]} runs @returns {Element[]} */
export function charts(runs) {
  const there = Object.keys(LATENCIES).filter((name) => runs.every((run) => sorted(run)[name].length));
  return there.map((name) => chart(name, runs));
}

/** How many requests keep the limits. @param {Run} run @returns {Element[]} */
function kept(run) {
  const limits = Object.entries(limitsOf(run)), { finish } = /** @type {Table} */ (run.requests).columns;
  const done = [...finish.keys()].filter((at) => !Number.isNaN(finish[at]));
  if (!limits.length || !done.length) return [];
  const good = done.filter((at) => !missedBy(run, at).length).length;
  const named = limits.map(([name, limit]) => `${LATENCIES[name]} ${duration(limit)}`).join(", ");
  return [make("p", {}, `${percent(good / done.length)} of ${counted(done.length, "finished request")} keep the `
    + `${limits.length > 1 ? "limits" : "limit"} (${named}).`)];
}

/** All seconds of each latency, in ascending order.
 * @param {Run} run */
function sorted(run) {
  let found = known.get(run);
  if (!found) known.set(run, found = gathered(run));
  return found;
}

/** @param {Run} run @returns {Record<string, Float64Array>} */
function gathered(run) {
  const all = /** @type {Record<string, number[]>} */ ({ ttft: [], tpot: [], itl: gaps(run), e2e: [] });
  const { rows, columns: { finish } } = /** @type {Table} */ (run.requests);
  for (let at = 0; at < rows; at++) {
    if (Number.isNaN(finish[at])) continue;
    for (const [name, seconds] of Object.entries(latenciesOf(run, at))) if (!Number.isNaN(seconds)) all[name].push(seconds);
  }
  return Object.fromEntries(Object.entries(all).map(([name, values]) => [name, Float64Array.from(values).sort()]));
}

/** Seconds between two deliveries to the same request, of the rounds that are here.
 * @param {Run} run */
function gaps(run) {
  const { seq, end } = run.rounds.columns, last = new Map(), found = [];
  for (let row = 0; row < run.rounds.rows; row++) {
    const before = last.get(seq[row]);
    if (before !== undefined) found.push(end[row] - before);
    last.set(seq[row], end[row]);
  }
  return found;
}

/** The quantile of sorted values, between neighbours on a straight line as numpy has it.
 * @param {Float64Array} values @param {number} share */
function quantile(values, share) {
  const place = share * (values.length - 1), low = Math.floor(place);
  const next = values[Math.min(low + 1, values.length - 1)];
  return values[low] + (next - values[low]) * (place - low);
}

/** What a quantile is: as the run's metrics say, of all its requests and rounds; else of those here.
 * @param {Run} run @param {string} name @param {string} label @param {number} share */
function told(run, name, label, share) {
  return run.metrics[`${name}_${label}`] ?? quantile(sorted(run)[name], share);
}

/** @param {string} name @param {Run[]} runs */
function chart(name, runs) {
  const limit = limitsOf(runs[0])[name];
  const all = runs.map((run) => sorted(run)[name]), least = Math.min(...all.map((values) => values[0]));
  const most = Math.max(...all.map((values) => values[values.length - 1]), limit ?? 0);
  const x = axis(least, most), y = (/** @type {number} */ share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "latency", role: "img",
    "aria-label": `${LATENCIES[name]}: ${runs.map((run) => summary(run, name)).join("; below ")}` },
    ...frame(x, y, least, most), ...runs.flatMap((run, at) => curve(run, name, at, x, y)),
    ...(limit ? [svg("line", { x1: x(limit), x2: x(limit), y1: TOP - 4, y2: y(0), class: "limit" })] : []));
  const within = limit ? `; ${percent(shareWithin(all[0], limit))} within the limit, the dashed line` : "";
  const cut = name === "itl" && runs.some((run) => run.rounds.rows < run.rounds.total)
    ? make("p", { class: "hint" }, "The curve is of the rounds in this page, the figures of all.") : null;
  return make("figure", { class: "distribution" }, make("figcaption", {}, make("b", {}, LATENCIES[name]),
    ` ${runs.map((run) => summary(run, name)).join("; below ")}${within}`), picture, cut);
}

/** @param {Run} run @param {string} name */
function summary(run, name) {
  return SHARES.map(([label, share]) => `${label} ${duration(told(run, name, label, share))}`).join(", ");
}

/** @param {Float64Array} values ascending @param {number} limit */
function shareWithin(values, limit) {
  let count = values.length;
  while (count && values[count - 1] > limit) count--;
  return count / values.length;
}

/** From seconds to a place, by their logarithm where they are far apart.
 * @param {number} least @param {number} most */
function axis(least, most) {
  const far = least > 0 && most / least > 8, by = far ? Math.log : (/** @type {number} */ value) => value;
  const from = by(far ? least : 0), long = by(most) - from || 1;
  return (/** @type {number} */ seconds) => LEFT + ((by(Math.max(seconds, far ? least : 0)) - from) / long) * (WIDTH - LEFT - 10);
}

/** @param {(seconds: number) => number} x @param {(share: number) => number} y
 * @param {number} least @param {number} most */
function frame(x, y, least, most) {
  const first = x(least) > LEFT + 40 ? 0 : least;
  return [svg("line", { x1: LEFT, x2: WIDTH - 10, y1: y(0), y2: y(0), class: "rule" }),
    ...[0.5, 1].flatMap((share) => [
      svg("line", { x1: LEFT, x2: WIDTH - 10, y1: y(share), y2: y(share), class: "rule faint" }),
      svg("text", { x: LEFT - 4, y: y(share) + 3, class: "end" }, `${100 * share} %`)]),
    svg("text", { x: LEFT, y: HEIGHT - 5 }, duration(first)),
    svg("text", { x: WIDTH - 10, y: HEIGHT - 5, class: "end" }, duration(most))];
}

/** The share of requests within so many seconds, with dots at the quantiles.
 * @param {Run} run @param {string} name @param {number} at
 * @param {(seconds: number) => number} x @param {(share: number) => number} y */
function curve(run, name, at, x, y) {
  const values = sorted(run)[name], points = Math.min(FINE, Math.max(2, values.length));
  const line = Array.from({ length: points }, (_, place) => {
    const share = place / (points - 1);
    return `${x(quantile(values, share)).toFixed(1)},${y(share).toFixed(1)}`;
  });
  const start = `${x(values[0]).toFixed(1)},${y(0).toFixed(1)}`;
  return [svg("polyline", { points: [start, ...line].join(" "), class: `curve ${at ? "below" : "above"}` }),
    ...SHARES.map(([label, share]) => svg("circle", { cx: x(told(run, name, label, share)), cy: y(share), r: 2.6,
      class: at ? "below" : "above" }))];
}
