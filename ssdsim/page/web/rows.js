// The rows of a timeline: a sequence's rounds or a lane's work, as stretches of time.

import { outcomeOf } from "words";

/** @typedef {import("columns").Run} Run */
/** Stretches of time, none of which overlap; `items` are rows of the run's rounds or spans.
 * @typedef {{label: string, of: "rounds"|"spans", items: Int32Array, start: Float64Array,
 *   end: Float64Array, group: Uint8Array, colours: string[], sums: () => Float64Array[]}} Row */

/** Names of colours, see page.css. */
export const OUTCOME_COLOURS = ["hit", "miss", "nothing"];

/** @type {WeakMap<Run, Row[]>} */
const known = new WeakMap();

/** The rows of a run: a row for each sequence that is decoded at a time, then the lanes.
 * @param {Run} run @returns {Row[]} */
export function rowsOf(run) {
  let rows = known.get(run);
  if (!rows) known.set(run, rows = [...sequenceRows(run), ...laneRows(run)]);
  return rows;
}

/** Rounds, each sequence in the first row that is free.
 * @param {Run} run @returns {Row[]} */
function sequenceRows(run) {
  /** @type {{until: number, items: number[]}[]} */
  const slots = [];
  const { start, end } = run.rounds.columns;
  const listed = [...new Set(run.rounds.columns.seq)].map(run.roundsOf);
  for (const rows of listed.sort((a, b) => start[a[0]] - start[b[0]])) {
    let slot = slots.find(({ until }) => until <= start[rows[0]]);
    if (!slot) slots.push(slot = { until: 0, items: [] });
    for (const row of rows) slot.items.push(row);
    slot.until = end[rows[rows.length - 1]];
  }
  const label = (/** @type {number} */ at) => (slots.length > 1 ? `sequence ${at + 1}` : "sequence");
  return slots.map(({ items }, at) =>
    stretches(label(at), "rounds", items, run.rounds.columns, (row) => outcomeOf(run, row),
      OUTCOME_COLOURS));
}

/** @param {Run} run @returns {Row[]} */
function laneRows(run) {
  /** @type {number[][]} */
  const items = run.lanes.map(() => []);
  const { lane, kind } = run.spans.columns;
  for (let span = 0; span < run.spans.rows; span++) items[lane[span]].push(span);
  return run.lanes.map((name, at) =>
    stretches(name, "spans", items[at], run.spans.columns, (span) => kind[span], run.kinds));
}

/** @param {string} label @param {"rounds"|"spans"} of @param {number[]} items
 * @param {Record<string, any>} columns @param {(item: number) => number} groupOf
 * @param {string[]} colours @returns {Row} */
function stretches(label, of, items, columns, groupOf, colours) {
  const start = Float64Array.from(items, (item) => columns.start[item]);
  const end = Float64Array.from(items, (item) => columns.end[item]);
  const group = Uint8Array.from(items, groupOf);
  /** @type {Float64Array[]|undefined} */
  let sums;
  return { label, of, items: Int32Array.from(items), start, end, group, colours,
    sums: () => (sums ??= summed(start, end, group, colours.length)) };
}

/** For each group the seconds of all stretches before each.
 * @param {Float64Array} start @param {Float64Array} end @param {Uint8Array} group
 * @param {number} groups */
function summed(start, end, group, groups) {
  return Array.from({ length: groups }, (_, of) => {
    const sums = new Float64Array(start.length + 1);
    for (let at = 0; at < start.length; at++) {
      sums[at + 1] = sums[at] + (group[at] === of ? end[at] - start[at] : 0);
    }
    return sums;
  });
}

/** First stretch that ends after a time.
 * @param {Row} row @param {number} time */
export function firstAfter(row, time) {
  let low = 0, high = row.end.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (row.end[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The stretch at a time, or -1.
 * @param {Row} row @param {number} time */
export function stretchAt(row, time) {
  const at = firstAfter(row, time);
  return at < row.start.length && row.start[at] <= time ? at : -1;
}
