// Which stretch of time the timeline shows.

import { rowsOf } from "rows";
import { requestOf, serves } from "served";
import { selected } from "store";
import { panned, showing, whole, zoomed } from "view";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */
/** @typedef {import("store").View} View */

const FIRST = 10, FIRST_REQUESTS = 24;

/** What a run is first seen of: its first rounds.
 * @param {Run} run @returns {View} */
function firstView(run) {
  const { start, end } = run.rounds.columns;
  if (!run.rounds.rows) return whole([run]);
  const slots = Math.max(1, rowsOf(run).length - run.lanes.length);
  const last = end.subarray(0, Math.min(FIRST * slots, run.rounds.rows));
  return { from: start[0], to: Math.max(...last, start[0] + 1e-12) };
}

/** What requests are first seen of: the time until so many have come.
 * @param {Run} run @returns {View} */
function firstRequests(run) {
  const { rows, columns } = /** @type {import("columns").Table} */ (run.requests), all = whole([run]);
  return rows > FIRST_REQUESTS ? { from: 0, to: Math.min(all.to, columns.arrival[FIRST_REQUESTS] || all.to) } : all;
}

/** What is looked at; a run that nobody has looked at yet shows its first rounds, or requests.
 * @param {Store} store @returns {View} */
export function viewOf(store) {
  const { view, runs, selection, tab } = store.get();
  const run = runs[selection.run];
  if (view) return panned(view, 0, whole([run]));
  return tab === "requests" && serves(run) ? firstRequests(run) : firstView(run);
}

/** Rows of the spans that are seen.
 * @param {Run} run @param {View} view */
export function spansIn(run, view) {
  const { start, end } = run.spans.columns, found = [];
  for (let span = 0; span < run.spans.rows; span++) {
    if (start[span] < view.to && end[span] > view.from) found.push(span);
  }
  return found;
}

/** All of the run that is looked at.
 * @param {Store} store @returns {View} */
export function bounds(store) {
  const { runs, selection } = store.get();
  return whole([runs[selection.run]]);
}

/** Shows `factor` times as much time around the selected round, or the middle.
 * @param {Store} store @param {number} factor */
export function zoom(store, factor) {
  const view = viewOf(store), [run, row] = selected(store.get());
  const { start, end } = run?.rounds.columns ?? {};
  const middle = row >= 0 ? (start[row] + end[row]) / 2 : -1;
  const at = middle > view.from && middle < view.to ? middle : (view.from + view.to) / 2;
  store.set({ view: zoomed(view, at, factor, bounds(store)) });
}

/** @param {Store} store @param {number} share of the width */
export function pan(store, share) {
  const view = viewOf(store);
  store.set({ view: panned(view, share * (view.to - view.from), bounds(store)) });
}

/** Brings the selected round into view.
 * @param {Store} store */
export function follow(store) {
  const [run, row] = selected(store.get());
  if (!run || row < 0) return;
  const { start, end } = run.rounds.columns, seen = viewOf(store);
  const view = showing(seen, start[row], end[row], bounds(store));
  if (view !== seen) store.set({ view });
}

/** Brings the selected request into view.
 * @param {Store} store */
export function followRequest(store) {
  const { runs, selection } = store.get(), run = runs[selection.run], at = requestOf(run, selection.seq);
  if (at < 0) return;
  const { arrival, finish } = /** @type {import("columns").Table} */ (run.requests).columns, seen = viewOf(store);
  const there = finish[at] > seen.from && arrival[at] < seen.to;
  const until = Number.isNaN(finish[at]) ? arrival[at] : finish[at];
  if (!there) store.set({ view: showing(seen, arrival[at], until, bounds(store)) });
}
