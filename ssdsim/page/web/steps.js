// From round to round: the next one, the next hit or miss, or one after the other by itself.

import { lowerBound, neighbour } from "columns";
import { make } from "dom";
import { follow, followRequest } from "look";
import { requestOf, serves } from "served";
import { NOTHING, selected, selectRound } from "store";
import { outcomeOf } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */

const PACE = 700;
export const HIT = 0, MISS = 1;

/** Selects the next round, or the one before.
 * @param {Store} store @param {number} direction 1 or -1
 * @param {(run: Run, row: number) => boolean} [wanted] @returns {boolean} whether there is one */
export function step(store, direction, wanted = () => true) {
  const [run, row] = selected(store.get());
  if (!run) return false;
  const from = row < 0 ? beside(run, store.get().selection.seq, direction) : row;
  const found = neighbour(run, from, direction, (each) => wanted(run, each));
  if (found < 0) return false;
  selectRound(store, found);
  follow(store);
  return true;
}

/** The row from which the first step leads to a request's first round, or to the first of all.
 * @param {Run} run @param {number|null} seq @param {number} direction */
function beside(run, seq, direction) {
  const rounds = seq === null ? [] : run.roundsOf(seq);
  if (rounds.length) return direction > 0 ? rounds[0] - 1 : rounds[0];
  return direction > 0 ? -1 : run.rounds.rows;
}

/** Selects a request by its place among all.
 * @param {Store} store @param {number} at */
export function selectRequest(store, at) {
  const { runs, selection } = store.get(), { requests } = runs[selection.run];
  if (!requests || at < 0 || at >= requests.rows) return;
  store.set({ selection: { ...NOTHING, run: selection.run, seq: requests.columns.seq[at] } });
}

/** Selects the request that came next, or before.
 * @param {Store} store @param {number} direction 1 or -1 */
export function stepRequest(store, direction) {
  const { runs, selection } = store.get(), run = runs[selection.run];
  if (!serves(run)) return;
  const now = requestOf(run, selection.seq);
  selectRequest(store, now < 0 ? 0 : now + direction);
  followRequest(store);
}

/** Selects the next round with this outcome.
 * @param {Store} store @param {number} outcome @param {number} [direction] */
export function stepTo(store, outcome, direction = 1) {
  return step(store, direction, (run, row) => outcomeOf(run, row) === outcome);
}

/** Selects a span, and the round that goes on at a time of it.
 * @param {Store} store @param {number} span @param {number} [time] its middle */
export function selectSpan(store, span, time) {
  const { runs, selection } = store.get(), run = runs[selection.run];
  const { start, end } = run.rounds.columns, spans = run.spans.columns;
  const at = time ?? (spans.start[span] + spans.end[span]) / 2;
  const rows = run.roundsOf(run.seqsOf(span)[0]);
  const row = rows.find((each) => start[each] <= at && end[each] >= at) ?? -1;
  if (row >= 0) selectRound(store, row, { span });
  else store.set({ selection: { ...NOTHING, run: selection.run, span } });
}

/** Selects the next span in the order in which they begin, or the one before.
 * @param {Store} store @param {number} direction 1 or -1 */
export function stepSpan(store, direction) {
  const { runs, selection } = store.get(), run = runs[selection.run];
  const [, row] = selected(store.get());
  const first = run && row >= 0 ? lowerBound(run.spans.columns.start, run.rounds.columns.start[row]) : 0;
  const span = selection.span === null ? first : selection.span + direction;
  if (!run || span < 0 || span >= run.spans.rows) return;
  selectSpan(store, span);
  follow(store);
}

/** Buttons that go from round to round.
 * @param {Store} store */
export function transport(store) {
  let timer = 0;
  const play = make("button", { click: toggle, "aria-pressed": "false" }, "▶ play");
  function toggle() {
    if (timer) return stop();
    timer = window.setInterval(() => step(store, 1) || stop(), PACE);
    say("⏸ pause", "true");
  }
  function stop() {
    window.clearInterval(timer);
    timer = 0;
    say("▶ play", "false");
  }
  /** @param {string} text @param {string} pressed */
  function say(text, pressed) {
    play.textContent = text;
    play.setAttribute("aria-pressed", pressed);
  }
  return make("span", { class: "group" },
    make("button", { click: () => step(store, -1), "aria-label": "round before" }, "‹ round"),
    make("button", { click: () => step(store, 1), "aria-label": "next round" }, "round ›"),
    make("button", { click: () => stepSpan(store, -1), "aria-label": "pass before" }, "‹ pass"),
    make("button", { click: () => stepSpan(store, 1), "aria-label": "next pass" }, "pass ›"),
    make("button", { click: () => stepTo(store, MISS) }, "next ✗ miss"),
    make("button", { click: () => stepTo(store, HIT) }, "next ✓ hit"), play);
}
