// Why the selected round ended in a hit or a miss, in a sentence with numbers; and all rounds' causes.

import { cacheOf, tokenOf } from "cache";
import { lacking, make, tableOf } from "dom";
import { selected } from "store";
import { counted, figure, percent } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */
/** @typedef {import("cache").Cache} Cache */
/** @typedef {import("cache").Prepared} Prepared */

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  return {
    draw() {
      const [run, row] = selected(store.get());
      if (!run || row < 0) return element.replaceChildren();
      element.replaceChildren(make("h2", {}, "Why"), ...reasons(run, row), ...causes(run, row),
        ...[expected(run), cheapest(run)].filter(Boolean).map((text) => make("p", {}, text)));
    },
  };
}

/** @param {Run} run @param {number} row of its rounds @returns {HTMLElement[]} */
function reasons(run, row) {
  const cache = run.speculations ? cacheOf(run, row) : null;
  const paragraphs = [`This round began ${beginning(run, row)}.`];
  if (cache) paragraphs.push(ending(run, cache), effort(cache));
  return paragraphs.filter(Boolean).map((text) => make("p", {}, text));
}

/** The verdict on a round, a name of `run.verdicts`; "" where there is none.
 * @param {Run} run @param {number} row */
export function verdictOf(run, row) {
  const kinds = run.rounds.columns.verdict;
  return kinds && row >= 0 ? namesOf(run)[kinds[row]] : "";
}

/** @param {Run} run @returns {string[]} */
function namesOf(run) {
  return /** @type {any} */ (run).verdicts ?? [];
}

/** @type {Record<string, string>} */
const BEGINNINGS = {
  "first round": "the sequence: nothing could be prepared for it",
  "nothing predicted": "with nothing prepared",
  "hit": "with a hit: its speculation was there",
  "hit, cut short": "with a hit: its speculation was there, as far as it was drafted in time",
  "hit, redrafted": "with a hit, but was drafted anew because another row of the batch missed",
  "hit, nothing drafted": "with a hit, but nothing had been drafted for it",
  "outside the candidates": "with a miss: the token before it was none of the draft's candidates",
  "k not covered": "with a miss: nothing was prepared where the verify before it ended",
  "rank beyond F_k": "with a miss: too few candidates were prepared where the verify ended",
  "rank left out": "with a miss: the candidate that came true was passed over",
  "miss, not recorded": "with a miss; what was prepared was not recorded",
};

/** @param {Run} run @param {number} row */
function beginning(run, row) {
  const { hit } = run.rounds.columns;
  return BEGINNINGS[verdictOf(run, row)]
    ?? ["with a miss", "with a hit"][hit[row]] ?? "with nothing prepared";
}

/** How the verify of a round ended, and whether that was prepared.
 * @param {Run} run @param {Cache} cache */
function ending(run, cache) {
  const { outcome, prepared, nodes, next } = cache;
  if (!outcome) return "How its verify ended was not recorded.";
  const k = nodes[outcome.node].depth;
  const there = prepared.filter(({ node }) => node === outcome.node).length;
  const what = prepared.length ? named(run, outcome) : tokenOf(run, outcome);
  const came = `Its verify ended after ${counted(k, "accepted token")} with ${what}`;
  if (next < 0) return `${came}; that was the end of the sequence.`;
  if (!prepared.length) return `${came}; nothing had been predicted.`;
  const told = outcome.row >= 0 ? `a hit. ${held(outcome, there, k)}` : `a miss. ${lost(run, cache, there, k)}`;
  return `${came}: ${told}`;
}

/** @param {Run} run @param {Prepared} outcome */
function named(run, outcome) {
  if (outcome.rank < 0) return `${tokenOf(run, outcome)}, none of the draft's candidates there`;
  const rank = `the draft's candidate of rank ${outcome.rank}`;
  return outcome.token < 0 ? rank : `${tokenOf(run, outcome)}, ${rank}`;
}

/** @param {Prepared} outcome @param {number} there @param {number} k */
function held(outcome, there, k) {
  const likely = Number.isNaN(outcome.chance) ? ""
    : ` The draft gave this outcome ${percent(outcome.chance)}.`;
  const stopped = outcome.finished === false ? ", stopped before the end" : "";
  const drafted = outcome.drafted < 0 ? "" : ` Its branch had ${counted(outcome.drafted, "token")}${stopped}.`;
  return `${counted(there, "candidate was", "candidates were")} prepared there (F_${k} = ${there}).`
    + drafted + likely;
}

