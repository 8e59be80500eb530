// Which rounds two runs have in common: aligned by the tokens that were delivered before them.
// The same rules as in `ssdsim/compare/alignment.py`.

/** @typedef {import("columns").Run} Run */
/** Rows of either run's rounds that begin at the same token of the same text.
 * @typedef {{one: number, other: number, place: number, field: string|null}} Pair */
/** @typedef {{pairs: Pair[], agreeing: number, first: Pair|null}} Alignment */

const FIELDS = ["hit", "drafted", "speculator", "accepted", "token", "rank"];
const PARTLY_KNOWN = new Set(["token", "rank"]);

/** @type {WeakMap<Run, WeakMap<Run, Alignment>>} */
const known = new WeakMap();

/** Aligns two runs, prompt by prompt, until their texts part.
 * @param {Run} one @param {Run} other @returns {Alignment} */
export function align(one, other) {
  const with_ = known.get(one) ?? new WeakMap();
  known.set(one, with_);
  let found = with_.get(other);
  if (!found) with_.set(other, found = aligned(one, other));
  return found;
}

/** @param {Run} one @param {Run} other @returns {Alignment} */
function aligned(one, other) {
  const pairs = [], theirs = textsOf(other);
  for (const [text, mine] of textsOf(one)) {
    const same = theirs.get(text);
    if (same) pairs.push(...pairsOf([one, other], [mine.seq, same.seq], parting(mine, same)));
  }
  const unlike = pairs.filter(({ field }) => field);
  const { start } = one.rounds.columns;
  const first = unlike.reduce((/** @type {Pair|null} */ least, pair) =>
    (least && start[least.one] <= start[pair.one] ? least : pair), null);
  return { pairs, agreeing: pairs.length - unlike.length, first };
}

/** Sequences by prompt, and how often it has come before.
 * @param {Run} run */
function textsOf(run) {
  const counts = new Map(), found = new Map();
  for (const sequence of run.sequences) {
    const time = counts.get(sequence.prompt) ?? 0;
    counts.set(sequence.prompt, time + 1);
    found.set(`${time} ${sequence.prompt}`, sequence);
  }
  return found;
}

/** The first token that two texts have otherwise; none where a run has no token ids.
 * @param {Record<string, any>} one @param {Record<string, any>} other */
function parting(one, other) {
  if (!one.output || !other.output) return Infinity;
  const length = Math.min(one.output.length, other.output.length);
  for (let at = 0; at < length; at++) if (one.output[at] !== other.output[at]) return at;
  return Infinity;
}

/** @param {[Run, Run]} runs @param {[number, number]} seqs @param {number} limit */
function pairsOf([one, other], [mine, theirs], limit) {
  const there = places(other, theirs), pairs = [];
  for (const [place, row] of places(one, mine)) {
    const same = there.get(place);
    if (same === undefined || place > limit) continue;
    const field = FIELDS.find((name) => differs(name, one, row, other, same)) ?? null;
    pairs.push({ one: row, other: same, place, field });
  }
  return pairs;
}

/** The rounds of a sequence by the tokens delivered before each.
 * @param {Run} run @param {number} seq @returns {Map<number, number>} */
function places(run, seq) {
  const found = new Map();
  let place = 0;
  for (const row of run.roundsOf(seq)) {
    found.set(place, row);
    place += run.rounds.columns.accepted[row] + 1;
  }
  return found;
}

/** @param {string} field @param {Run} one @param {number} row @param {Run} other @param {number} same */
function differs(field, one, row, other, same) {
  const [mine, theirs] = [valueAt(one, field, row), valueAt(other, field, same)];
  const open = PARTLY_KNOWN.has(field) && (Number(mine) < 0 || Number(theirs) < 0);
  return mine !== theirs && !open;
}

/** A field of a round, as runs have it in common.
 * @param {Run} run @param {string} field @param {number} row @returns {string|number} */
export function valueAt(run, field, row) {
  const value = run.rounds.columns[field]?.[row] ?? -1;
  return field === "speculator" ? run.speculators[value] : value;
}

const OUTCOMES = /** @type {Record<string, string>} */ ({ 1: "hit", 0: "miss", 255: "nothing predicted" });

/** The same in words.
 * @param {Run} run @param {string} field @param {number} row */
export function saidAt(run, field, row) {
  const value = valueAt(run, field, row);
  if (field === "hit") return OUTCOMES[value];
  return value === -1 ? "unknown" : `${value}`;
}
