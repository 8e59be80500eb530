// The speedup surface: tokens/s over lookaheads and fan-outs, or budgets, as a table with shades.

import { lacking, make } from "dom";
import { figure, percent } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */
/** @typedef {{name: string, values: number[]}} Axis */
/** @typedef {{x: Axis, y: Axis, unit: string, values: (number|null)[][], ci: (number|null)[][]|null,
 *   how: string, chosen: [number, number]|null, source: string}} Surface */
/** @typedef {{row: number, column: number, value: number}} Cell */

const UNKNOWN = 0.01;
const NAMES = /** @type {Record<string, string>} */ ({ lookahead: "K, tokens drafted a round",
  "policy.fanout": "F, fan-out at every place", "policy.budget": "outcomes prepared for a row" });

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  const grid = make("div", { class: "wide" }), said = make("p", { role: "status" });
  const over = make("input", { type: "checkbox", input: draw });
  const choice = make("label", { class: "inline" }, over, " as × best SD");
  element.append(said, choice, grid, make("p", { class: "hint" },
    "Arrows go from cell to cell; in the explorer, Enter or a click chooses one."));
  grid.addEventListener("keydown", (event) => walk(grid, event));
  grid.addEventListener("click", (event) => choose(store, event.target));
  /** @type {string} */
  let drawn = "";
  function draw() {
    const surface = /** @type {Surface|null} */ (store.get().surface);
    const sd = speedOfSd(store), error = errorOf(store), without = store.get().live?.without;
    const unit = over.checked && sd ? sd : 1;
    const shown = JSON.stringify([surface, unit, error, sd > 0, without]);
    if (shown === drawn) return;
    drawn = shown;
    choice.hidden = !sd || !surface;
    said.hidden = !surface;
    if (!surface) return grid.replaceChildren(lacking(without ? `No surface: ${without}.` : MISSING));
    const best = bestOf(surface), near = closeOf(surface, best, error);
    said.textContent = sentence(surface, best, near, unit === 1 ? surface.unit : "× best SD", unit);
    const at = focused(grid);
    grid.replaceChildren(table(surface, { best, near, unit }));
    if (at) grid.querySelector(at)?.focus();
  }
  return { draw };
}

const MISSING = "No surface here: it is there for methods that prepare outcomes (ssd) with policies and "
  + "acceptance sources that the exact expectation covers; python -m ssdsim.explore makes one live.";

/** Tokens/s of SD at its best lookahead on the same machine; 0 where it is not known.
 * @param {Store} store */
function speedOfSd(store) {
  const { runs } = store.get();
  return runs[runs.length - 1]?.baselines?.sd?.tokens_per_s ?? 0;
}

/** By how much, relatively, a run like this may be off: its own ±.
 * @param {Store} store */
function errorOf(store) {
  const { runs } = store.get(), metrics = runs[runs.length - 1]?.metrics;
  const half = metrics?.ci95?.tokens_per_s;
  return half && metrics.tokens_per_s ? half / metrics.tokens_per_s : UNKNOWN;
}

/** @param {Surface} surface @returns {Cell} */
function bestOf(surface) {
  let best = { row: 0, column: 0, value: -Infinity };
  surface.values.forEach((row, at) => row.forEach((value, column) => {
    if (value !== null && value > best.value) best = { row: at, column, value };
  }));
  return best;
}

/** Which cells nobody can tell from the best.
 * @param {Surface} surface @param {Cell} best @param {number} error */
function closeOf(surface, best, error) {
  const half = (/** @type {number} */ row, /** @type {number} */ column) =>
    surface.ci?.[row]?.[column] ?? error * (surface.values[row][column] ?? 0);
  const least = best.value - half(best.row, best.column);
  return surface.values.map((row, at) => row.map((value, column) =>
    value !== null && value + half(at, column) >= least && value !== best.value));
}

/** @param {Surface} surface @param {Cell} best @param {boolean[][]} near @param {string} unit
 * @param {number} size */
function sentence(surface, best, near, unit, size) {
  const { x, y, chosen, how, source } = surface;
  const where = `${x.name}=${x.values[best.column]} ${y.name}=${y.values[best.row]}`;
  const parts = [`Best: ${where}, ${figure(best.value / size)} ${unit}.`];
  const own = chosen && valueAt(surface, chosen);
  if (own) parts.push(`Chosen: ${x.name}=${chosen[0]} ${y.name}=${chosen[1]}, `
    + `${figure(own / size)} ${unit}, ${percent(1 - own / best.value)} less.`);
  const close = near.flat().filter(Boolean).length;
  parts.push(`${close} others are too close to call from a run of this length.`);
  return `${parts.join(" ")} By the ${how}; ${source}.`;
}