/** @param {Run} run @param {Cache} cache @param {number} there @param {number} k */
function lost(run, { outcome, next }, there, k) {
  const rank = /** @type {Prepared} */ (outcome).rank;
  if (rank < 0) return "No fan-out would have spared it.";
  const few = there ? `${there} were prepared there (F_${k} = ${there}).`
    : `Nothing was prepared there (F_${k} = 0).`;
  const { needs, costs } = run.rounds.columns;
  if (!needs || needs[next] < 0) return few;
  const more = Number.isNaN(costs[next]) ? ""
    : `, which costs a mean round ${figure(costs[next], 3)} more ${costs[next] === 1 ? "branch" : "branches"}`;
  return `${few} F_${k} = ${needs[next]} would have spared it${more}.`;
}

/** What was prepared in all, and how much of it was of use.
 * @param {Cache} cache */
function effort({ prepared }) {
  if (!prepared.length) return "";
  const known = prepared.filter(({ chance }) => !Number.isNaN(chance));
  const likely = known.reduce((sum, { chance }) => sum + chance, 0);
  const said = known.length ? `; the draft gave them ${percent(likely)} together` : "";
  const drafted = prepared.filter((one) => one.drafted > 0);
  const all = drafted.reduce((sum, one) => sum + one.drafted, 0);
  const vain = drafted.reduce((sum, one) => sum + (one.won ? 0 : one.drafted), 0);
  const lost = vain === all ? "all" : vain.toLocaleString("en");
  const waste = all ? ` Of ${counted(all, "token")} drafted for them ${lost} were in vain.` : "";
  return `${counted(prepared.length, "outcome was", "outcomes were")} prepared${said}.${waste}`;
}

/** Says the same of a run every time it is asked.
 * @param {(run: Run) => string} say @returns {(run: Run) => string} */
function once(say) {
  /** @type {WeakMap<Run, string>} */
  const known = new WeakMap();
  return (run) => {
    const said = known.get(run) ?? say(run);
    known.set(run, said);
    return said;
  };
}

/** Of the fan-outs that would have spared a tenth of the misses, the one with most a branch. */
const cheapest = once((run) => {
  const { needs, costs, seq, round, accepted } = run.rounds.columns;
  if (!needs) return "";
  /** @type {Map<number, [number, number][]>} */
  const misses = new Map();
  for (let row = 0; row < run.rounds.rows; row++) {
    if (needs[row] < 0) continue;
    const k = accepted[run.find(seq[row], round[row] - 1)];
    misses.set(k, [...misses.get(k) ?? [], [needs[row], costs[row]]]);
  }
  const offers = [...misses].flatMap(([k, all]) => all.map(([fanout, cost]) =>
    ({ k, fanout, cost, spared: all.filter(([needed]) => needed <= fanout).length })));
  const [best] = offers.filter(({ spared }) => spared >= offers.length / 10)
    .sort((a, b) => b.spared / b.cost - a.spared / a.cost || b.spared - a.spared);
  return best ? "The cheapest change that would have spared a tenth of the misses within reach: "
    + `F_${best.k} = ${best.fanout}, which spares ${counted(best.spared, "miss", "misses")} for `
    + `${figure(best.cost, 3)} more branches in a mean round.` : "";
});

/** What the draft's probabilities promised of what was prepared, beside what came of it. */
const expected = once((run) => {
  if (!run.outcomes) return "";
  const { seq, round, chance, won } = run.outcomes.columns;
  let likely = 0, hits = 0;
  const rounds = new Set();
  for (let row = 0; row < run.outcomes.rows; row++) {
    if (run.find(seq[row], round[row] + 1) < 0) continue; // nothing came of a sequence's last round
    rounds.add(`${seq[row]} ${round[row]}`);
    likely += chance[row];
    hits += won[row] === 1 ? 1 : 0;
  }
  if (!rounds.size || Number.isNaN(likely)) return "";
  return `In ${counted(rounds.size, "round")} the draft gave what was prepared `
    + `${percent(likely / rounds.size)} on average; ${percent(hits / rounds.size)} hit.`;
});

/** How many rounds began in each way; the selected one's is marked.
 * @param {Run} run @param {number} row @returns {Element[]} */
function causes(run, row) {
  const kinds = run.rounds.columns.verdict;
  if (!kinds) return [lacking("Why the other rounds hit or missed was not worked out.")];
  const counts = namesOf(run).map(() => 0);
  for (const kind of kinds) counts[kind]++;
  const rows = namesOf(run).map((name, kind) => /** @type {[string, number]} */ ([name, kind]))
    .filter(([, kind]) => counts[kind])
    .map(([name, kind]) => [
      make("span", { class: kinds[row] === kind ? "why-this" : "" }, name),
      `${counts[kind]}`, percent(counts[kind] / kinds.length),
    ]);
  return [tableOf("How all rounds began", ["", "rounds", "share"], rows)];
}
