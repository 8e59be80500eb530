// A run at a glance: its figures, the anatomy of its mean round, and a map of all rounds.

import { anatomyOf, stack } from "anatomy";
import { lacking, make, tableOf } from "dom";
import { follow } from "look";
import { OUTCOME_COLOURS } from "rows";
import { bySoonness } from "served";
import { selected, selectRound } from "store";
import { colours, onTheme } from "theme";
import { counted, figure, MARKS, OUTCOMES, outcomeOf, roundSentence } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */

const BASELINES = { ar: "AR", sd: "best SD", same_devices: "same devices" };
/** Colours of misses by their cause, see page.css; causes are those of `ssdsim/run/misses.py`. */
const CAUSES = /** @type {Record<string, string>} */ ({ "outside the candidates": "prespeculate",
  "k not covered": "transfer", "rank beyond F_k": "speculate", "rank left out": "search",
  "miss, not recorded": "miss" });
const LARGEST = 16, SMALLEST = 3, TALLEST = 340;

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  const figures = make("div", { class: "figures" }), mean = make("div", {});
  const canvas = make("canvas", { class: "map", role: "img", tabindex: 0 });
  const legend = make("ul", { class: "legend" });
  const tip = make("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  const map = make("section", {}, make("h3", {}, "All rounds, in the order in which they end"), legend,
    make("div", { class: "stage" }, canvas, tip),
    make("p", { class: "hint" }, "Click a round to see it in the timeline."));
  element.append(figures, make("div", {}, mean, map));
  /** @type {Run|null} */
  let shown = null;
  const draw = () => {
    const run = store.get().runs[store.get().selection.run];
    map.hidden = !run?.rounds.rows;
    if (!run) return figures.replaceChildren(lacking("There is no run yet."));
    if (run !== shown) tell({ figures, mean, legend }, shown = run);
    paintMap(canvas, store);
  };
  onTheme(draw);
  new ResizeObserver(draw).observe(canvas);
  point(canvas, tip, store);
  return { draw };
}

/** Tells a run.
 * @param {Record<"figures"|"mean"|"legend", HTMLElement>} places @param {Run} run */
function tell({ figures, mean, legend }, run) {
  const rows = [...run.rows, ...baselineRows(run)];
  const sooner = bySoonness(run) ? "; ×: how much sooner requests are done, mean time end to end" : "";
  const table = rows.length ? tableOf(`± 95 % confidence${sooner}`, ["", run.name], rows)
    : lacking("The run has no figures: no round came to its end.");
  const notes = run.complete ? run.left_out : ["This run was cut short: it did not come to its end.", ...run.left_out];
  figures.replaceChildren(...notes.map(lacking), make("p", { class: "headline" }, headline(run)),
    run.no_gain ? lacking(run.no_gain) : "", make("div", { class: "table" }, table), ...commandOf(run));
  mean.replaceChildren(run.rounds.rows ? stack("Mean round", anatomyOf(run, -1))
    : lacking("The run has no rounds: it was cut short before the first one ended."));
  const counts = countsOf(run), entry = (/** @type {string} */ colour, /** @type {string} */ text) =>
    make("li", {}, make("span", { class: `swatch ${colour}` }), text);
  legend.replaceChildren(
    ...OUTCOMES.map((name, at) => entry(OUTCOME_COLOURS[at], `${MARKS[at]} ${name}: ${counts[at]}`)),
    ...causesOf(run).map(([name, count]) => entry(`cause ${CAUSES[name]}`, `of the misses ${name.replace("miss, ", "")}: ${count}`)));
}

/** The run in a few words. @param {Run} run */
function headline(run) {
  const { tokens_per_s: speed, speedup_over_ar: overAr, speedup_over_sd: overSd } = run.metrics;
  const over = [overAr && `${figure(overAr, 3)} × AR`, overSd && `${figure(overSd, 3)} × best SD`];
  const told = over.filter(Boolean).join(", "), sooner = told && bySoonness(run) ? `requests done sooner by ${told}` : told;
  return [speed && `${figure(speed)} tokens/s`, sooner].filter(Boolean).join(", ");
}

/** The command that makes the same run, where it is known. @param {Run} run */
function commandOf({ command }) {
  return command ? [make("h3", {}, "The same run again"), make("p", { class: "command" }, command)] : [];
}

/** What AR and SD reach, where that is known.
 * @param {Run} run @returns {[string, string][]} */
