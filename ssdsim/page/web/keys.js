// Everything by keyboard.

import { make } from "dom";
import { pan, zoom } from "look";
import { HIT, MISS, step, stepRequest, stepSpan, stepTo } from "steps";

/** @typedef {import("store").Store} Store */

/** @type {[string[], string, (store: Store) => void][]} */
const KEYS = [
  [["ArrowLeft"], "pan left", (store) => pan(store, -0.2)],
  [["ArrowRight"], "pan right", (store) => pan(store, 0.2)],
  [["+", "="], "zoom in", (store) => zoom(store, 1 / 1.6)],
  [["-", "−"], "zoom out", (store) => zoom(store, 1.6)],
  [["["], "round before", (store) => step(store, -1)],
  [["]"], "next round", (store) => step(store, 1)],
  [[","], "pass before", (store) => stepSpan(store, -1)],
  [["."], "next pass", (store) => stepSpan(store, 1)],
  [["n"], "next miss", (store) => stepTo(store, MISS)],
  [["m"], "next hit", (store) => stepTo(store, HIT)],
  [["j"], "next request, in order of arrival", (store) => stepRequest(store, 1)],
  [["k"], "request before", (store) => stepRequest(store, -1)],
  [["c"], "compare", (store) => store.set({ tab: "compare" })],
];
const SPELLED = /** @type {Record<string, string>} */ ({ ArrowLeft: "←", ArrowRight: "→", "=": "", "−": "" });
const TYPED_INTO = "input, select, textarea";
const MOVED_WITHIN = "[role=tab], [data-keys]";

/** Listens to keys, and returns the page that explains them.
 * @param {Store} store @returns {HTMLDialogElement} */
export function keyboard(store) {
  const help = dialog();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target instanceof Element && taken(event.target, event.key)) return;
    const found = KEYS.find(([keys]) => keys.includes(event.key));
    if (event.key === "?") help.showModal();
    else if (found && store.get().runs.length) found[2](store);
    else return;
    event.preventDefault();
  });
  return help;
}

/** Whether a key means something to the element that it is pressed in; `data-keys` has arrows of its own.
 * @param {Element} element @param {string} key */
function taken(element, key) {
  return element.matches(TYPED_INTO) || (key.startsWith("Arrow") && element.matches(MOVED_WITHIN));
}

/** @returns {HTMLDialogElement} */
function dialog() {
  const lines = KEYS.flatMap(([keys, meaning]) => {
    const named = keys.map((key) => SPELLED[key] ?? key).filter(Boolean);
    return [make("dt", {}, ...named.map((key) => make("kbd", {}, key))), make("dd", {}, meaning)];
  });
  const list = make("dl", {}, ...lines, make("dt", {}, make("kbd", {}, "?")), make("dd", {}, "this page"));
  const close = make("button", { click: () => made.close() }, "close");
  const made = make("dialog", { "aria-label": "keys" }, make("h2", {}, "Keys"), list, close);
  return made;
}