/** @param {Surface} surface @param {[number, number]} at */
function valueAt({ x, y, values }, at) {
  return values[y.values.indexOf(at[1])]?.[x.values.indexOf(at[0])] ?? null;
}

/** @typedef {{best: Cell, near: boolean[][], unit: number}} Marks */

/** @param {Surface} surface @param {Marks} marks */
function table(surface, marks) {
  const { x, y, values } = surface, flat = values.flat().filter((value) => value !== null);
  const least = Math.min(...flat), most = Math.max(...flat);
  const head = make("tr", {}, make("th", { scope: "col" }, `${y.name} \\ K`),
    ...x.values.map((value) => make("th", { scope: "col" }, `${value}`)));
  const rows = y.values.map((value, row) => make("tr", {},
    make("th", { scope: "row" }, `${value}`), ...x.values.map((_, column) =>
      make("td", {}, cell(surface, marks, { row, column, value: values[row][column] ?? NaN },
        most > least ? [least, most] : [least - 1, most])))));
  const caption = `${NAMES[x.name]} to the right, ${NAMES[y.name]} downwards`;
  return make("table", { class: "heat", "data-keys": true },
    make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...rows.reverse()));
}

/** @param {Surface} surface @param {Marks} marks @param {Cell} at @param {[number, number]} range */
function cell({ x, y, chosen }, { best, near, unit }, { row, column, value }, [least, most]) {
  const refused = Number.isNaN(value);
  const is = { best: best.row === row && best.column === column, near: near[row][column], refused,
    chosen: chosen?.[0] === x.values[column] && chosen?.[1] === y.values[row] };
  const marks = `${is.best ? "★ " : ""}${is.chosen ? "◉ " : ""}`;
  const text = refused ? "–" : figure(value / unit, 3);
  const made = make("button", { type: "button", "data-k": x.values[column], "data-value": y.values[row],
    "data-option": y.name, class: Object.entries(is).filter(([, on]) => on).map(([name]) => name).join(" "),
    tabindex: is.best ? 0 : -1, "aria-label": spoken(x, y, row, column, text, is) }, marks + text);
  made.style.setProperty("--heat", refused ? "0" : `${Math.round((100 * (value - least)) / (most - least))}%`);
  return made;
}

/** @param {Axis} x @param {Axis} y @param {number} row @param {number} column @param {string} text
 * @param {Record<string, boolean>} is */
function spoken(x, y, row, column, text, is) {
  const notes = [is.refused && "refused", is.best && "best", is.chosen && "chosen",
    is.near && "too close to call"].filter(Boolean);
  return [`K=${x.values[column]}`, `${y.name}=${y.values[row]}: ${text}`, ...notes].join(", ");
}

/** Goes from cell to cell by arrows.
 * @param {HTMLElement} grid @param {KeyboardEvent} event */
function walk(grid, event) {
  const steps = /** @type {Record<string, [number, number]>} */ ({
    ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] });
  const step = steps[event.key], at = event.target;
  if (!step || !(at instanceof HTMLElement)) return;
  const rows = [...grid.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("button")]);
  const row = rows.findIndex((cells) => cells.some((each) => each === at));
  const column = rows[row]?.findIndex((each) => each === at);
  const goal = rows[row + step[0]]?.[column + step[1]];
  event.preventDefault();
  event.stopPropagation();
  if (!goal) return;
  at.tabIndex = -1;
  goal.tabIndex = 0;
  goal.focus();
}

/** Takes a cell's values into the explorer's settings.
 * @param {Store} store @param {EventTarget|null} target */
function choose(store, target) {
  const { live, changes } = store.get();
  if (!live || !(target instanceof HTMLElement) || !target.dataset.option) return;
  const { k, value, option } = target.dataset;
  const chosen = { lookahead: Number(k), [option]: Number(value) };
  store.set({ changes: { ...changes, ...chosen } });
  document.dispatchEvent(new CustomEvent("changes"));
}

/** How to find the cell that has the focus, in the grid of now or a later one.
 * @param {HTMLElement} grid */
function focused(grid) {
  const { activeElement } = document;
  if (!(activeElement instanceof HTMLElement) || !grid.contains(activeElement)) return null;
  const { k, value } = activeElement.dataset;
  return /** @type {"button"} */ (`button[data-k="${k}"][data-value="${value}"]`);
}
