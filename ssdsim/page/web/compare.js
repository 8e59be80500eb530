// Two runs above each other, aligned by time, round or token; where they part, and why.

import { align, saidAt } from "aligned";
import { onceAFrame } from "axis";
import { lacking, make, tableOf } from "dom";
import { bounds, viewOf } from "look";
import { GUTTER, layout, paintTimeline } from "paint";
import { canvasPen, sized } from "pen";
import { charts } from "latencies";
import { stretchAt } from "rows";
import { serves } from "served";
import { selectRound } from "store";
import { colours, onTheme } from "theme";
import { scale, showing } from "view";
import { waterfall } from "waterfall";
import { counted, duration, figure, percent } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */
/** @typedef {import("aligned").Alignment} Alignment */
/** @typedef {import("aligned").Pair} Pair */
/** @typedef {"time"|"round"|"token"} By */

const TITLE = 20;
const MISSING = "A second run is needed: python -m ssdsim.page RUN RUN2 puts both into one page; "
  + "in the explorer, \u201ckeep this run above\u201d leaves one there, or it begins with a measured one.";
const SHOWN = ["hit", "speculator", "drafted", "accepted", "token", "rank", "predicted"];

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  const canvas = make("canvas", { class: "timeline", role: "img" });
  const said = make("p", { role: "status" }), goes = make("button", { type: "button" }, "go there");
  const by = choice(() => soon()), below = make("div", { class: "wide" });
  const inside = make("div", {}, by.element, said, goes, canvas, below), none = lacking(MISSING);
  element.append(none, inside);
  goes.addEventListener("click", () => go(store));
  const soon = onceAFrame(() => {
    const [one, other] = store.get().runs;
    none.hidden = !!other;
    inside.hidden = !other;
    if (other) show(store, [one, other], { canvas, said, goes, below }, by.value());
  });
  onTheme(soon);
  new ResizeObserver(soon).observe(canvas);
  canvas.addEventListener("click", (event) => pick(canvas, store, event));
  return { draw: soon };
}

/** Which rounds stand above each other.
 * @param {() => void} changed */
function choice(changed) {
  /** @type {By} */
  let now = "time";
  const kinds = /** @type {[By, string][]} */ ([["time", "from the start"],
    ["round", "at the selected round"], ["token", "at the same token"]]);
  const inputs = kinds.map(([name, text]) => make("label", { class: "inline" },
    make("input", { type: "radio", name: "aligned", value: name, checked: name === now,
      input: () => { now = name; changed(); } }), ` ${text}`));
  const element = make("fieldset", { class: "toolbar" }, make("legend", {}, "aligned"), ...inputs);
  return { element, value: () => now };
}

/** @typedef {{canvas: HTMLCanvasElement, said: HTMLElement, goes: HTMLElement, below: HTMLElement}} Parts */

/** @param {Store} store @param {[Run, Run]} runs @param {Parts} parts @param {By} by */
function show(store, runs, { canvas, said, goes, below }, by) {
  const found = align(...runs), chosen = pairOf(store, runs, found, by);
  said.textContent = sentence(runs, found);
  goes.hidden = !found.first;
  paint(canvas, store, runs, { found, chosen, by });
  const { causes } = store.get();
  const selected = store.get().selection.round !== null;
  const caption = selected ? "The selected round, in both" : "The first round that differs, in both";
  below.replaceChildren(...[chosen && roundTable(caption, runs, chosen), metricTable(runs),
    causes && waterfall(causes), distributions(runs)].filter((part) => part instanceof Node));
}

/** Where two runs part, and how far they agree.
 * @param {[Run, Run]} runs @param {Alignment} found */
function sentence([one, other], { pairs, agreeing, first }) {
  if (!pairs.length) return "No round begins at the same token of the same prompt in both runs.";
  const met = `${counted(pairs.length, "round")} begin at the same token, ${percent(agreeing / pairs.length)} `
    + "of them are the same in both.";
  if (!first) return met;
  const { round, seq } = one.rounds.columns, field = first.field ?? "";
  const values = `${saidAt(one, field, first.one)} above, ${saidAt(other, field, first.other)} below`;
  return `${met} First that differs: sequence ${seq[first.one]}, round ${round[first.one]}, `
    + `after ${counted(first.place, "token")}: ${field} is ${values}.`;
}

/** The selected round and the one that stands for it in the other run; at first, the first that differs.
 * @param {Store} store @param {[Run, Run]} runs @param {Alignment} found @param {By} by
 * @returns {Pair|null} */
function pairOf(store, runs, found, by) {
  const { run, seq, round } = store.get().selection;
  const row = seq === null || round === null ? -1 : runs[run]?.find(seq, round) ?? -1;
  if (row < 0) return found.first;
  const side = run === 0 ? "one" : "other";
  const pair = found.pairs.find((each) => each[side] === row) ?? null;
  if (by !== "round") return pair;
  const same = runs[1 - run].find(/** @type {number} */ (seq), /** @type {number} */ (round));
  const [one, other] = run === 0 ? [row, same] : [same, row];
  return same < 0 ? null : { one, other, place: pair?.place ?? -1, field: null };
}

/** @typedef {{found: Alignment, chosen: Pair|null, by: By}} Shown */

/** Paints both runs, the lower one shifted so that what is aligned begins together.
 * @param {HTMLCanvasElement} canvas @param {Store} store @param {[Run, Run]} runs @param {Shown} shown */
