// The passes that are seen, as a table: for who does not look at the canvas.

import { lacking, make, tableOf } from "dom";
import { spansIn, viewOf } from "look";
import { counted, duration } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */

const MOST = 200;
const HEADINGS = ["lane", "kind", "sequences", "round", "from", "lasts", "batch", "branches",
  "tokens", "used"];

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  const inside = make("div", { class: "scrolled", tabindex: 0, role: "region",
    "aria-label": "passes that are seen" });
  const whole = make("details", { toggle: draw }, make("summary", {}, "The passes seen, as a table"),
    inside);
  element.append(whole);
  function draw() {
    const run = store.get().runs[store.get().selection.run];
    if (!whole.open || !run) return;
    const spans = spansIn(run, viewOf(store));
    const shown = spans.slice(0, MOST);
    const more = spans.length - shown.length;
    const note = more ? `, of which the first ${MOST} are listed; zoom in for the others` : "";
    const caption = `${counted(spans.length, "pass", "passes")}${note}`;
    inside.replaceChildren(spans.length ? tableOf(caption, HEADINGS, shown.map((span) => cells(run, span)))
      : lacking("No pass in this stretch of time."));
  }
  return { draw };
}

/** @param {Run} run @param {number} span @returns {string[]} */
function cells(run, span) {
  const { lane, kind, round, start, end, batch, branches, tokens, used } = run.spans.columns;
  return [run.lanes[lane[span]], run.kinds[kind[span]], run.seqsOf(span).join(" "), `${round[span]}`,
    duration(start[span]), duration(end[span] - start[span]), `${batch[span]}`, `${branches[span]}`,
    `${tokens[span]}`, `${used[span]}`];
}
