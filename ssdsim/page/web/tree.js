// The speculation cache of the selected round as a tree, and as a table.

import { cacheOf, isEnd, isMissed, phrase, spelled, tokenOf } from "cache";
import { lacking, make, svg, tableOf } from "dom";
import { selected } from "store";
import { chancesOf, placed } from "treelayout";
import { counted, percent } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */
/** @typedef {import("cache").Cache} Cache */
/** @typedef {import("cache").Prepared} Prepared */
/** @typedef {import("treelayout").Place} Place */

const COLUMN = 142, ROW = 28, WIDTH = 114, HEIGHT = 22, TOP = 26, MARGIN = 6;
const LETTERS = { beside: 8, alone: 14 };
const MOST_ROWS = 1000;

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  let shown = "";
  return {
    draw() {
      const [run, row] = selected(store.get());
      const cache = run && row >= 0 && run.speculations ? cacheOf(run, row) : null;
      if (!run || !cache) {
        shown = "";
        return element.replaceChildren(lacking(why(run, row)));
      }
      const key = `${store.get().selection.run} ${row}`;
      if (key !== shown) {
        element.replaceChildren(...panel(run, cache, store));
        showEnd(element);
      }
      shown = key;
      mark(element, run, cache, store.get().selection.outcome);
    },
  };
}

/** Says what is missing.
 * @param {Run|null} run @param {number} row */
function why(run, row) {
  if (!run || row < 0) return "Choose a round: in the timeline, or with [ and ].";
  if (!run.speculations) {
    return "This run does not say what its rounds verified and prepared. A run by itself (no sweep) "
      + "of python -m ssdsim or python -m ssdreal does, and simulate(setup, detailed=True).";
  }
  return `Only the first ${counted(run.speculations.total, "round")} of a run are recorded in detail; `
    + "this is a later one.";
}

/** @param {Run} run @param {Cache} cache @param {Store} store @returns {Node[]} */
function panel(run, cache, store) {
  const { seq, round } = run.rounds.columns;
  const head = `Sequence ${seq[cache.row]}, round ${round[cache.row]}: what was drafted, and what was `
    + "prepared while it was verified";
  return [
    make("h2", {}, head),
    make("div", { class: "tree-scroll", tabindex: 0, role: "group", "aria-label": head },
      picture(run, cache, store)),
    make("p", { class: "tree-detail", "aria-live": "polite" }),
    legend(cache),
    make("details", { class: "tree-table" }, make("summary", {}, "As a table"), table(run, cache)),
  ];
}

/** @param {Run} run @param {Cache} cache @param {Store} store */
function picture(run, cache, store) {
  const { places, columns, rows } = placed(cache), chances = chancesOf(cache);
  const width = columns * COLUMN + MARGIN, height = TOP + rows * ROW + MARGIN;
  return svg("svg", { class: "tree-picture", width, height, viewBox: `0 0 ${width} ${height}` },
    hatching(),
    ...Array.from({ length: columns }, (_, column) =>
      svg("text", { class: "tree-head", x: MARGIN + column * COLUMN, y: 14 }, heading(column))),
    ...places.filter(({ from }) => from).map((place) => line(cache, place, chances)),
    ...places.map((place) => box(run, cache, place, store)));
}

/** @param {number} column */
function heading(column) {
  return column ? `token ${column}` : "";
}

/** Diagonal lines over what was not drafted to its end. */
function hatching() {
  const stripes = svg("path", { class: "tree-stripes", d: "M-1 7 L7 -1 M3 11 L11 3" });
  return svg("defs", {}, svg("pattern",
    { id: "unfinished", width: 8, height: 8, patternUnits: "userSpaceOnUse" }, stripes));
}

/** The line to a place, as thick as the draft finds it likely.
 * @param {Cache} cache @param {Place} place @param {number[]} chances */
function line(cache, place, chances) {
  const from = /** @type {Place} */ (place.from);
  const chance = place.outcome ? place.outcome.chance : chances[place.node];
  const x = left(from) + WIDTH, y = middle(from), end = left(place), to = middle(place);
  const bend = (x + end) / 2;
  return svg("path", {
    class: `tree-line ${kindOf(cache, place)}`,
    d: `M${x} ${y} C${bend} ${y} ${bend} ${to} ${end} ${to}`,
    "stroke-width": Number.isNaN(chance) || chance === undefined ? 1.5 : 1 + 9 * chance,
  });
}

