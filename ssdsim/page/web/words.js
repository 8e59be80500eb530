// Numbers and outcomes in words.

/** @typedef {import("columns").Run} Run */

const UNITS = /** @type {[number, string][]} */ ([[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]]);

/** Seconds with a unit that suits them, in four digits.
 * @param {number} seconds */
export function duration(seconds) {
  if (seconds === 0) return "0 s";
  const [size, unit] = UNITS.find(([size]) => Math.abs(seconds) >= size * 0.9995) ?? UNITS[3];
  return `${figure(seconds / size, 4)} ${unit}`;
}

/** A number in so many digits, at most.
 * @param {number} value @param {number} digits */
export function figure(value, digits = 4) {
  if (!Number.isFinite(value)) return "–";
  const whole = value === 0 ? 1 : Math.floor(Math.log10(Math.abs(value))) + 1;
  return value.toFixed(Math.max(0, Math.min(6, digits - whole)));
}

/** @param {number} share */
export function percent(share) {
  return `${figure(100 * share, 3)} %`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

const SOURCES = /** @type {Record<string, string>} */ ({ sim: "simulated", real: "measured",
  scripted: "real passes, scripted outcomes" });

/** Where a run's numbers come from, and its main settings. @param {Run} run */
export function settingSentence({ source, config, complete }) {
  const served = config["serving._target_"] === "continuous";  // where `batch` means nothing
  const told = [...(served ? ["replicas"] : ["batch"]), "temperature"].filter((name) => config[name] !== undefined);
  return [SOURCES[source], ...told.map((name) => `${name} ${config[name]}`), complete ? "" : "cut short"]
    .filter(Boolean).join(", ");
}

export const OUTCOMES = ["hit", "miss", "nothing predicted"];
export const MARKS = ["✓", "✗", "·"];

/** Which of `OUTCOMES` a round is.
 * @param {Run} run @param {number} row of its rounds */
export function outcomeOf(run, row) {
  return [1, 0, 2][run.rounds.columns.hit[row]] ?? 2;
}

/** What is selected, in a sentence.
 * @param {Run} run @param {number} row of its rounds */
export function roundSentence(run, row) {
  const { seq, round, start, end, accepted, drafted, predicted, speculator } = run.rounds.columns;
  const outcome = OUTCOMES[outcomeOf(run, row)], why = run.verdicts[run.rounds.columns.verdict[row]];
  const because = outcome !== "miss" || why.startsWith("miss") ? "" : ` (${why})`;
  const by = run.speculators[speculator[row]];
  const drafting = by === "none" ? "nothing drafted"
    : `${accepted[row]} of ${drafted[row]} drafted tokens accepted (${by} speculation)`;
  return `Sequence ${seq[row]}, round ${round[row]}: ${outcome}${because}, ${drafting}, `
    + `${counted(accepted[row] + 1, "token")} in ${duration(end[row] - start[row])}`
    + (predicted[row] ? `; ${counted(predicted[row], "outcome")} predicted for the next.` : ".");
}

/** A span, in a sentence.
 * @param {Run} run @param {number} span of its spans */
export function spanSentence(run, span) {
  const { lane, kind, start, end, round, batch, branches, tokens, used } = run.spans.columns;
  const seqs = run.seqsOf(span);
  const whose = seqs.length > 1 ? `${seqs.length} sequences` : `sequence ${seqs[0]}`;
  const parts = [`${run.lanes[lane[span]]}: ${run.kinds[kind[span]]}, ${whose}, round ${round[span]}`,
    `${duration(end[span] - start[span])} from ${duration(start[span])}`];
  if (tokens[span]) parts.push(`${counted(tokens[span], "token")} computed, ${used[span]} used`);
  if (branches[span]) parts.push(counted(branches[span], "branch", "branches"));
  if (batch[span] > 1) parts.push(`batch ${batch[span]}`);
  return parts.join("; ");
}
