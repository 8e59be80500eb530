// Sliders and choices of the explorer, what is expected, and the command that gives the same.

import { asker } from "asking";
import { decodeRun } from "columns";
import { make } from "dom";
import { bySoonness, LATENCIES, serves } from "served";
import { NOTHING } from "store";
import { duration, figure, percent } from "words";

/** @typedef {import("store").Store} Store */
/** @typedef {import("asking").Changes} Changes */
/** @typedef {{name: string, label: string, kind: string, value: string|number|null,
 *   min: number|null, max: number|null, step: number|null, choices: string[]}} Control */

const BASELINES = ["× over AR", "× over best SD"];
const LATER = ["detail", "baselines", "surface"];

/** @param {HTMLElement} element @param {Store} store */
export function mount(element, store) {
  const form = make("form", { class: "controls", "aria-label": "settings" });
  const number = make("p", { class: "number", "aria-live": "polite" });
  const expected = make("p", { class: "hint" });
  const refusal = make("p", { class: "refusal", role: "alert", hidden: true });
  const command = make("code", {}), copied = make("span", { role: "status" });
  const copy = make("button", { type: "button", click: () => copyCommand(command, copied) }, "copy");
  const keep = make("button", { type: "button", "aria-pressed": "false",
    hidden: store.get().runs.length > 1, // then a measured run is there
    click: () => pin(store, keep) }, "keep this run above, to compare");
  const over = make("p", { class: "hint" }), wide = matchMedia("(min-width: 50rem)").matches;
  element.append(number, over, expected, refusal, keep, make("details", { open: wide },
    make("summary", {}, "Settings, and the command that gives the same"), form,
    make("p", { class: "command" }, command, make("span", { class: "group" }, copy, copied))));
  const view = { element, form, number, over, expected, refusal, command };
  const ask = asker((want, answer) => tell(store, view, want, answer));
  const question = () => asked(store, ask);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => change(store, event, question));
  document.addEventListener("changes", question); // a cell of the surface was chosen
  if (Object.keys(store.get().changes).length) question();
  else ask({ changes: {}, now: ["expect"], later: LATER.slice(1) });
  return { draw: () => draw(store, view) };
}

/** @typedef {{element: HTMLElement, form: HTMLFormElement, number: HTMLElement, over: HTMLElement,
 *   expected: HTMLElement, refusal: HTMLElement, command: HTMLElement}} View */

/** Asks for a run at once, and for what takes longer when nothing has changed for a moment.
 * @param {Store} store @param {(question: import("asking").Question) => void} ask */
function asked(store, ask) {
  const { changes } = store.get();
  ask({ changes, now: ["expect", "run"], later: LATER });
}

/** @param {Store} store @param {Event} event @param {() => void} question */
function change(store, event, question) {
  const input = event.target;
  if (!(input instanceof HTMLInputElement || input instanceof HTMLSelectElement)) return;
  const known = controlsOf(store).find(({ name }) => name === input.name);
  if (!known || input.value === "") return;
  const value = known.kind === "choice" || known.choices.includes(input.value)
    ? input.value : Number(input.value);
  store.set({ changes: { ...store.get().changes, [input.name]: value } });
  show(input, value);
  question();
}

/** @param {Store} store @returns {Control[]} */
function controlsOf(store) {
  return store.get().live?.controls ?? [];
}

/** Keeps the run that is shown above those to come, or lets go of it.
 * @param {Store} store @param {HTMLElement} keep */
function pin(store, keep) {
  const { runs, live, selection } = store.get(), last = runs[runs.length - 1];
  const pinned = live.pinned ? null : last;
  keep.setAttribute("aria-pressed", `${!!pinned}`);
  const shown = pinned ? [last, last] : [last];
  store.set({ runs: shown, live: { ...live, pinned }, selection: { ...selection, run: 0 } });
}

/** Takes an answer into the state.
 * @param {Store} store @param {View} view @param {string} want @param {any} answer */
async function tell(store, view, want, answer) {
  if (want === "surface") {
    const live = { ...store.get().live, without: answer.refused };
    store.set({ surface: answer.surface ?? null, live });
    return;
  }
  refuse(view, answer.ok ? "" : answer.refused);
  if (!answer.ok) return;
  if (want === "expect") view.expected.textContent = expectation(answer);
  const shown = want === "run" || want === "detail" ? await replaced(store, answer.payload)
    : want === "baselines" ? { runs: compared(store, answer) } : {};
  const { live } = store.get(); // of now: it may have changed meanwhile
  store.set({ ...shown, live: { ...live, controls: answer.controls, command: answer.command } });
}

/** Shows why there is no answer; the numbers stay those of the last one.
 * @param {View} view @param {string} why */
function refuse(view, why) {
  view.refusal.hidden = !why;
  view.refusal.textContent = why;
  view.element.toggleAttribute("data-refused", !!why);
}

/** The runs of an answer; what was selected stays so where it is still there.
 * @param {Store} store @param {any} payload */
