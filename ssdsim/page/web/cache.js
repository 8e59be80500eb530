// The speculation cache of a round: what was verified, what was prepared meanwhile, what came true.

import { listAt } from "columns";

/** @typedef {import("columns").Run} Run */
/** A drafted token, or the root: the text before it.
 * @typedef {{parent: number, depth: number, token: number, confidence: number, accepted: boolean}}
 *   Node */
/** A predicted outcome; `drafted` is -1 and `finished` null where nobody knows, `row` its row of
 * the run's outcomes, -1 where it was not predicted.
 * @typedef {{row: number, node: number, rank: number, token: number, chance: number,
 *   drafted: number, finished: boolean|null, won: boolean, continuation: number[]}} Prepared */
/** `outcome` is how the verify ended: one of `prepared`, or another; null where nobody knows.
 * `next` is the row of the sequence's next round, -1 after its last.
 * @typedef {{nodes: Node[], prepared: Prepared[], outcome: Prepared|null, next: number,
 *   row: number}} Cache */

/** The cache of a round, or null where it was not recorded.
 * @param {Run} run @param {number} row of its rounds @returns {Cache|null} */
export function cacheOf(run, row) {
  const { seq, round } = run.rounds.columns;
  const at = run.speculationAt(seq[row], round[row]);
  if (at < 0) return null;
  const nodes = nodesOf(run, at);
  const prepared = run.outcomesOf(seq[row], round[row]).map((of) => preparedAt(run, of));
  const next = run.find(seq[row], round[row] + 1);
  return { nodes, prepared, outcome: endOf(run, row, at, nodes, prepared), next, row };
}

/** @param {Run} run @param {number} at its row of speculations @returns {Node[]} */
function nodesOf(run, at) {
  const { parents, tokens, confidences, node } = /** @type {any} */ (run.speculations).columns;
  const before = listAt(parents, at), ids = listAt(tokens, at), sure = listAt(confidences, at);
  /** @type {Node[]} */
  const nodes = [{ parent: -1, depth: 0, token: -1, confidence: NaN, accepted: true }];
  for (let index = 0; index < before.length; index++) {
    const parent = before[index] + 1;
    nodes.push({ parent, depth: nodes[parent].depth + 1, token: ids[index] ?? -1,
      confidence: sure[index] ?? NaN, accepted: false });
  }
  for (let way = node[at]; way > 0; way = nodes[way].parent) nodes[way].accepted = true;
  return nodes;
}

/** @param {Run} run @param {number} row of its outcomes @returns {Prepared} */
function preparedAt(run, row) {
  const columns = /** @type {any} */ (run.outcomes).columns;
  const finished = columns.finished[row];
  return {
    row, node: columns.node[row], rank: columns.rank[row], token: columns.token[row],
    chance: columns.chance[row], drafted: columns.drafted[row],
    finished: finished === 255 ? null : finished === 1, won: columns.won[row] === 1,
    continuation: [...listAt(columns.continuation, row)],
  };
}

/** How the verify of a round ended.
 * @param {Run} run @param {number} row of its rounds @param {number} at of its speculations
 * @param {Node[]} nodes @param {Prepared[]} prepared @returns {Prepared|null} */
function endOf(run, row, at, nodes, prepared) {
  const { columns } = /** @type {any} */ (run.speculations);
  const node = columns.node[at], rank = columns.rank[at];
  if (node < 0) return null;
  const known = rank < 0 ? undefined
    : prepared.find((one) => one.node === node && one.rank === rank);
  const { token: tokens, accepted } = run.rounds.columns;
  const token = accepted[row] === nodes[node].depth ? tokens[row] : -1; // else it was cut short
  return known ?? { row: -1, node, rank, token, chance: NaN, drafted: 0, finished: null, won: false,
    continuation: [] };
}

/** Whether an outcome is how the verify ended.
 * @param {Cache} cache @param {Prepared} one */
export function isEnd({ outcome }, one) {
  return one === outcome;
}

/** Whether the verify ended in an outcome that was not among those prepared.
 * @param {Cache} cache */
export function isMissed({ outcome, prepared }) {
  return outcome !== null && outcome.row < 0 && prepared.length > 0;
}

/** What a token says, with its spaces to be seen; "rank r" where there is no id.
 * @param {Run} run @param {Prepared} outcome */
export function tokenOf(run, { token, rank }) {
  return token >= 0 ? spelled(run, token) : rank < 0 ? "another token" : `rank ${rank}`;
}

/** The text of some tokens; their numbers where no texts are known.
 * @param {Run} run @param {number[]} tokens */
export function phrase(run, tokens) {
  return tokens.map((token) => run.textOf(token)).join(run.texts ? "" : " ");
}

/** A token's text with its spaces to be seen; its number where no text is known.
 * @param {Run} run @param {number} token */
export function spelled(run, token) {
  if (token < 0) return "?";
  const seen = run.textOf(token).replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
  return seen || "∅";
}
