// Reads what Python packed: a run's tables become typed arrays, and rows find each other.

/** @typedef {Uint8Array|Int16Array|Uint16Array|Int32Array|Uint32Array|Float32Array|Float64Array} Numbers */
/** @typedef {{offsets: Uint32Array, values: Numbers}} Lists */
/** @typedef {{rows: number, total: number, columns: Record<string, any>}} Table */
/**
 * A run: what `ssdsim/page/pack.py` says of it, its tables read.
 * @typedef {Object} Run
 * @property {string} name
 * @property {string} source
 * @property {string} method
 * @property {string|null} policy
 * @property {boolean} complete
 * @property {boolean} lossless
 * @property {string|null} command
 * @property {Record<string, any>} metrics
 * @property {Record<string, any>} baselines
 * @property {string} no_gain why it is no faster than SD; empty where it is, or unknown
 * @property {[string, string][]} rows
 * @property {{name: string, lanes: string[], count: number}[]} devices
 * @property {string[]} lanes
 * @property {string[]} kinds
 * @property {string[]} speculators
 * @property {string[]} verdicts why a round hit or missed: what its column `verdict` counts
 * @property {Record<string, any>[]} sequences
 * @property {Table & {leadsFrom: Int32Array}} spans
 * @property {Table & {anatomy: Record<string, Float64Array>}} rounds
 * @property {Table|null} speculations
 * @property {Table|null} outcomes
 * @property {Table|null} requests in order of arrival, of the whole run; null of a run without arrivals
 * @property {(Table & {stretch: number|null})|null} state who waits and runs where, from when on
 * @property {number} replicas
 * @property {number|null} kv_blocks of each replica; null: nobody knows, or there is no end to them
 * @property {Record<string, string>|null} texts
 * @property {string[]} left_out
 * @property {Record<string, any>} config
 * @property {(seq: number) => number[]} roundsOf rows of `rounds` of a sequence, in order
 * @property {(seq: number, round: number) => number} find row of `rounds`; -1 if it is not there
 * @property {(row: number) => number[]} spansOf rows of `spans` of a row of `rounds`
 * @property {(span: number) => number[]} seqsOf sequences of a row of `spans`
 * @property {(seq: number, round: number) => number} speculationAt row of `speculations`, or -1
 * @property {(seq: number, round: number) => number[]} outcomesOf rows of `outcomes`
 * @property {(id: number) => string} textOf the text of a token; its number where no text is known
 */

const TICK = 2 ** -32;
/** @type {Record<string, any>} */
const ARRAYS = {
  u8: Uint8Array, i16: Int16Array, u16: Uint16Array, i32: Int32Array, u32: Uint32Array,
  f32: Float32Array, f64: Float64Array, ticks: Float64Array, times: Float64Array,
};

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** @param {string} text @returns {Promise<ArrayBuffer>} */
function inflated(text) {
  const packed = new Blob([bytesOf(text)]).stream();
  return new Response(packed.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Ticks to seconds; times are stored as what each is later than the one before.
 * @param {Float64Array} values @param {boolean} later */
function seconds(values, later) {
  let sum = 0;
  for (let at = 0; at < values.length; at++) {
    sum = later ? sum + values[at] : values[at];
    values[at] = sum * TICK;
  }
  return values;
}

/** @param {any} column @param {ArrayBuffer} data all columns of the run */
function decodeColumn(column, data) {
  if (column.type === "list") return decodeLists(column, data);
  const values = new ARRAYS[column.type](data, column.at, column.rows);
  const counted = column.type === "times" || column.type === "ticks";
  return counted ? seconds(values, column.type === "times") : values;
}

/** @param {any} column @param {ArrayBuffer} data @returns {Lists} */
function decodeLists(column, data) {
  const lengths = decodeColumn(column.lengths, data), offsets = new Uint32Array(lengths.length + 1);
  for (let at = 0; at < lengths.length; at++) offsets[at + 1] = offsets[at] + lengths[at];
  return { offsets, values: decodeColumn(column.values, data) };
}

/** @param {Record<string, any>} columns @param {ArrayBuffer} data @returns {Record<string, any>} */
function decodeColumns(columns, data) {
  return Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, decodeColumn(column, data)]));
}

/** @param {any} table @param {ArrayBuffer} data @returns {any} */
function decodeTable(table, data) {
  if (!table) return null;
  const columns = decodeColumns(table.columns, data);
  return { ...table, columns, ...(table.anatomy && { anatomy: decodeColumns(table.anatomy, data) }) };
}