async function replaced(store, payload) {
  const read = await Promise.all(payload.runs.map(decodeRun)), { pinned } = store.get().live;
  const runs = pinned ? [pinned, ...read.slice(-1)] : read;
  const { selection } = store.get(), { run, seq, round } = selection;
  const there = seq !== null && round !== null && runs[run]?.find(seq, round) >= 0;
  const kept = there ? { ...selection, span: null, outcome: null } : { ...NOTHING, run };
  return { runs, selection: kept };
}

/** The same runs, the last of them beside its baselines.
 * @param {Store} store @param {any} answer */
function compared(store, { metrics, baselines, rows }) {
  const { runs } = store.get();
  return runs.map((run, at) => (at === runs.length - 1 ? { ...run, metrics, baselines, rows } : run));
}

/** @param {any} answer */
function expectation({ expectation: known, uncovered }) {
  if (!known) return `Not known beforehand: ${uncovered}.`;
  const { tokens_per_s, over_ar, over_sd, hit_rate } = known;
  const parts = [`${figure(tokens_per_s)} tokens/s`];
  if (over_ar) parts.push(`${figure(over_ar, 3)} × AR`);
  if (over_sd) parts.push(`${figure(over_sd, 3)} × best SD`);
  if (hit_rate !== null) parts.push(`${percent(hit_rate)} hits`);
  return `Expected in the long run: ${parts.join(", ")}.`;
}

/** @param {Store} store @param {View} view */
function draw(store, { form, number, over, command }) {
  const { live, runs } = store.get(), run = runs[runs.length - 1];
  command.textContent = live?.command ?? "";
  const said = new Map(run?.rows);
  number.textContent = `${said.get("tokens/s") ?? "no"} tokens/s`;
  const speedups = BASELINES.flatMap((label) => (said.has(label) ? [`${said.get(label)} ${label}`] : [])).join(", ");
  const by = speedups && run && bySoonness(run) ? `Requests are done sooner by ${speedups}. ` : speedups;
  over.textContent = run && serves(run) ? `${by}${latencies(run)}` : by;
  const controls = controlsOf(store);
  const shape = JSON.stringify(controls.map(({ value, ...fixed }) => fixed));
  if (form.dataset.shape !== shape) rebuild(form, controls, shape);
  for (const control of controls) {
    const input = form.elements.namedItem(control.name);
    const fits = input instanceof HTMLInputElement || input instanceof HTMLSelectElement;
    if (fits && input !== document.activeElement) {
      input.value = `${control.value}`;
      show(input, control.value);
    }
  }
}

/** How long requests took, and how many of them were within the limits.
 * @param {import("columns").Run} run */
function latencies({ metrics }) {
  const told = Object.entries(LATENCIES).filter(([name]) => metrics[`${name}_p50`] != null).map(([name, called]) =>
    `${called} ${duration(metrics[`${name}_p50`])} (p99 ${duration(metrics[`${name}_p99`])})`);
  const good = metrics.good_fraction == null ? "" : `; ${percent(metrics.good_fraction)} within the limits`;
  return `Of a request, in the median: ${told.join(", ")}${good}.`;
}

/** Makes the controls anew; who was typing goes on.
 * @param {HTMLFormElement} form @param {Control[]} controls @param {string} shape */
function rebuild(form, controls, shape) {
  const { activeElement } = document;
  const at = activeElement instanceof HTMLElement && form.contains(activeElement)
    ? activeElement.getAttribute("name") : null;
  form.dataset.shape = shape;
  form.replaceChildren(...controls.map(field));
  const again = at ? form.elements.namedItem(at) : null;
  if (again instanceof HTMLElement) again.focus();
}

/** @param {Control} control */
function field(control) {
  const { name, label, kind } = control;
  const said = make("span", { class: "label" }, make("b", {}, name), ` ${label}`);
  const input = kind === "choice" ? choice(control) : numeric(control);
  const parts = kind === "range" ? [input, make("output", {}, `${control.value}`)] : [input];
  return make("label", {}, said, make("span", { class: "input" }, ...parts,
    kind === "number" && control.choices.length ? named(control) : null));
}

/** @param {Control} control */
function choice({ name, choices, value }) {
  const options = choices.map((each) => make("option", { value: each, selected: each === value }, each));
  return make("select", { name }, ...options);
}

/** @param {Control} control */
function numeric({ name, kind, min, max, step, value, choices }) {
  const type = kind === "range" ? "range" : choices.length ? "text" : "number";
  return make("input", { name, type, min, max, step, value, inputmode: "decimal",
    list: choices.length ? `names-${name}` : null });
}

/** Names that may stand in place of a number.
 * @param {Control} control */
function named({ name, choices }) {
  return make("datalist", { id: `names-${name}` },
    ...choices.map((each) => make("option", { value: each })));
}

/** Shows a slider's value beside it.
 * @param {HTMLInputElement|HTMLSelectElement} input @param {string|number|null} value */
function show(input, value) {
  const output = input.nextElementSibling;
  if (output instanceof HTMLOutputElement) output.value = `${value}`;
}

/** @param {HTMLElement} command @param {HTMLElement} copied */
async function copyCommand(command, copied) {
  await navigator.clipboard.writeText(command.textContent ?? "");
  copied.textContent = "copied";
  window.setTimeout(() => (copied.textContent = ""), 1500);
}