/** @param {Place} place */
const left = ({ column }) => MARGIN + column * COLUMN;
/** @param {Place} place */
const middle = ({ row }) => TOP + row * ROW + HEIGHT / 2;

/** How a place is drawn, in words that are classes too.
 * @param {Cache} cache @param {Place} place */
function kindOf(cache, { node, outcome }) {
  if (node >= 0) return cache.nodes[node].accepted ? "accepted" : "rejected";
  if (!outcome) return "more";
  if (!isEnd(cache, outcome)) return "lost";
  return isMissed(cache) ? "end missed" : outcome.row < 0 ? "end own" : "end";
}

/** @param {Run} run @param {Cache} cache @param {Place} place @param {Store} store */
function box(run, cache, place, store) {
  const { outcome } = place, x = left(place), y = TOP + place.row * ROW;
  const unfinished = outcome && outcome.row >= 0 && outcome.finished === false;
  const kind = `${kindOf(cache, place)}${unfinished ? " unfinished" : ""}`;
  const group = svg("g", { class: `tree-box ${kind}`, transform: `translate(${x} ${y})` },
    svg("title", {}, sentence(run, cache, place)),
    svg("rect", { width: WIDTH, height: HEIGHT, rx: 4 }),
    unfinished && svg("rect", { width: WIDTH, height: HEIGHT, rx: 4, fill: "url(#unfinished)",
      class: "tree-hatch" }),
    svg("text", { x: 7, y: 15 },
      short(label(run, cache, place), outcome && share(outcome.chance) ? LETTERS.beside : LETTERS.alone)),
    outcome && svg("text", { class: "tree-chance", x: WIDTH - 5, y: 15 }, share(outcome.chance)));
  if (outcome && outcome.row >= 0) choosable(group, outcome.row, store);
  return group;
}

/** Lets a click or a key choose an outcome.
 * @param {SVGElement} group @param {number} row @param {Store} store */
function choosable(group, row, store) {
  const choose = () => store.set({ selection: { ...store.get().selection, outcome: row } });
  group.setAttribute("role", "button");
  group.setAttribute("tabindex", "0");
  group.dataset.outcome = `${row}`;
  group.addEventListener("click", choose);
  group.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  });
}

/** @param {Run} run @param {Cache} cache @param {Place} place */
function label(run, cache, { node, outcome, more }) {
  if (outcome) return `${signOf(cache, outcome)}${tokenOf(run, outcome)}`;
  if (node === 0) return "text so far";
  if (more) return `${more} more`;
  const { token } = cache.nodes[node];
  return token < 0 ? `token ${cache.nodes[node].depth}` : spelled(run, token);
}

/** @param {Cache} cache @param {Prepared} outcome */
function signOf(cache, outcome) {
  return !isEnd(cache, outcome) ? "" : isMissed(cache) ? "✗ " : outcome.row < 0 ? "" : "✓ ";
}

/** @param {string} text @param {number} most */
function short(text, most) {
  const letters = [...text];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : text;
}

/** @param {number} chance */
function share(chance) {
  return Number.isNaN(chance) ? "" : chance < 0.001 ? "<.1 %" : `${(100 * chance).toFixed(1)} %`;
}

/** A place, in a sentence.
 * @param {Run} run @param {Cache} cache @param {Place} place */
function sentence(run, cache, { node, outcome, more }) {
  if (outcome) return outcomeSentence(run, cache, outcome);
  if (more) return `${counted(more, "more outcome")}: see the table.`;
  if (!node) return "The text so far.";
  const { depth, token, confidence, accepted } = cache.nodes[node];
  const sure = Number.isNaN(confidence) ? "" : `; the draft gave it ${percent(confidence)}`;
  const which = token < 0 ? `Drafted token ${depth}` : `Drafted token ${depth}, ${spelled(run, token)}`;
  return `${which}: ${accepted ? "accepted" : "not accepted"}${sure}.`;
}

/** What was prepared for an outcome, and whether it came true.
 * @param {Run} run @param {Cache} cache @param {Prepared} outcome */
function outcomeSentence(run, cache, outcome) {
  const k = cache.nodes[outcome.node].depth;
  const after = `${tokenOf(run, outcome)} after ${counted(k, "accepted token")}`;
  const rank = outcome.rank < 0 ? "not among the draft's candidates"
    : `the draft's candidate of rank ${outcome.rank} there`;
  const chance = Number.isNaN(outcome.chance) ? "" : `; the draft gave it ${percent(outcome.chance)}`;
  if (!cache.prepared.length) return `${after}: the target's own token. Nothing was prepared.`;
  if (outcome.row < 0) return `${after}: this came true, ${rank}; nothing was prepared for it.`;
  const came = isEnd(cache, outcome) ? "It came true. " : "";
  return `${after}: ${rank}${chance}. ${came}${branch(run, outcome)}`;
}

