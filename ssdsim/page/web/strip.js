// Paints the strip over the lanes: who runs and waits at each replica, and the KV blocks they hold.

import { lowerBound } from "columns";
import { make } from "dom";
import { stationsOf } from "stations";
import { figure } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("stations").Station} Station */
/** @typedef {import("paint").Work} Work */
/** @typedef {{station: Station, y: number, height: number}} Strip */

const ALL = 150, TALLEST = 52, SHORTEST = 20, GAP = 10;

/** Where the strips are, one a replica.
 * @param {Run} run @param {number} top @returns {{strips: Strip[], bottom: number}} */
export function placeStrips(run, top) {
  const stations = stationsOf(run);
  const height = Math.max(SHORTEST, Math.min(TALLEST, Math.round(ALL / Math.max(1, stations.length))));
  const strips = stations.map((station, at) => ({ station, y: top + 4 + at * (height + GAP), height }));
  return { strips, bottom: strips.length ? top + 4 + strips.length * (height + GAP) + 4 : top };
}

/** @param {Work} work @param {Strip[]} strips */
export function paintStrips(work, strips) {
  for (const strip of strips) {
    const { station: { counts, most, blocksThere } } = strip;
    const requests = Math.max(most.running, most.waiting, 1);
    paintFilled(work, strip, counts.running, requests);
    if (most.blocks) paintLine(work, strip, counts.blocks, blocksThere || most.blocks, "soft", "3 2");
    paintLine(work, strip, counts.waiting, requests, "waiting", "");
    paintPreemptions(work, strip);
    paintScale(work, strip, requests);
  }
}

/** The largest and the last count of each pixel, from left to right.
 * @param {Work} work @param {Strip} strip @param {number[]} values
 * @param {(x: number, largest: number, last: number) => void} tell */
function byPixel({ scale }, { station: { time } }, values, tell) {
  let at = Math.max(0, lowerBound(time, scale.from) - 1);
  const right = scale.left + scale.width, until = Math.min(right, scale.x(/** @type {number} */ (time.at(-1))) + 1);
  for (let x = scale.left; x < until; x++) {
    const end = scale.time(x + 1);
    let largest = values[at];
    while (at + 1 < time.length && time[at + 1] < end) largest = Math.max(largest, values[++at]);
    tell(x, largest, values[at]);
  }
}

/** @param {Work} work @param {Strip} strip @param {number[]} values @param {number} most */
function paintFilled(work, strip, values, most) {
  const { pen, colours } = work, bottom = strip.y + strip.height;
  let from = work.scale.left, tall = 0;
  const flush = (/** @type {number} */ x) => {
    if (tall && x > from) pen.rect(from, bottom - tall, x - from, tall, { fill: colours.verify, opacity: 0.45 });
  };
  byPixel(work, strip, values, (x, largest) => {
    const now = (largest / most) * strip.height;
    if (now === tall) return;
    flush(x);
    [from, tall] = [x, now];
  });
  flush(Math.min(work.scale.left + work.scale.width, work.scale.x(lastOf(strip))));
  pen.line([[work.scale.left, bottom], [work.scale.left + work.scale.width, bottom]], { stroke: colours.line });
}

/** @param {Strip} strip */
function lastOf({ station: { time } }) {
  return time[time.length - 1];
}

/** @param {Work} work @param {Strip} strip @param {number[]} values @param {number} most
 * @param {string} colour @param {string} dash */
function paintLine(work, strip, values, most, colour, dash) {
  const { pen, colours, scale } = work, bottom = strip.y + strip.height, points = /** @type {[number, number][]} */ ([]);
  const height = (/** @type {number} */ value) => bottom - (value / most) * strip.height;
  let before = -1;
  byPixel(work, strip, values, (x, largest, last) => {
    if (largest === before && last === before) return;
    if (before >= 0) points.push([x, height(before)]);
    points.push([x, height(largest)]);
    if (last !== largest) points.push([x, height(last)]);
    before = last;
  });
  if (before >= 0) points.push([Math.min(scale.left + scale.width, scale.x(lastOf(strip))), height(before)]);
  if (points.length > 1) pen.line(points, { stroke: colours[colour], width: 1.5, dash });
}

/** A mark where somebody was preempted, at most one a few pixels.
 * @param {Work} work @param {Strip} strip */
function paintPreemptions({ pen, colours, scale }, { station: { preempted }, y, height }) {
  let last = -Infinity;
  for (let at = lowerBound(preempted, scale.from); preempted[at] <= scale.to; at++) {
    const x = scale.x(preempted[at]);
    if (x - last < 3) continue;
    pen.line([[x, y], [x, y + height]], { stroke: colours.ink, opacity: 0.5 });
    pen.line([[x - 3.5, y - 5], [x + 3.5, y - 5], [x, y + 1], [x - 3.5, y - 5]], { stroke: colours.ink, width: 1.6 });
    last = x;
  }
}

/** What a strip's height stands for.
 * @param {Work} work @param {Strip} strip @param {number} requests */
function paintScale({ pen, colours, scale }, { station, y, height }, requests) {
  const named = { fill: colours.ink, align: "end" }, small = { fill: colours.soft, align: "end", size: 10 };
  pen.text(scale.left - 8, y + height / 2, station.label, named);
  if (height >= 40) {
    pen.text(scale.left - 8, y + 5, `${requests}`, small);
    pen.text(scale.left - 8, y + height - 5, "0", small);
  }
}

/** Explains the strips of a run.
 * @param {Run} run */
export function stationLegend(run) {
  const stations = stationsOf(run), entry = (/** @type {string} */ mark, /** @type {string} */ text) =>
    make("li", {}, make("span", { class: `swatch ${mark}` }), text);
  const entries = [entry("running", "requests running"), entry("queued", "waiting")];
  if (stations.some(({ most }) => most.blocks)) {
    const end = run.kv_blocks ? `, of ${run.kv_blocks.toLocaleString("en")}` : "";
    entries.push(entry("held", `KV blocks held${end}${run.kv_blocks && run.replicas > 1 ? " a replica" : ""}`));
  }
  if (stations.some(({ preempted }) => preempted.length)) {
    entries.push(make("li", {}, make("b", { class: "preempted" }, "▽ "), "preempted"));
  }
  if (run.state?.stretch) entries.push(make("li", {}, `largest counts of every ${figure(run.state.stretch, 3)} s`));
  return entries;
}
