// Paints a timeline with a pen: sequences, lanes, arrows, the selection and a ruler.

import { paintRequest } from "highlight";
import { DRAFTING, firstAfter, rowsOf } from "rows";
import { deliveredBy } from "served";
import { paintStrips, placeStrips } from "strip";
import { colours as themed } from "theme";
import { marks, scale as scaled } from "view";
import { MARKS } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("rows").Row} Row */
/** @typedef {import("pen").Pen} Pen */
/** @typedef {import("theme").Colours} Colours */
/** @typedef {import("view").Scale} Scale */
/** @typedef {import("store").View} View */
/** @typedef {import("strip").Strip} Strip */
/** @typedef {{row: Row, y: number, height: number}} Placed */
/** @typedef {{pen: Pen, colours: Colours, scale: Scale, run: Run}} Work */

export const GUTTER = 84;
export const RULER = 22;
const GAP = 5, PALE = 0.32, ROOM = 26;
/** Pixels whose time is shown together where stretches are thinner than one. */
const SHARE = 2;
/** Of a sequence's row: rounds that hit fill it, others are lower, so that no colour is needed. */
const TALL = [1, 0.62, 0.3];

/** What a painter works with.
 * @param {Pen} pen @param {Run} run @param {View} view @param {number} width @returns {Work} */
export function workOf(pen, run, view, width) {
  return { pen, run, colours: themed(), scale: scaled(view, GUTTER, width - GUTTER - 8) };
}

/** Paints a whole timeline.
 * @param {Pen} pen @param {Run} run @param {View} view @param {number} width
 * @param {{round: number, span: number|null, seq?: number|null}} chosen @returns {number} its height */
export function paintTimeline(pen, run, view, width, chosen) {
  const { strips, placed, bottom } = layout(run);
  const work = workOf(pen, run, view, width);
  paintRuler(work, 0, bottom);
  paintStrips(work, strips);
  paintRows(work, placed);
  paintArrows(work, placed);
  paintNames(work, placed);
  paintCuts(work, placed);
  if (run.requests) paintRequest(work, placed, chosen.seq ?? null);
  paintSelection(work, placed, chosen.round, chosen.span);
  return bottom;
}

/** Where everything of a timeline is: the strips of its replicas, sequences, lanes.
 * @param {Run} run @returns {{strips: Strip[], placed: Placed[], bottom: number}} */
export function layout(run) {
  const { strips, bottom } = placeStrips(run, RULER), rows = rowsOf(run);
  if (!strips.length) return { strips, ...placeRows(rows, RULER) };
  const sequences = placeRows(rows.filter(({ of }) => of === "rounds"), bottom, { least: 3, room: 240 });
  const lanes = placeRows(rows.filter(({ of }) => of === "spans"), sequences.bottom + GAP, { least: 12, room: 260 });
  return { strips, placed: [...sequences.placed, ...lanes.placed], bottom: lanes.bottom };
}

/** Where each row is; they are thinner the more there are.
 * @param {Row[]} rows @param {number} top @param {{least: number, room: number}} [size]
 * @returns {{placed: Placed[], bottom: number}} */
export function placeRows(rows, top, { least, room } = { least: 7, room: 420 }) {
  const height = Math.max(least, Math.min(30, Math.round(room / rows.length) - GAP));
  const gap = height < 7 ? 1 : GAP;
  const placed = rows.map((row, at) => ({ row, y: top + at * (height + gap), height }));
  return { placed, bottom: top + rows.length * (height + gap) };
}

/** @param {Work} work @param {Placed[]} placed */
export function paintRows(work, placed) {
  for (const place of placed) {
    const { row } = place;
    const { scale } = work;
    const first = firstAfter(row, scale.from), end = firstAfter(row, scale.to) + 1;
    const count = Math.min(end, row.items.length) - first;
    if (count > scale.width / 2) paintShares(work, place);
    else paintStretches(work, place, first, first + count);
  }
}

/** Paints each stretch of a row.
 * @param {Work} work @param {Placed} place @param {number} first @param {number} end */
function paintStretches(work, place, first, end) {
  const { row } = place, { scale } = work, right = scale.left + scale.width;
  for (let at = first; at < end; at++) {
    const from = Math.max(scale.left, scale.x(row.start[at]));
    const to = Math.min(right, scale.x(row.end[at]));
    if (to < from) continue;
    const box = { x: from, width: Math.max(to - from, 0.5), y: place.y, height: place.height };
    if (row.of === "rounds") paintRound(work, row, at, box);
    else paintSpan(work, row, at, box);
  }
}

/** @typedef {{x: number, y: number, width: number, height: number}} Box */