/** @param {Run} run @param {Prepared} outcome */
function branch(run, { drafted, finished, continuation }) {
  if (drafted < 0) return "How far its branch came is not known.";
  if (!drafted) return "Nothing was drafted for it.";
  const whole = finished === false ? ", then it was stopped" : "";
  const tokens = continuation.length ? `: ${phrase(run, continuation)}` : "";
  return `${counted(drafted, "token")} drafted${whole}${tokens}`;
}

/** Shows which outcome is chosen: by default the one that came true.
 * @param {HTMLElement} element @param {Run} run @param {Cache} cache @param {number|null} chosen */
function mark(element, run, cache, chosen) {
  const outcome = cache.prepared.find(({ row }) => row === chosen) ?? cache.outcome;
  for (const group of element.querySelectorAll("[data-outcome]")) {
    const own = /** @type {SVGElement} */ (group).dataset.outcome === `${chosen}`;
    group.classList.toggle("chosen", own);
    group.setAttribute("aria-pressed", `${own}`);
  }
  const detail = /** @type {HTMLElement} */ (element.querySelector(".tree-detail"));
  detail.textContent = outcome ? outcomeSentence(run, cache, outcome)
    : "How this round's verify ended was not recorded.";
}

/** What the marks mean that this picture has.
 * @param {Cache} cache */
function legend(cache) {
  const { nodes, prepared, outcome } = cache, missed = isMissed(cache);
  const items = /** @type {[boolean, string, string][]} */ ([
    [nodes.some(({ accepted, depth }) => accepted && depth > 0), "accepted", "accepted"],
    [nodes.some(({ accepted }) => !accepted), "rejected", "drafted, not accepted"],
    [outcome !== null && outcome.row >= 0, "end", "✓ came true, prepared"],
    [missed, "end missed", "✗ came true, not prepared"],
    [outcome !== null && !prepared.length, "end own", "the target's own token"],
    [prepared.some((one) => one !== outcome), "lost", "prepared in vain"],
    [prepared.some(({ finished }) => finished === false), "unfinished", "not drafted to its end"],
  ]);
  const keys = items.filter(([there]) => there).map(([, kind, text]) =>
    make("li", {}, make("span", { class: `tree-key ${kind}` }), text));
  const thick = prepared.some(({ chance }) => !Number.isNaN(chance));
  return make("ul", { class: "tree-legend" }, ...keys,
    thick && make("li", {}, "Lines are as thick as the draft found the text likely."));
}

/** Scrolls as far as it takes to see how the verify ended.
 * @param {HTMLElement} element */
function showEnd(element) {
  const frame = element.querySelector(".tree-scroll"), end = element.querySelector(".tree-box.end");
  if (!frame || !end) return;
  const from = frame.getBoundingClientRect(), to = end.getBoundingClientRect();
  frame.scrollLeft += Math.max(0, to.right + MARGIN - from.right);
  frame.scrollTop += Math.max(0, to.bottom + MARGIN - from.bottom);
}

/** @param {Run} run @param {Cache} cache */
function table(run, cache) {
  const ends = cache.outcome && cache.outcome.row < 0 ? [cache.outcome] : [];
  const rows = [...ends, ...cache.prepared].slice(0, MOST_ROWS).map((one) => [
    `${cache.nodes[one.node].depth}`, one.rank < 0 ? "none" : `${one.rank}`, tokenOf(run, one),
    Number.isNaN(one.chance) ? "–" : percent(one.chance),
    one.drafted < 0 ? "–" : `${one.drafted}`, state(cache, one),
    phrase(run, one.continuation) || "–",
  ]);
  const headings = ["accepted", "rank", "token", "chance", "drafted", "what came of it", "branch"];
  return tableOf("Outcomes, in the order of their nodes and ranks", headings, rows);
}

/** @param {Cache} cache @param {Prepared} one */
function state(cache, one) {
  if (one.row < 0) return "came true, not prepared";
  const end = one.drafted === 0 ? ", nothing drafted" : one.finished === false ? ", stopped early" : "";
  return (isEnd(cache, one) ? "came true" : "in vain") + end;
}
