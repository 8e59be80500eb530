// Where the nodes and outcomes of a speculation cache are drawn: columns by depth, and rows.

import { isEnd } from "cache";

/** @typedef {import("cache").Cache} Cache */
/** @typedef {import("cache").Prepared} Prepared */
/** A place in the picture: `node` is a drafted token, `outcome` what may follow one; `more` counts
 * outcomes that are not drawn.
 * @typedef {{column: number, row: number, from: Place|null, node: number,
 *   outcome: Prepared|null, more: number}} Place */

/** Outcomes of a node that are drawn; the table lists all. */
const MOST = 40;

/** Every node and outcome of a cache in its place. A chain makes one line, with what may follow
 * each token in a column below; a token tree makes as many lines as it has ends.
 * @param {Cache} cache @returns {{places: Place[], columns: number, rows: number}} */
export function placed(cache) {
  /** @type {Place[]} */
  const places = [];
  /** @type {number[]} */
  const free = [];
  const children = childrenOf(cache), following = followersOf(cache);

  /** @param {number} column @param {number} wanted @param {Partial<Place>} what @returns {Place} */
  function put(column, wanted, what) {
    const row = Math.max(wanted, free[column] ?? 0);
    free[column] = row + 1;
    const place = { column, row, from: null, node: -1, outcome: null, more: 0, ...what };
    places.push(place);
    return place;
  }

  /** @param {Place} from */
  function grow(from) {
    const column = from.column + 1;
    children[from.node].forEach((node, at) =>
      grow(put(column, from.row + (at > 0 ? 1 : 0), { node, from })));
    const all = following[from.node], drawn = all.filter((one, at) => at < MOST || isEnd(cache, one));
    for (const outcome of drawn) put(column, from.row + 1, { outcome, from });
    if (drawn.length < all.length) {
      put(column, from.row + 1, { more: all.length - drawn.length, from });
    }
  }

  grow(put(0, 0, { node: 0 }));
  return { places, columns: 1 + Math.max(...places.map(({ column }) => column)),
    rows: 1 + Math.max(...places.map(({ row }) => row)) };
}

/** The draft's own probability of the text up to each node: NaN where it is not known.
 * @param {Cache} cache @returns {number[]} */
export function chancesOf({ nodes }) {
  const found = [1];
  nodes.forEach(({ parent, confidence }, node) => {
    if (node) found[node] = found[parent] * confidence;
  });
  return found;
}

/** @param {Cache} cache @returns {number[][]} */
function childrenOf({ nodes }) {
  /** @type {number[][]} */
  const found = nodes.map(() => []);
  nodes.forEach(({ parent }, node) => parent >= 0 && found[parent].push(node));
  return found;
}

/** What may follow each node: the predicted outcomes by rank, and the true one if it is none.
 * @param {Cache} cache @returns {Prepared[][]} */
function followersOf({ nodes, prepared, outcome }) {
  /** @type {Prepared[][]} */
  const found = nodes.map(() => []);
  for (const one of prepared) found[one.node].push(one);
  if (outcome && !prepared.includes(outcome)) found[outcome.node].push(outcome);
  return found;
}