/** @param {Work} work @param {Row} row @param {number} at @param {Box} box */
function paintRound({ pen, colours, run }, row, at, { x, y, width, height }) {
  const outcome = row.group[at], tall = height * TALL[outcome];
  const inset = width > 4 ? 0.5 : 0;
  pen.rect(x + inset, y + height - tall, width - 2 * inset, tall, { fill: colours[row.colours[outcome]] });
  if (width < ROOM || height < 12 || (outcome === 1 && tall < 9)) return;
  const { accepted, round, seq } = run.rounds.columns, item = row.items[at];
  const first = round[item] === 0 && width > 2 * ROOM ? `#${seq[item]}  ` : "";
  const text = `${first}${MARKS[outcome]} ${accepted[item] + 1}`;
  const middle = outcome === 2 ? y + (height - tall) / 2 : y + height - tall / 2;
  pen.text(x + width / 2, middle, text, {
    fill: outcome === 2 ? colours.ink : colours["on-dark"], align: "middle" });
}

/** Paints a pass: of a draft's, the share that no output used is pale.
 * @param {Work} work @param {Row} row @param {number} at @param {Box} box */
function paintSpan({ pen, colours, run }, row, at, { x, y, width, height }) {
  const span = row.items[at], kind = row.colours[row.group[at]];
  const { tokens, used } = run.spans.columns;
  const drafting = DRAFTING.has(kind), fill = colours[kind] ?? colours.nothing, roomy = width > ROOM && height >= 12;
  const solid = height * row.used[at];
  const inset = width > 4 ? 0.5 : 0;
  if (drafting) pen.rect(x + inset, y, width - 2 * inset, height, { fill, opacity: PALE });
  pen.rect(x + inset, y + height - solid, width - 2 * inset, solid, { fill });
  if (drafting && width > 4) pen.rect(x + 1, y + 0.5, width - 2, height - 1, { stroke: fill });
  const delivered = roomy && kind === "verify" ? deliveredBy(run, span) : 0;
  const text = drafting ? `${used[span]}/${tokens[span]}` : delivered ? `+${delivered}` : "";
  if (!text || !roomy || width < ROOM + 3 * text.length) return;
  const dark = kind === "verify";
  pen.text(x + width / 2, y + height / 2, text, {
    fill: dark ? colours["on-dark"] : colours.ink, align: "middle" });
}

/** Paints a row in which stretches are thinner than pixels: how much of the time is what.
 * @param {Work} work @param {Placed} place */
function paintShares({ pen, colours, scale }, { row, y, height }) {
  const fills = row.colours.map((name) => colours[name] ?? colours.nothing);
  const right = scale.left + scale.width, second = (scale.perSecond / SHARE) * height, groups = fills.length;
  let before = secondsBefore(row, scale.time(scale.left));
  for (let x = scale.left; x < right; x += SHARE) {
    const until = secondsBefore(row, scale.time(x + SHARE));
    let bottom = y + height;
    for (let group = 0; group < groups; group++) {
      const tall = (until[group] - before[group]) * second;
      if (tall < 0.1) continue;
      const used = (until[groups + group] - before[groups + group]) * second;
      if (tall - used > 0.1) pen.rect(x, bottom - tall, SHARE, tall - used, { fill: fills[group], opacity: PALE });
      pen.rect(x, bottom - used, SHARE, used, { fill: fills[group] });
      bottom -= tall;
    }
    before = until;
  }
}

/** Seconds of each group before a time, and then those of each that were not in vain.
 * @param {Row} row @param {number} time @returns {number[]} */
function secondsBefore(row, time) {
  const at = firstAfter(row, time), under = row.start[at] < time ? row.group[at] : -1;
  const sums = row.sums(), groups = row.colours.length, begun = time - row.start[at];
  const found = new Array(sums.length);
  for (let each = 0; each < found.length; each++) found[each] = sums[each][at];
  if (under >= 0) {
    found[under] += begun;
    found[groups + under] += begun * row.used[at];
  }
  return found;
}

/** Paints how far apart marks of time are, and lines down to the last row.
 * @param {Work} work @param {number} top @param {number} bottom */
export function paintRuler({ pen, colours, scale }, top, bottom) {
  const { times, step } = marks(scale, Math.max(2, scale.width / 110));
  for (const time of times) {
    const x = scale.x(time);
    pen.line([[x, top + RULER - 5], [x, bottom]], { stroke: colours.line });
    const align = x > scale.left + scale.width - 24 ? "end" : "middle";
    pen.text(x, top + RULER / 2 - 2, mark(time, step), { fill: colours.soft, align });
  }
}

/** A mark's text: in the unit of the ruler's step.
 * @param {number} time @param {number} step */
function mark(time, step) {
  const [size, unit] = step >= 0.2 ? [1, "s"] : step >= 2e-4 ? [1e-3, "ms"] : [1e-6, "µs"];
  const digits = Math.max(0, -Math.floor(Math.log10((step / size) * 1.0001)));
  return `${(time / size).toFixed(digits)} ${unit}`;
}

