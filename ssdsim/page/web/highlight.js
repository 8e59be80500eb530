// Marks what a selected request had of the timeline: its rounds, and the passes that it was in.

/** @typedef {import("columns").Run} Run */
/** @typedef {import("paint").Work} Work */
/** @typedef {import("paint").Placed} Placed */

const THICK = 3;

/** The passes of the request that was asked for last. @type {WeakMap<Run, {seq: number, spans: number[]}>} */
const known = new WeakMap();

/** Rows of the spans that a sequence was in.
 * @param {Run} run @param {number} seq */
export function passesOf(run, seq) {
  let found = known.get(run);
  if (found?.seq !== seq) known.set(run, found = { seq, spans: passes(run, seq) });
  return found.spans;
}

/** @param {Run} run @param {number} wanted */
function passes(run, wanted) {
  const { seq, seqs: { offsets, values } } = run.spans.columns, found = [];
  for (let span = 0; span < run.spans.rows; span++) {
    let there = seq[span] === wanted;
    for (let at = offsets[span]; !there && at < offsets[span + 1]; at++) there = values[at] === wanted;
    if (there) found.push(span);
  }
  return found;
}

/** Underlines a request's rounds and passes, and frames its rounds where there is room.
 * @param {Work} work @param {Placed[]} placed @param {number|null} seq */
export function paintRequest(work, placed, seq) {
  if (seq === null) return;
  const { run } = work, rounds = run.roundsOf(seq);
  const own = placed.find(({ row }) => row.of === "rounds" && row.items.includes(rounds[0]));
  if (own) underline(work, own, rounds, run.rounds.columns);
  const spans = passesOf(run, seq);
  for (const place of placed.filter(({ row }) => row.of === "spans")) {
    const lane = run.lanes.indexOf(place.row.label);
    underline(work, place, spans.filter((span) => run.spans.columns.lane[span] === lane), run.spans.columns);
  }
}

/** @param {Work} work @param {Placed} place @param {number[]} items @param {Record<string, any>} columns */
function underline({ pen, colours, scale }, { y, height }, items, { start, end }) {
  let from = -1, to = -1;
  const thick = height < 7 ? 1 : THICK;
  const flush = () => from >= 0 && pen.rect(from, y + height, Math.max(1, to - from), thick, { fill: colours.accent });
  for (const item of items) {
    if (end[item] < scale.from || start[item] > scale.to) continue;
    const left = Math.max(scale.left, scale.x(start[item]));
    const right = Math.min(scale.left + scale.width, scale.x(end[item]));
    if (left > to + 1) {
      flush();
      from = left;
    }
    to = right;
  }
  flush();
}
