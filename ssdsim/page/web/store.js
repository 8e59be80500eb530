// What the page shows: one state, and who wants to know of changes.

/** @typedef {import("columns").Run} Run */
/** Rows of a run's tables; null: none.
 * @typedef {{run: number, seq: number|null, round: number|null, span: number|null,
 *   outcome: number|null}} Selection */
/** @typedef {{from: number, to: number}} View seconds */
/** @typedef {{runs: Run[], tab: string, selection: Selection, view: View|null, surface: any,
 *   live: any, changes: Record<string, string|number>, causes: Record<string, number>|null}} State */
/** @typedef {{state: State, get: () => State, set: (patch: Partial<State>) => void,
 *   subscribe: (fn: (state: State) => void) => void}} Store */

/** @type {Selection} */
export const NOTHING = { run: 0, seq: null, round: null, span: null, outcome: null };

/** @param {State} state @returns {Store} */
export function makeStore(state) {
  /** @type {((state: State) => void)[]} */
  const listeners = [];
  const store = {
    state,
    get: () => store.state,
    /** @param {Partial<State>} patch */
    set(patch) {
      store.state = { ...store.state, ...patch };
      for (const listener of listeners) listener(store.state);
    },
    /** @param {(state: State) => void} fn */
    subscribe: (fn) => void listeners.push(fn),
  };
  return store;
}

/** The run that is looked at, and the row of its rounds that is selected, or -1.
 * @param {State} state @returns {[Run|null, number]} */
export function selected(state) {
  const { run, seq, round } = state.selection;
  const found = state.runs[run] ?? null;
  return [found, found && seq !== null && round !== null ? found.find(seq, round) : -1];
}

/** Selects a round by its row.
 * @param {Store} store @param {number} row @param {Partial<Selection>} [more] */
export function selectRound(store, row, more = {}) {
  const { runs, selection } = store.get();
  const at = more.run ?? selection.run;
  if (row < 0 || !runs[at]) return;
  const { seq, round } = runs[at].rounds.columns;
  store.set({ selection: { ...NOTHING, run: at, seq: seq[row], round: round[row], ...more } });
}