function baselineRows(run) {
  const found = Object.entries(BASELINES).filter(([name]) => run.baselines[name]?.tokens_per_s);
  return found.flatMap(([name, text]) => {
    const { lookahead, tokens_per_s: speed, e2e_mean: seconds } = run.baselines[name];
    const named = `${text}${lookahead ? `, K=${lookahead}` : ""}`;
    const rows = /** @type {[string, string][]} */ ([[`${named}: tokens/s`, figure(speed)]]);
    return seconds == null ? rows : [...rows, [`${named}: end to end, ms`, figure(1000 * seconds)]];
  });
}

/** Rounds by outcome. @param {Run} run */
function countsOf(run) {
  const counts = [0, 0, 0];
  for (let row = 0; row < run.rounds.rows; row++) counts[outcomeOf(run, row)]++;
  return counts;
}

/** Misses by cause, where any was recorded. @param {Run} run @returns {[string, number][]} */
function causesOf(run) {
  const counts = Object.keys(CAUSES).map((name) => {
    const number = run.verdicts.indexOf(name);
    return /** @type {[string, number]} */ ([name,
      run.rounds.columns.verdict.filter((/** @type {number} */ each) => each === number).length]);
  });
  const there = counts.filter(([, count]) => count);
  return there.length > 1 || run.speculations ? there : [];
}

/** The name of a round's colour. @param {Run} run @param {number} row */
function colourOf(run, row) {
  return CAUSES[run.verdicts[run.rounds.columns.verdict[row]]] ?? OUTCOME_COLOURS[outcomeOf(run, row)];
}

/** The size of a cell, and how many lie in a row.
 * @param {number} rounds @param {number} width */
function grid(rounds, width) {
  let size = LARGEST;
  while (size > SMALLEST && Math.ceil(rounds / Math.floor(width / size)) * size > TALLEST) size--;
  return { size, across: Math.max(1, Math.floor(width / size)) };
}

/** @param {HTMLCanvasElement} canvas @param {Store} store */
function paintMap(canvas, store) {
  const [run, chosen] = selected(store.get()), width = canvas.clientWidth;
  if (!run || !width) return;
  const { size, across } = grid(run.rounds.rows, width), ratio = devicePixelRatio || 1;
  const height = Math.max(size, Math.ceil(run.rounds.rows / across) * size);
  canvas.style.height = `${height}px`;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(ratio, ratio);
  const inks = colours();
  for (let row = 0; row < run.rounds.rows; row++) {
    const x = (row % across) * size, y = Math.floor(row / across) * size;
    paintCell(context, inks[colourOf(run, row)], outcomeOf(run, row), x, y, size);
  }
  if (chosen >= 0) {
    context.strokeStyle = colours().ink;
    context.lineWidth = 2;
    context.strokeRect((chosen % across) * size, Math.floor(chosen / across) * size, size, size);
  }
  const counts = countsOf(run);
  canvas.setAttribute("aria-label", `${counted(run.rounds.rows, "round")}: `
    + OUTCOMES.map((name, at) => `${counts[at]} ${name}`).join(", "));
}

/** A hit fills its cell, a miss half of it, as in the timeline; colours say the same.
 * @param {CanvasRenderingContext2D} context @param {string} ink @param {number} outcome
 * @param {number} x @param {number} y @param {number} size */
function paintCell(context, ink, outcome, x, y, size) {
  const inside = size - 1, tall = Math.max(1, Math.round(inside * [1, 0.55, 0.25][outcome]));
  context.fillStyle = ink;
  context.fillRect(x, y + inside - tall, inside, tall);
}

/** @param {HTMLCanvasElement} canvas @param {HTMLElement} tip @param {Store} store */
function point(canvas, tip, store) {
  /** @param {MouseEvent} event */
  const under = (event) => {
    const run = store.get().runs[store.get().selection.run];
    if (!run) return -1;
    const { size, across } = grid(run.rounds.rows, canvas.clientWidth);
    const column = Math.floor(event.offsetX / size);
    const row = Math.floor(event.offsetY / size) * across + column;
    return column < across && row < run.rounds.rows ? row : -1;
  };
  canvas.addEventListener("click", (event) => {
    selectRound(store, under(event));
    follow(store);
    if (under(event) >= 0) store.set({ tab: "timeline" });
  });
  canvas.addEventListener("pointermove", (event) => {
    const row = under(event), run = store.get().runs[store.get().selection.run];
    tip.hidden = row < 0;
    if (row < 0) return;
    tip.textContent = roundSentence(run, row);
    tip.style.left = `${Math.max(0, Math.min(event.offsetX + 12, canvas.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${event.offsetY + 18}px`;
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
}
