// From time to pixels and back; zoom and pan.

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").View} View */
/** @typedef {{from: number, to: number, left: number, width: number, perSecond: number,
 *   x: (time: number) => number, time: (x: number) => number}} Scale */

const CLOSEST = 1e-9;

/** @type {WeakMap<Run, number>} */
const ends = new WeakMap();

/** When the last thing in a run ends.
 * @param {Run} run @returns {number} */
function endOf(run) {
  let last = ends.get(run) ?? 0;
  if (last) return last;
  const { finish = [] } = run.requests?.columns ?? {};
  for (const times of [run.spans.columns.end, run.rounds.columns.end, finish]) {
    for (const time of times) if (time > last) last = time;
  }
  ends.set(run, last);
  return last;
}

/** The whole of some runs.
 * @param {Run[]} runs @returns {View} */
export function whole(runs) {
  return { from: 0, to: Math.max(...runs.map(endOf)) || 1 };
}

/** @param {View} view @param {number} left @param {number} width @returns {Scale} */
export function scale(view, left, width) {
  const perSecond = width / (view.to - view.from);
  return {
    ...view, left, width, perSecond,
    x: (time) => left + (time - view.from) * perSecond,
    time: (x) => view.from + (x - left) / perSecond,
  };
}

/** Keeps a view within bounds.
 * @param {View} view @param {View} bounds @returns {View} */
function within(view, bounds) {
  const length = Math.min(view.to - view.from, bounds.to - bounds.from);
  const from = Math.max(bounds.from, Math.min(view.from, bounds.to - length));
  return { from, to: from + length };
}

/** @param {View} view @param {number} seconds @param {View} bounds */
export function panned(view, seconds, bounds) {
  return within({ from: view.from + seconds, to: view.to + seconds }, bounds);
}

/** Shows `factor` times as much time; what is at `time` stays where it is.
 * @param {View} view @param {number} time @param {number} factor @param {View} bounds */
export function zoomed(view, time, factor, bounds) {
  const length = view.to - view.from;
  const kept = Math.max(factor, CLOSEST / length);
  const from = time - (time - view.from) * kept;
  return within({ from, to: from + length * kept }, bounds);
}

/** Brings a stretch of time into view, with as much around it as is wanted, if it is not there.
 * @param {View} view @param {number} start @param {number} end @param {View} bounds */
export function showing(view, start, end, bounds) {
  if (start >= view.from && end <= view.to) return view;
  const length = Math.max(view.to - view.from, (end - start) * 1.5);
  const from = (start + end - length) / 2;
  return within({ from, to: from + length }, bounds);
}

/** Times of a ruler's marks: 1, 2 or 5 times a power of ten apart.
 * @param {View} view @param {number} most @returns {{times: number[], step: number}} */
export function marks(view, most) {
  const least = (view.to - view.from) / most;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * ([1, 2, 5].find((times) => times * power >= least) ?? 10);
  const times = [];
  for (let at = Math.ceil(view.from / step); at * step <= view.to; at++) times.push(at * step);
  return { times, step };
}
