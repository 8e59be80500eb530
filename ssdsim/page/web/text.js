// What a sequence's output is made of: each token as the round that made it.

import { lacking, make } from "dom";
import { hashOf } from "link";
import { selected, selectRound } from "store";
import { counted, MARKS, OUTCOMES, outcomeOf } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */

const HOW = /** @type {[string, string][]} */ ([["accepted", "accepted from a speculation that lay ready, or was drafted first"],
  ["by-backup", "accepted from the backup's"], ["bonus", "bonus token, the target's own"]]);

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  const chooser = make("select", { id: "sequence", change: () => choose(store, Number(chooser.value)) });
  const legend = make("ul", { class: "legend" }, ...HOW.map(([name, text]) =>
    make("li", {}, make("span", { class: `token ${name}` }, "token"), text)));
  const output = make("div", { class: "output" });
  element.append(make("div", { class: "toolbar" }, make("label", { for: "sequence" }, "Sequence "), chooser),
    legend, output);
  /** @type {Run|null} */
  let listed = null;
  return {
    draw() {
      const [run, row] = selected(store.get());
      if (!run) return output.replaceChildren(lacking("There is no run yet."));
      if (run !== listed) list(chooser, listed = run);
      const { seq: asked } = store.get().selection, named = run.sequences.some(({ seq }) => seq === asked);
      const seq = row >= 0 ? run.rounds.columns.seq[row] : named ? asked : run.sequences[0]?.seq;
      if (seq === undefined || seq === null) return output.replaceChildren(lacking("The run has no sequences."));
      chooser.value = `${seq}`;
      output.replaceChildren(...written(run, seq, store));
    },
  };
}

/** @param {HTMLSelectElement} chooser @param {Run} run */
function list(chooser, run) {
  chooser.replaceChildren(...run.sequences.map(({ seq, prompt, kind, tokens }) =>
    make("option", { value: seq }, `${seq}: ${[prompt, kind].filter(Boolean).join(", ")} (${counted(tokens, "token")})`)));
}

/** @param {Store} store @param {number} seq */
function choose(store, seq) {
  const [run] = selected(store.get());
  if (run) selectRound(store, run.roundsOf(seq)[0] ?? -1);
}

/** A sequence's rounds, a link each.
 * @param {Run} run @param {number} seq @param {Store} store @returns {Node[]} */
function written(run, seq, store) {
  const ids = run.sequences.find((each) => each.seq === seq)?.output ?? null;
  const rows = run.roundsOf(seq);
  if (!rows.length) return [lacking("No round of this sequence is here.")];
  let at = 0;
  const links = rows.map((row) => {
    const count = run.rounds.columns.accepted[row] + 1;
    const link = roundLink(run, row, ids?.slice(at, at + count) ?? null, store);
    at += count;
    return link;
  });
  const note = ids && run.texts ? [] : [lacking(ids
    ? "Token ids stand for texts: this run has no vocabulary.json (a real run of this version writes it)."
    : "This run has no token ids: a square is a token. Runs of real models, or over a recorded trace, have them.")];
  return [...note, make("p", { class: "written" }, ...links)];
}

/** @param {Run} run @param {number} row @param {number[]|null} ids @param {Store} store */
function roundLink(run, row, ids, store) {
  const { seq, round, accepted, speculator } = run.rounds.columns;
  const state = store.get(), outcome = outcomeOf(run, row);
  const selection = { ...state.selection, seq: seq[row], round: round[row], span: null, outcome: null };
  const chosen = state.selection.seq === seq[row] && state.selection.round === round[row];
  const by = run.speculators[speculator[row]] === "backup" ? "by-backup" : "accepted";
  const tokens = Array.from({ length: accepted[row] + 1 }, (_, at) => make("span",
    { class: `token ${at < accepted[row] ? by : "bonus"}` },
    ids ? shown(run, ids[at]) : "▪"));
  const title = `round ${round[row]}: ${MARKS[outcome]} ${OUTCOMES[outcome]}, ${accepted[row]} accepted and the bonus token`;
  return make("a", { href: hashOf({ ...state, tab: "round", selection }), class: `made${chosen ? " chosen" : ""}`,
    title, click: (/** @type {Event} */ event) => {
      event.preventDefault();
      store.set({ tab: "round", selection });
    } }, ...tokens);
}

/** A token's text, its line breaks made visible.
 * @param {Run} run @param {number} id */
function shown(run, id) {
  const text = run.textOf(id);
  return run.texts ? text.replaceAll("\n", "⏎\n") : `${text} `;
}