/** The values of one row of a column of lists.
 * @param {Lists} lists @param {number} row @returns {Numbers} */
export function listAt(lists, row) {
  return lists.values.subarray(lists.offsets[row], lists.offsets[row + 1]);
}

/** Rows of a table by sequence and round.
 * @param {Table|null} table @returns {Map<string, number[]>} */
function byRound(table) {
  const found = new Map();
  for (let row = 0; table && row < table.rows; row++) {
    const key = `${table.columns.seq[row]} ${table.columns.round[row]}`;
    const rows = found.get(key);
    if (rows) rows.push(row);
    else found.set(key, [row]);
  }
  return found;
}

/** Computes what it returns when it is first asked for.
 * @template T @param {() => T} make @returns {() => T} */
function once(make) {
  /** @type {T|undefined} */
  let made;
  return () => (made ??= make());
}

/** @param {Table} rounds @returns {Map<number, number[]>} */
function bySequence(rounds) {
  const found = new Map();
  for (let row = 0; row < rounds.rows; row++) {
    const seq = rounds.columns.seq[row];
    if (!found.has(seq)) found.set(seq, []);
    found.get(seq).push(row);
  }
  for (const rows of found.values()) {
    rows.sort((/** @type {number} */ a, /** @type {number} */ b) =>
      rounds.columns.round[a] - rounds.columns.round[b]);
  }
  return found;
}

/** First index whose value is not less than `wanted`, in ascending numbers.
 * @param {ArrayLike<number>} values @param {number} wanted */
export function lowerBound(values, wanted) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** For every span the verify whose outcome led to it, or -1.
 * @param {Table} spans */
function leadsFrom(spans) {
  const found = new Int32Array(spans.rows).fill(-1);
  for (let row = 0; row < spans.rows; row++) {
    const to = spans.columns.leads_to[row];
    if (to >= 0) found[to] = row;
  }
  return found;
}

/** Reads a run.
 * @param {any} packed @returns {Promise<Run>} */
export async function decodeRun(packed) {
  const names = ["spans", "rounds", "speculations", "outcomes", "requests", "state"];
  const data = await inflated(packed.data);
  const [spans, rounds, speculations, outcomes, requests, state] = names.map((name) => decodeTable(packed[name], data));
  spans.leadsFrom = leadsFrom(spans);
  const sequences = once(() => bySequence(rounds));
  const found = once(() => byRound(rounds));
  const speculated = once(() => byRound(speculations));
  const predicted = once(() => byRound(outcomes));
  const { start, end, seq, seqs } = spans.columns;
  const longest = once(() => longestOf(spans));
  /** @param {number} span */
  const seqsOf = (span) => (seq[span] >= 0 ? [seq[span]] : [...listAt(seqs, span)]);
  return {
    ...packed, spans, rounds, speculations, outcomes, requests, state, seqsOf,
    roundsOf: (of) => sequences().get(of) ?? [],
    find: (of, round) => found().get(`${of} ${round}`)?.[0] ?? -1,
    spansOf: (row) => spansWithin(rounds.columns.start[row], rounds.columns.end[row],
      rounds.columns.seq[row], { start, end, seqsOf, longest: longest() }),
    speculationAt: (of, round) => speculated().get(`${of} ${round}`)?.[0] ?? -1,
    outcomesOf: (of, round) => predicted().get(`${of} ${round}`) ?? [],
    textOf: (id) => packed.texts?.[id] ?? `${id}`,
  };
}

/** @param {Table} spans */
function longestOf(spans) {
  let longest = 0;
  const { start, end } = spans.columns;
  for (let row = 0; row < spans.rows; row++) longest = Math.max(longest, end[row] - start[row]);
  return longest;
}

/** The spans of a sequence that go on at some time within a round.
 * @param {number} from @param {number} to @param {number} seq
 * @param {{start: Float64Array, end: Float64Array, longest: number,
 *   seqsOf: (span: number) => number[]}} spans */
function spansWithin(from, to, seq, spans) {
  const found = [];
  for (let row = lowerBound(spans.start, from - spans.longest); spans.start[row] < to; row++) {
    if (spans.end[row] > from && spans.seqsOf(row).includes(seq)) found.push(row);
  }
  return found;
}

/** Rounds of a sequence before and after this one, in the order in which they end.
 * @param {Run} run @param {number} row @param {number} step 1 or -1
 * @param {(row: number) => boolean} wanted */
export function neighbour(run, row, step, wanted = () => true) {
  for (let at = row + step; at >= 0 && at < run.rounds.rows; at += step) if (wanted(at)) return at;
  return -1;
}