function paint(canvas, store, runs, { found, chosen, by }) {
  const width = canvas.clientWidth, heights = runs.map((run) => layout(run).bottom);
  if (!width) return;
  const context = sized(canvas, width, heights[0] + heights[1] + 2 * TITLE + 8);
  const shift = by === "time" || !chosen ? 0
    : runs[1].rounds.columns.start[chosen.other] - runs[0].rounds.columns.start[chosen.one];
  const view = upper(store, runs), pen = canvasPen(context);
  runs.forEach((run, at) => {
    const rows = chosen ? [chosen.one, chosen.other] : [-1, -1], own = at ? shift : 0;
    const seen = { from: view.from + own, to: view.to + own };
    pen.text(4, TITLE / 2, title(run, at), { fill: colours().ink, weight: "bold", size: 12 });
    context.translate(0, TITLE);
    paintTimeline(pen, run, seen, width, { round: rows[at], span: null });
    flag(pen, run, seen, width, at, { found, bottom: heights[at] });
    context.translate(0, heights[at] + 4);
  });
  canvas.setAttribute("aria-label", `${title(runs[0], 0)}; ${title(runs[1], 1)}. ${sentence(runs, found)}`);
}

/** The stretch of time that is seen of the upper run; of the lower one, where that is selected.
 * @param {Store} store @param {[Run, Run]} runs */
function upper(store, runs) {
  const view = viewOf(store), last = Math.max(...runs.map((run) => run.rounds.columns.end.at(-1) ?? 0));
  return view.from > last ? bounds(store) : view;
}

/** @param {Run} run @param {number} at */
function title(run, at) {
  const source = { sim: "simulated", real: "measured" }[run.source] ?? run.source;
  return `${at ? "below" : "above"}: ${source}, ${run.name}`;
}

/** Marks the first round that differs by a flag.
 * @param {import("pen").Pen} pen @param {Run} run @param {{from: number, to: number}} view
 * @param {number} width @param {number} at @param {{found: Alignment, bottom: number}} where */
function flag(pen, run, view, width, at, { found, bottom }) {
  if (!found.first) return;
  const row = at ? found.first.other : found.first.one;
  const { x } = scale(view, GUTTER, width - GUTTER - 8), left = x(run.rounds.columns.start[row]);
  if (left < GUTTER || left > width) return;
  const stroke = colours().miss;
  pen.line([[left, 2], [left, bottom]], { stroke, width: 2, dash: "5 3" });
  pen.text(left + 4, 8, "⚑ differs", { fill: stroke, weight: "bold" });
}

/** Selects the first round that differs, and brings it into view.
 * @param {Store} store */
function go(store) {
  const [one, other] = store.get().runs, { first } = align(one, other);
  if (!first) return;
  const { start, end } = one.rounds.columns;
  selectRound(store, first.one, { run: 0 });
  store.set({ view: showing(viewOf(store), start[first.one], end[first.one], bounds(store)) });
}

/** Selects the round of the upper run that is under the pointer.
 * @param {HTMLCanvasElement} canvas @param {Store} store @param {MouseEvent} event */
function pick(canvas, store, event) {
  const [run] = store.get().runs, y = event.offsetY - TITLE;
  const place = layout(run).placed.find((each) => y >= each.y && y <= each.y + each.height);
  if (place?.row.of !== "rounds") return;
  const { time } = scale(viewOf(store), GUTTER, canvas.clientWidth - GUTTER - 8);
  const at = stretchAt(place.row, time(event.offsetX));
  if (at >= 0) selectRound(store, place.row.items[at], { run: 0 });
}

/** A round in both runs, field by field.
 * @param {string} caption @param {[Run, Run]} runs @param {Pair} pair */
function roundTable(caption, runs, pair) {
  const rows = runs.map((_, at) => (at ? pair.other : pair.one));
  const cells = SHOWN.map((name) => {
    const [mine, theirs] = runs.map((run, at) => saidAt(run, name, rows[at]));
    return [name, mine, theirs, mine === theirs ? "" : "≠"];
  });
  const lasts = runs.map((run, at) =>
    run.rounds.columns.end[rows[at]] - run.rounds.columns.start[rows[at]]);
  const seconds = ["lasts", ...lasts.map(duration), `${figure(lasts[1] / lasts[0], 3)} ×`];
  return tableOf(caption, ["", "above", "below", ""], [...cells, seconds]);
}

/** How long the requests of both took, where both have any.
 * @param {[Run, Run]} runs */
function distributions(runs) {
  if (!runs.every(serves)) return null;
  return make("section", {}, make("h3", {}, "How long requests took: above a line, below dashes"),
    make("div", { class: "distributions" }, ...charts(runs)));
}

/** Rows by their label; one that is set in belongs to the row over it.
 * @param {[string, string][]} rows @returns {[string, [string, string]][]} */
function named(rows) {
  let over = "";
  return rows.map((row) => {
    if (!row[0].startsWith(" ")) over = row[0];
    return [row[0] === over ? over : `${over} ${row[0]}`, row];
  });
}

/** @param {[Run, Run]} runs */
function metricTable([one, other]) {
  const theirs = new Map(named(other.rows).map(([name, [, text]]) => [name, text]));
  const rows = named(one.rows).map(([name, [label, text]]) => [label, text, theirs.get(name) ?? "–"]);
  const ratio = other.metrics.tokens_per_s / one.metrics.tokens_per_s;
  const caption = `All of both; tokens/s below are ${figure(ratio, 3)} × those above`;
  return tableOf(caption, ["", "above", "below"], rows);
}
