// The rows of a timeline: a sequence's rounds or a lane's work, as stretches of time.

import { requestOf } from "served";
import { outcomeOf } from "words";

/** @typedef {import("columns").Run} Run */
/** Stretches of time, none of which overlap; `items` are rows of the run's rounds or spans, `used`
 * is the share of each that was not in vain.
 * @typedef {{label: string, of: "rounds"|"spans", items: Int32Array, start: Float64Array,
 *   end: Float64Array, group: Uint8Array, used: Float64Array, colours: string[],
 *   sums: () => Float64Array[]}} Row */

export const DRAFTING = new Set(["speculate", "prespeculate"]);

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
  const { start } = run.rounds.columns, replicas = Math.max(1, run.replicas ?? 1);
  const listed = [...new Set(run.rounds.columns.seq)].map(run.roundsOf);
  const filled = Array.from({ length: replicas }, () => /** @type {Slot[]} */ ([]));
  for (const rows of listed.sort((a, b) => start[a[0]] - start[b[0]])) {
    fill(filled[replicaOf(run, run.rounds.columns.seq[rows[0]])], rows, run);
  }
  const labels = filled.flatMap((slots, replica) => slots.map((_, at) =>
    (replicas > 1 ? `${replica}: slot ${at}` : `slot ${at}`)));
  return filled.flat().map(({ items }, at) => stretches({
    label: labels.length > 1 ? labels[at] : "sequence", of: "rounds", items,
    columns: run.rounds.columns, groupOf: (row) => outcomeOf(run, row), usedOf: () => 1,
    colours: OUTCOME_COLOURS }));
}

/** @typedef {{until: number, items: number[]}} Slot */

/** Puts a sequence's rounds into the first slot that is free.
 * @param {Slot[]} slots @param {number[]} rows @param {Run} run */
function fill(slots, rows, run) {
  const { start, end } = run.rounds.columns;
  let slot = slots.find(({ until }) => until <= start[rows[0]]);
  if (!slot) slots.push(slot = { until: 0, items: [] });
  for (const row of rows) slot.items.push(row);
  slot.until = end[rows[rows.length - 1]];
}

/** @param {Run} run @param {number} seq */
function replicaOf(run, seq) {
  return run.requests?.columns.replica?.[requestOf(run, seq)] ?? 0;
}

/** @param {Run} run @returns {Row[]} */
function laneRows(run) {
  /** @type {number[][]} */
  const items = run.lanes.map(() => []);
  const { lane, kind, used, tokens } = run.spans.columns;
  for (let span = 0; span < run.spans.rows; span++) items[lane[span]].push(span);
  const drafting = run.kinds.map((name) => DRAFTING.has(name));
  return run.lanes.map((label, at) => {
    const kinds = [...new Set(items[at].map((span) => kind[span]))];
    return stretches({ label, of: "spans", items: items[at], columns: run.spans.columns,
      groupOf: (span) => kinds.indexOf(kind[span]), colours: kinds.map((each) => run.kinds[each]),
      usedOf: (span) => (drafting[kind[span]] ? used[span] / Math.max(tokens[span], 1) : 1) });
  });
}

/** @param {{label: string, of: "rounds"|"spans", items: number[], columns: Record<string, any>,
 *   groupOf: (item: number) => number, usedOf: (item: number) => number, colours: string[]}} told
 * @returns {Row} */
function stretches({ label, of, items, columns, groupOf, usedOf, colours }) {
  const start = Float64Array.from(items, (item) => columns.start[item]);
  const end = Float64Array.from(items, (item) => columns.end[item]);
  const group = Uint8Array.from(items, groupOf), used = Float64Array.from(items, usedOf);
  /** @type {Float64Array[]|undefined} */
  let sums;
  const row = { label, of, items: Int32Array.from(items), start, end, group, used, colours };
  return { ...row, sums: () => (sums ??= [...summed(row, () => 1), ...summed(row, (at) => used[at])]) };
}

/** For each group the seconds of all stretches before each, times a weight.
 * @param {Omit<Row, "sums">} row @param {(at: number) => number} weight */
function summed({ start, end, group, colours }, weight) {
  return colours.map((_, of) => {
    const sums = new Float64Array(start.length + 1);
    for (let at = 0; at < start.length; at++) {
      sums[at + 1] = sums[at] + (group[at] === of ? (end[at] - start[at]) * weight(at) : 0);
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
