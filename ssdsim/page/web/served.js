// What became of requests: when each waited, was read and decoded, and how long that was.

import { listAt, lowerBound } from "columns";
import { duration } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("columns").Table} Table */
/** @typedef {import("store").View} View */
/** @typedef {{phase: string, from: number, to: number}} Phase seconds */

export const PHASES = ["waiting", "reading", "decoding"];
/** Latencies of a request, by the names that metrics have for them. */
export const LATENCIES = /** @type {Record<string, string>} */ ({ ttft: "time to first token",
  tpot: "time per output token", itl: "inter-token latency", e2e: "end to end" });

/** Seconds within which two times are the same. */
const MOMENT = 1e-9;

/** @type {WeakMap<Run, Map<number, number>>} */
const places = new WeakMap();

/** Whether a run's requests are known one by one. @param {Run|null|undefined} run */
export function serves(run) {
  return !!run?.requests?.rows;
}

/** Whether a run and its baselines are compared by how soon requests are done, as the same ones came to all.
 * @param {Run} run */
export function bySoonness(run) {
  return Object.values(run.baselines).some(({ by }) => by === "e2e_mean");
}

/** The place of a request among all, in order of arrival; -1 if it is not there.
 * @param {Run} run @param {number|null} seq */
export function requestOf(run, seq) {
  if (!run.requests || seq === null) return -1;
  let known = places.get(run);
  if (!known) {
    known = new Map();
    for (let at = 0; at < run.requests.rows; at++) known.set(run.requests.columns.seq[at], at);
    places.set(run, known);
  }
  return known.get(seq) ?? -1;
}

/** Requests that are there at some time within a view, in order of arrival.
 * @param {Run} run @param {View} view @returns {number[]} */
export function requestsIn(run, { from, to }) {
  if (!run.requests) return [];
  const { arrival, finish } = run.requests.columns, found = [];
  const end = lowerBound(arrival, to);
  for (let at = 0; at < end; at++) if (!(finish[at] <= from)) found.push(at); // NaN: it never ended
  return found;
}

/** When a request was preempted, and when it was admitted again.
 * @param {Run} run @param {number} at @returns {{preempted: number[], resumed: number[]}} */
export function interruptions(run, at) {
  const { preempted_at: preempted, resumed_at: resumed } = run.requests?.columns ?? {};
  return preempted ? { preempted: [...listAt(preempted, at)], resumed: [...listAt(resumed, at)] }
    : { preempted: [], resumed: [] };
}

/** What a request goes through, one phase behind the other; a run that was cut short ends them.
 * @param {Run} run @param {number} at @param {number} end of the run @returns {Phase[]} */
export function phasesOf(run, at, end) {
  const { arrival, admitted, finish } = /** @type {Table} */ (run.requests).columns;
  const { preempted, resumed } = interruptions(run, at), phases = /** @type {Phase[]} */ ([]);
  const last = known(finish[at], end);
  let from = arrival[at];
  for (let part = 0; part <= preempted.length; part++) {
    const begun = known(part ? resumed[part - 1] : admitted[at], last);
    const over = known(preempted[part], last), decoding = decodingFrom(run, at, begun, over);
    phases.push({ phase: "waiting", from, to: begun }, { phase: "reading", from: begun, to: decoding },
      { phase: "decoding", from: decoding, to: over });
    from = over;
  }
  return phases.filter((phase) => phase.to > phase.from);
}

/** @param {number|undefined} time @param {number} otherwise */
function known(time, otherwise) {
  return time === undefined || Number.isNaN(time) ? otherwise : time;
}

/** When a request that was admitted at some time begins to be decoded.
 * @param {Run} run @param {number} at @param {number} admitted @param {number} over */
function decodingFrom(run, at, admitted, over) {
  const { seq, first_token: first } = /** @type {Table} */ (run.requests).columns;
  const { start } = run.rounds.columns, sampled = run.config["serving.prompt_samples"] === true;
  if (!(first[at] <= over)) return over;
  if (sampled && first[at] >= admitted) return first[at]; // the prompt's own pass delivers it
  const round = run.roundsOf(seq[at]).find((row) => start[row] >= admitted);
  if (round !== undefined) return Math.min(start[round], over);
  return run.rounds.rows < run.rounds.total ? Math.max(first[at], admitted) : over; // else there was none
}

/** Tokens that a verify delivered: of those that it computed and the output used, not the prompts'.
 * @param {Run} run @param {number} span */
export function deliveredBy(run, span) {
  if (!run.requests) return run.spans.columns.used[span];
  const { end, accepted } = run.rounds.columns, over = run.spans.columns.end[span];
  const delivered = run.seqsOf(span).map((seq) => {
    const ended = run.roundsOf(seq).find((row) => Math.abs(end[row] - over) < MOMENT);
    return ended === undefined ? 0 : accepted[ended] + 1;
  });
  return delivered.reduce((sum, tokens) => sum + tokens, 0);
}

/** Seconds of each latency of a request; NaN where there is none.
 * @param {Run} run @param {number} at @returns {Record<string, number>} */
export function latenciesOf(run, at) {
  const { arrival, first_token: first, finish, tokens } = /** @type {Table} */ (run.requests).columns;
  return { ttft: first[at] - arrival[at], tpot: tokens[at] > 1 ? (finish[at] - first[at]) / (tokens[at] - 1) : NaN,
    e2e: finish[at] - arrival[at] };
}

/** Limits that requests are to keep, seconds by latency.
 * @param {Run} run @returns {Record<string, number>} */
export function limitsOf(run) {
  const given = Object.keys(LATENCIES).map((name) => [name, run.config[`serving.${name}_limit`]]);
  return Object.fromEntries(given.filter(([, limit]) => typeof limit === "number"));
}

/** The limits that a request does not keep, by name.
 * @param {Run} run @param {number} at */
export function missedBy(run, at) {
  const own = latenciesOf(run, at);
  return Object.entries(limitsOf(run)).filter(([name, limit]) => own[name] > limit).map(([name]) => name);
}

/** A request, in a sentence.
 * @param {Run} run @param {number} at */
export function requestSentence(run, at) {
  const { seq, arrival, admitted, finish, prompt_tokens, tokens, preempted, replica } =
    /** @type {Table} */ (run.requests).columns;
  const { ttft, e2e } = latenciesOf(run, at), missed = missedBy(run, at);
  const parts = [`Request ${seq[at]}: came at ${duration(arrival[at])}, ${prompt_tokens[at]} tokens of prompt`];
  if (admitted[at] >= 0) parts.push(`waited ${duration(admitted[at] - arrival[at])}`);
  if (ttft >= 0) parts.push(`first token after ${duration(ttft)}`);
  parts.push(e2e >= 0 ? `${tokens[at]} tokens after ${duration(e2e)}` : `${tokens[at]} tokens, not finished`);
  if (preempted?.[at]) parts.push(`preempted ${preempted[at] > 1 ? `${preempted[at]} times` : "once"}`);
  if (run.replicas > 1) parts.push(`on replica ${replica[at]}`);
  const kept = Object.keys(limitsOf(run)).length && finish[at] >= 0;
  if (kept) parts.push(missed.length ? `over the limit of ${missed.join(" and ")}` : "within the limits");
  return `${parts.join("; ")}.`;
}
