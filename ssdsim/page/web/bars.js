// Paints requests as bars, in order of arrival: what each went through, and when.

import { interruptions, missedBy, phasesOf, requestsIn } from "served";
import { whole } from "view";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").View} View */
/** @typedef {import("paint").Work} Work */
/** Requests that have a bar, every `stride`-th of `seen`.
 * @typedef {{items: number[], seen: number, stride: number, top: number, pitch: number}} Bars */

const ROOM = 400, THINNEST = 2, THICKEST = 16, NAMED = 11;
/** Shares of a bar's height, so that no colour is needed to tell phases apart. */
const TALL = /** @type {Record<string, number>} */ ({ waiting: 0.25, reading: 0.6, decoding: 1 });
export const INKS = /** @type {Record<string, string>} */ ({ waiting: "waiting", reading: "prefill",
  decoding: "verify" });

/** Which requests have a bar, and where; the selected one always has.
 * @param {Run} run @param {View} view @param {number} chosen @param {number} top @returns {Bars} */
export function placeBars(run, view, chosen, top) {
  const seen = requestsIn(run, view), stride = Math.max(1, Math.ceil((seen.length * THINNEST) / ROOM));
  const items = seen.filter((at, place) => place % stride === 0 || at === chosen);
  const pitch = Math.max(THINNEST, Math.min(THICKEST, Math.floor(ROOM / Math.max(1, items.length))));
  return { items, seen: seen.length, stride, top, pitch };
}

/** Where the last bar ends.
 * @param {Bars} bars */
export function bottomOf({ items, top, pitch }) {
  return top + items.length * pitch;
}

/** The request whose bar is at a height, or -1.
 * @param {Bars} bars @param {number} y */
export function barAt({ items, top, pitch }, y) {
  return y < top ? -1 : items[Math.floor((y - top) / pitch)] ?? -1;
}

/** @param {Work} work @param {Bars} bars @param {number} chosen */
export function paintBars(work, bars, chosen) {
  const { run } = work, end = whole([run]).to, { items, top, pitch } = bars;
  const tall = Math.max(1, pitch - (pitch > 7 ? 3 : pitch > 2 ? 1 : 0));
  items.forEach((at, place) => {
    const y = top + place * pitch;
    for (const phase of phasesOf(run, at, end)) paintPhase(work, phase, y, tall);
    if (pitch >= 6) paintMarks(work, at, y, tall);
    if (pitch >= NAMED) paintName(work, at, y + tall / 2);
    if (at === chosen) frame(work, at, y, tall, end);
  });
}

/** @param {Work} work @param {import("served").Phase} phase @param {number} y @param {number} tall */
function paintPhase({ pen, colours, scale }, { phase, from, to }, y, tall) {
  const left = Math.max(scale.left, scale.x(from)), right = Math.min(scale.left + scale.width, scale.x(to));
  if (right < left) return;
  const height = Math.max(1, tall * TALL[phase]);
  pen.rect(left, y + (tall - height) / 2, Math.max(0.7, right - left), height, { fill: colours[INKS[phase]] });
}

/** Marks the first token, each preemption, and a limit that was not kept.
 * @param {Work} work @param {number} at @param {number} y @param {number} tall */
function paintMarks({ pen, colours, scale, run }, at, y, tall) {
  const { first_token: first, finish } = /** @type {import("columns").Table} */ (run.requests).columns;
  const right = scale.left + scale.width, seen = (/** @type {number} */ x) => x >= scale.left && x <= right;
  const token = scale.x(first[at]), over = scale.x(finish[at]);
  if (seen(token)) pen.line([[token, y - 1], [token, y + tall + 1]], { stroke: colours.ink, width: 1.5 });
  for (const time of interruptions(run, at).preempted) {
    const x = scale.x(time);
    if (seen(x)) pen.line([[x - 3, y], [x + 3, y], [x, y + 5], [x - 3, y]], { stroke: colours.ink, width: 1.5 });
  }
  if (seen(over) && tall >= 8 && missedBy(run, at).length) {
    pen.text(Math.min(over + 3, right - 8), y + tall / 2, "✗", { fill: colours.miss, weight: "bold" });
  }
}

/** @param {Work} work @param {number} at @param {number} y */
function paintName({ pen, colours, scale, run }, at, y) {
  const seq = /** @type {import("columns").Table} */ (run.requests).columns.seq[at];
  pen.text(scale.left - 8, y, `#${seq}`, { fill: colours.ink, align: "end" });
}

/** @param {Work} work @param {number} at @param {number} y @param {number} tall @param {number} end */
function frame({ pen, colours, scale, run }, at, y, tall, end) {
  const { arrival, finish, seq } = /** @type {import("columns").Table} */ (run.requests).columns;
  const from = Math.max(scale.left, scale.x(arrival[at]));
  const to = Math.min(scale.left + scale.width, scale.x(finish[at] <= end ? finish[at] : end));
  pen.rect(from - 2, y - 2, Math.max(4, to - from + 4), tall + 4, { stroke: colours.accent, width: 2 });
  if (tall + 3 < NAMED) pen.text(scale.left - 8, y + tall / 2, `#${seq[at]}`, { fill: colours.accent, align: "end", weight: "bold" });
}
