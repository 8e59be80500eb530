// Who waits and runs at each station of a run, and its KV blocks, as curves over time.

import { lowerBound } from "columns";
import { interruptions } from "served";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("columns").Numbers} Numbers */
/** Counts of a replica, or of all together, from times on; `most` are their largest, `blocksThere`
 * the KV blocks that there are, 0 where nobody knows.
 * @typedef {{label: string, time: number[], counts: Record<string, number[]>,
 *   most: Record<string, number>, blocksThere: number, preempted: number[]}} Station */

export const COUNTS = ["waiting", "running", "blocks"];
/** Replicas that have a strip each; of more, one has all of them together. */
const APART = 6;
/** What works for all replicas, by the number that it has among them. */
const SHARED = { "-1": "prefill", "-2": "draft pool" };

/** @type {WeakMap<Run, Station[]>} */
const known = new WeakMap();

/** The stations of a run; none where nobody noted them.
 * @param {Run} run @returns {Station[]} */
export function stationsOf(run) {
  let found = known.get(run);
  if (!found) known.set(run, found = run.state?.rows ? stations(run) : []);
  return found;
}

/** @param {Run} run @returns {Station[]} */
function stations(run) {
  const preempted = preemptions(run), all = run.replicas;
  const own = all > APART
    ? [station(`${all} replicas`, together(run), all, run, preempted.flat())]
    : Array.from({ length: all }, (_, at) =>
      station(all > 1 ? `replica ${at}` : "requests", alone(run, at), 1, run, preempted[at]));
  return [...own, ...shared(run)];
}

/** The stations that work for all replicas. @param {Run} run @returns {Station[]} */
function shared(run) {
  const there = new Set(run.state?.columns.replica);
  return Object.entries(SHARED).filter(([number]) => there.has(Number(number)))
    .map(([number, label]) => station(label, alone(run, Number(number)), 0, run, []));
}

/** @typedef {{time: number[], counts: Record<string, number[]>}} Curves */

/** @param {string} label @param {Curves} curves @param {number} replicas @param {Run} run
 * @param {number[]} preempted @returns {Station} */
function station(label, { time, counts }, replicas, run, preempted) {
  const most = Object.fromEntries(COUNTS.map((name) => [name, counts[name].reduce((a, b) => Math.max(a, b), 0)]));
  return { label, time, counts, most, blocksThere: replicas * (run.kv_blocks ?? 0),
    preempted: preempted.sort((a, b) => a - b) };
}

/** @returns {Curves} */
function empty() {
  return { time: [0], counts: Object.fromEntries(COUNTS.map((name) => [name, [0]])) };
}

/** @param {Run} run @param {number} replica */
function alone(run, replica) {
  const { columns, rows } = /** @type {import("columns").Table} */ (run.state), found = empty();
  for (let row = 0; row < rows; row++) {
    if (columns.replica[row] !== replica) continue;
    found.time.push(columns.time[row]);
    for (const name of COUNTS) found.counts[name].push(columns[name][row]);
  }
  return found;
}

/** The counts of all replicas together.
 * @param {Run} run */
function together(run) {
  const { columns, rows } = /** @type {import("columns").Table} */ (run.state), found = empty();
  const now = COUNTS.map(() => new Array(run.replicas).fill(0)), sums = COUNTS.map(() => 0);
  for (let row = 0; row < rows; row++) {
    const of = columns.replica[row];
    if (of < 0) continue;
    found.time.push(columns.time[row]);
    COUNTS.forEach((name, at) => {
      sums[at] += columns[name][row] - now[at][of];
      now[at][of] = columns[name][row];
      found.counts[name].push(sums[at]);
    });
  }
  return found;
}

/** When each replica preempted somebody. @param {Run} run @returns {number[][]} */
function preemptions(run) {
  const found = Array.from({ length: run.replicas }, () => /** @type {number[]} */ ([]));
  for (let at = 0; at < (run.requests?.rows ?? 0); at++) {
    const of = run.requests?.columns.replica?.[at] ?? 0;
    for (const time of interruptions(run, at).preempted) found[of]?.push(time);
  }
  return found;
}

/** What a station has at a time, in words.
 * @param {Station} station @param {number} time */
export function stationSentence(station, time) {
  const at = Math.max(0, lowerBound(station.time, time + 1e-12) - 1);
  const { running, waiting, blocks } = station.counts;
  const there = station.blocksThere ? ` of ${station.blocksThere.toLocaleString("en")}` : "";
  const held = station.most.blocks ? `, ${blocks[at].toLocaleString("en")}${there} KV blocks held` : "";
  return `${station.label}: ${running[at]} running, ${waiting[at]} waiting${held}.`;
}