/** Paints the names of rows.
 * @param {Work} work @param {Placed[]} placed */
export function paintNames({ pen, colours }, placed) {
  for (const { row, y, height } of placed) {
    if (height < 10) continue;
    pen.text(GUTTER - 8, y + height / 2, row.label, { fill: colours.ink, align: "end" });
  }
}

/** Says from when on passes and rounds are not in the page, where the view goes on behind them.
 * @param {Work} work @param {Placed[]} placed */
export function paintCuts({ pen, colours, scale, run }, placed) {
  for (const [of, named] of /** @type {["rounds"|"spans", string][]} */ ([["rounds", "rounds"], ["spans", "passes"]])) {
    const { rows, total, columns } = run[of], place = placed.find(({ row }) => row.of === of);
    const from = Math.max(scale.left, scale.x(columns.end[rows - 1])), right = scale.left + scale.width;
    if (!place || rows >= total || right - from < 160) continue;
    pen.text(from + 8, place.y + place.height / 2, `→ ${named} from here on are not in the page`, { fill: colours.soft });
  }
}

/** Paints arrows from each outcome to the speculation that it chose, where there is room for them.
 * @param {Work} work @param {Placed[]} placed */
export function paintArrows(work, placed) {
  const { run, scale, colours } = work;
  const verifies = placed.filter(({ row }) => row.of === "spans" && row.label.startsWith("target"));
  for (const { row, y, height } of verifies) {
    const first = firstAfter(row, scale.from), end = firstAfter(row, scale.to) + 1;
    if ((end - first) * 16 > scale.width) continue;
    for (const verify of row.items.subarray(first, end)) {
      const chosen = run.spans.columns.leads_to[verify];
      if (chosen >= 0) paintArrow(work, placed, verify, chosen, y + height / 2, colours.accent);
    }
  }
}

/** @param {Work} work @param {Placed[]} placed @param {number} verify @param {number} chosen
 * @param {number} y @param {string} stroke */
function paintArrow({ pen, run, scale }, placed, verify, chosen, y, stroke) {
  const { start, end, lane, kind } = run.spans.columns;
  const ready = run.kinds[kind[chosen]] === "verify" ? branchesOf(run, verify, chosen) : chosen;
  if (ready < 0) return;
  const place = placed.find(({ row }) => row.of === "spans" && row.label === run.lanes[lane[ready]]);
  const from = scale.x(end[verify]);
  const to = ready === chosen ? scale.x(start[ready]) : Math.min(scale.x(end[ready]), scale.x(start[chosen]));
  if (!place || from > scale.left + scale.width || from < scale.left) return;
  const goal = place.y + place.height / 2, down = goal > y ? -1 : 1;
  pen.line([[from, y], [from, y - down * 8], [to, goal + down * 8], [to, goal]], { stroke, width: 1.6 });
  pen.line([[to - 3.5, goal + down * 6], [to, goal], [to + 3.5, goal + down * 6]], { stroke, width: 1.6 });
}

/** The branches that were being prepared while an outcome was found: the last begun before it.
 * @param {Run} run @param {number} verify @param {number} chosen */
function branchesOf(run, verify, chosen) {
  const { kind, start, end } = run.spans.columns, rows = new Set(run.seqsOf(verify));
  for (let span = chosen - 1; span >= 0 && span > verify - 8; span--) {
    const before = run.kinds[kind[span]] === "prespeculate" && start[span] < end[verify];
    if (before && run.seqsOf(span).some((seq) => rows.has(seq))) return span;
  }
  return -1;
}

/** Paints what is selected: its round from top to bottom, and a frame around its span.
 * @param {Work} work @param {Placed[]} placed @param {number} round @param {number|null} span */
export function paintSelection({ pen, colours, scale, run }, placed, round, span) {
  const last = placed[placed.length - 1];
  if (round >= 0 && last) {
    const { start, end } = run.rounds.columns;
    const right = scale.left + scale.width;
    const from = Math.max(scale.left, scale.x(start[round])), to = Math.min(right, scale.x(end[round]));
    if (to > from) {
      const height = last.y + last.height - placed[0].y + 6;
      pen.rect(from, placed[0].y - 3, to - from, height, { fill: colours.accent, opacity: 0.13 });
      pen.rect(from, placed[0].y - 3, Math.max(to - from, 1), height, { stroke: colours.accent, width: 1.5 });
    }
  }
  for (const { row, y, height } of placed) {
    const at = row.of === "spans" && span !== null ? row.items.indexOf(span) : -1;
    if (at < 0) continue;
    const from = Math.max(scale.left, scale.x(row.start[at])), to = scale.x(row.end[at]);
    pen.rect(from, y, Math.max(to - from, 2), height, { stroke: colours.ink, width: 2.5 });
  }
}
