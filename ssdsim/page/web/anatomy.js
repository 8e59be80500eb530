// Where the time of a round goes: a stack of its parts, and each in numbers.

import { make } from "dom";
import { requestOf, serves } from "served";
import { selectRequest } from "steps";
import { selected } from "store";
import { counted, duration, percent } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */

/** Requests that are named one by one. */
const NAMED = 40;

/** What goes on, in the words of `ssdsim/page/anatomy.py`. */
export const PARTS = /** @type {Record<string, string>} */ ({
  both: "target and draft work",
  verify: "the target alone works",
  tail: "the draft alone finishes branches",
  backup: "the backup drafts alone",
  mates: "the backup drafts alone, for a batch-mate",
  draft: "the draft alone drafts",
  link: "on the link",
  dispatch: "nobody works, a pass was asked for",
  nobody: "nobody works up to the round's end",
});

/** Seconds of each part of a round, or of the mean of all rounds.
 * @param {Run} run @param {number} row of its rounds; -1: the mean @returns {Record<string, number>} */
export function anatomyOf(run, row) {
  return Object.fromEntries(Object.entries(run.rounds.anatomy).map(([name, seconds]) =>
    [name, row < 0 ? mean(seconds) : seconds[row]]));
}

/** @param {Float64Array} values */
function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return values.length ? sum / values.length : 0;
}

/** A bar whose parts are as long as they last, and a list with their seconds.
 * @param {string} title @param {Record<string, number>} parts */
export function stack(title, parts) {
  const there = Object.entries(parts).filter(([, seconds]) => seconds > 0);
  const total = there.reduce((sum, [, seconds]) => sum + seconds, 0);
  const bar = make("div", { class: "stack", "aria-hidden": "true" });
  for (const [name, seconds] of there) {
    const part = make("span", { class: `part ${name}`, title: PARTS[name] });
    part.style.flexGrow = `${seconds / total}`;
    bar.append(part);
  }
  const list = make("ul", { class: "parts" }, ...there.map(([name, seconds]) => make("li", {},
    make("span", { class: `swatch part ${name}` }), make("span", {}, PARTS[name]),
    make("b", {}, duration(seconds)), make("span", { class: "soft" }, percent(seconds / total)))));
  return make("section", { class: "anatomy" }, make("h3", {}, `${title}: ${duration(total)}`), bar, list);
}

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  return {
    draw() {
      const [run, row] = selected(store.get());
      if (!run?.rounds.rows) return element.replaceChildren();
      const { seq, round } = run.rounds.columns;
      const title = row < 0 ? "Mean round" : `Round ${round[row]} of sequence ${seq[row]}`;
      element.replaceChildren(stack(title, anatomyOf(run, row)), ...(row < 0 ? [] : beside(run, row, store)));
    },
  };
}

/** Names the requests that a round's verify decoded together, each to be selected.
 * @param {Run} run @param {number} row of its rounds @param {Store} store */
function beside(run, row, store) {
  if (!serves(run)) return [];
  const { kind } = run.spans.columns;
  const verifies = run.spansOf(row).filter((span) => run.kinds[kind[span]] === "verify");
  const mates = [...new Set(verifies.flatMap((span) => run.seqsOf(span)))];
  if (!mates.length) return [];
  const named = mates.slice(0, NAMED).map((seq) => make("button",
    { class: "link", click: () => selectRequest(store, requestOf(run, seq)) }, `#${seq}`));
  const more = mates.length > NAMED ? ` and ${counted(mates.length - NAMED, "other")}` : "";
  return [make("p", { class: "with-requests" }, `Its verify decoded ${counted(mates.length, "request")}: `, ...named, more)];
}
