// The requests that are seen, as a table: for who does not look at the canvas.

import { make, tableOf } from "dom";
import { viewOf } from "look";
import { latenciesOf, missedBy, requestsIn, serves } from "served";
import { selectRequest } from "steps";
import { counted, duration } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */

const MOST = 200;
const HEADINGS = ["request", "came", "waited", "first token after", "a token", "done after", "tokens", "preempted",
  "replica", "over the limit of"];

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  const inside = make("div", { class: "scrolled", tabindex: 0, role: "region", "aria-label": "requests that are seen" });
  const whole = make("details", { toggle: draw }, make("summary", {}, "The requests seen, as a table"), inside);
  element.append(whole);
  function draw() {
    const run = store.get().runs[store.get().selection.run];
    if (!whole.open || !serves(run)) return;
    const seen = requestsIn(run, viewOf(store)), shown = seen.slice(0, MOST);
    const note = seen.length > MOST ? `, of which the first ${MOST} are listed; zoom in for the others` : "";
    inside.replaceChildren(tableOf(`${counted(seen.length, "request")}${note}`, HEADINGS,
      shown.map((at) => cells(store, run, at))));
  }
  return { draw };
}

/** @param {Store} store @param {Run} run @param {number} at @returns {(string|Node)[]} */
function cells(store, run, at) {
  const { seq, arrival, admitted, tokens, preempted, replica } =
    /** @type {import("columns").Table} */ (run.requests).columns;
  const { ttft, tpot, e2e } = latenciesOf(run, at), lasts = (/** @type {number} */ seconds) =>
    (Number.isNaN(seconds) ? "–" : duration(seconds));
  return [make("button", { class: "link", click: () => selectRequest(store, at) }, `#${seq[at]}`), lasts(arrival[at]),
    lasts(admitted[at] - arrival[at]), lasts(ttft), lasts(tpot), lasts(e2e), `${tokens[at]}`,
    `${preempted?.[at] ?? 0}`, `${replica?.[at] ?? 0}`, missedBy(run, at).join(" ")];
}
