// What each guess adds to a prediction's error: from what was measured to what was predicted.

import { make, svg, tableOf } from "dom";
import { figure } from "words";

const CAUSES = /** @type {[string, string][]} */ ([
  ["scheduling", "how pieces are put together"], ["durations", "durations as in the profile"],
  ["contention", "how both models slow each other"], ["drift", "the machine's state before"],
  ["acceptance", "other texts"]]);
const WIDTH = 640, HEIGHT = 220, LEFT = 8, BOTTOM = 40, TOP = 16;

/** A picture and a table of tokens/s with one guess after the other.
 * @param {Record<string, number>} causes @returns {HTMLElement} */
export function waterfall(causes) {
  const values = [causes.measured, ...CAUSES.map(([name]) => causes[name])];
  const rows = CAUSES.map(([name, meaning], at) => [`${name}: ${meaning}`,
    figure(values[at + 1]), signed((values[at + 1] - values[at]) / values[0])]);
  const total = ["all of them", figure(values[values.length - 1]),
    signed((values[values.length - 1] - values[0]) / values[0])];
  return make("section", { class: "waterfall" },
    make("h3", {}, "Why the prediction is off"), picture(values),
    tableOf(`measured: ${figure(values[0])} tokens/s`, ["with one guess more", "tokens/s", "adds"],
      [...rows, total]));
}

/** @param {number} share */
function signed(share) {
  return `${share < 0 ? "−" : "+"}${(100 * Math.abs(share)).toFixed(1)} %`;
}

/** @param {number[]} values */
function picture(values) {
  const least = Math.min(...values), most = Math.max(...values), room = (most - least) * 0.15 || 1;
  const y = (/** @type {number} */ value) =>
    TOP + (HEIGHT - BOTTOM - TOP) * (1 - (value - least + room) / (most - least + 2 * room));
  const step = (WIDTH - LEFT) / (values.length + 1), bar = step * 0.7;
  const x = (/** @type {number} */ at) => LEFT + at * step;
  const names = ["measured", ...CAUSES.map(([name]) => name), "predicted"];
  const bars = names.map((name, at) => {
    const whole = at === 0 || at === values.length;
    const [from, to] = whole ? [y(least - room), y(values[Math.min(at, values.length - 1)])]
      : [y(values[at - 1]), y(values[at])];
    const kind = whole ? "whole" : to < from ? "more" : "less";
    return svg("g", { class: kind },
      svg("rect", { x: x(at), y: Math.min(from, to), width: bar, height: Math.max(1.5, Math.abs(to - from)) }),
      svg("text", { x: x(at) + bar / 2, y: Math.min(from, to) - 4, "text-anchor": "middle" },
        whole ? figure(values[Math.min(at, values.length - 1)]) : signed((values[at] - values[at - 1]) / values[0])),
      svg("text", { x: x(at) + bar / 2, y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, name));
  });
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "causes",
    "aria-label": "What each guess adds to the error; the table below has the numbers." }, ...bars);
}
