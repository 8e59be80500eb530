// The address says what is shown: tab, run, sequence, round, and the stretch of time.

/** @typedef {import("store").State} State */
/** @typedef {import("store").Store} Store */

const NUMBERS = /** @type {const} */ (["run", "seq", "round", "span", "outcome"]);

/** @param {State} state @returns {string} */
export function hashOf({ tab, selection, view, changes }) {
  const said = new URLSearchParams({ tab });
  for (const name of NUMBERS) if (selection[name] !== null) said.set(name, `${selection[name]}`);
  if (view) {
    said.set("from", `${view.from}`);
    said.set("to", `${view.to}`);
  }
  if (Object.keys(changes).length) said.set("set", JSON.stringify(changes));
  return `#${said}`;
}

/** What an address says; all else is as it is.
 * @param {string} hash @param {State} state @returns {Partial<State>} */
export function stateOf(hash, state) {
  const said = new URLSearchParams(hash.slice(1));
  const number = (/** @type {string} */ name) => {
    const text = said.get(name);
    return text === null || !Number.isFinite(Number(text)) ? null : Number(text);
  };
  const run = number("run") ?? 0, from = number("from"), to = number("to");
  const [seq, round, span, outcome] = NUMBERS.slice(1).map(number);
  const view = from !== null && to !== null && to > from ? { from, to } : null;
  const known = run in state.runs;
  return { tab: said.get("tab") ?? state.tab, view, changes: changesIn(said.get("set")),
    selection: { run: known ? run : 0, seq, round, span, outcome } };
}

/** @param {string|null} text @returns {Record<string, string|number>} */
function changesIn(text) {
  try {
    const found = JSON.parse(text ?? "{}");
    return found && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}

/** Keeps the address and the state together.
 * @param {Store} store */
export function keepLink(store) {
  if (location.protocol === "about:") return; // a frame in a notebook has no address of its own
  let waiting = 0;
  if (location.hash) store.set(stateOf(location.hash, store.get()));
  store.subscribe((state) => {
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => history.replaceState(null, "", hashOf(state)), 200);
  });
  window.addEventListener("hashchange", () => store.set(stateOf(location.hash, store.get())));
}
