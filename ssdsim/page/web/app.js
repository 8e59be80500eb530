// Puts the page together: reads the payload, keeps the state, shows one tab at a time.

import { decodeRun } from "columns";
import { lacking, make } from "dom";
import { keyboard } from "keys";
import { keepLink } from "link";
import { requestOf, requestSentence, serves } from "served";
import { makeStore, NOTHING, selected } from "store";
import { roundSentence, settingSentence, spanSentence } from "words";

/** @typedef {import("store").Store} Store */
/** @typedef {import("store").State} State */
/** @typedef {import("columns").Run} Run */
/** @typedef {{draw: () => void}} Panel */

/** Tabs, and the modules whose panels they show. */
const TABS = /** @type {Record<string, string[]>} */ ({
  overview: ["overview"],
  timeline: ["lanes", "anatomy", "table"],
  requests: ["requests", "latencies", "requesttable"],
  round: ["tree", "why", "anatomy"],
  text: ["text"],
  compare: ["compare"],
  surface: ["surface"],
});

/** Reads the payload and shows it. */
export async function start() {
  const payload = JSON.parse(document.getElementById("payload")?.textContent ?? "{}");
  const runs = await Promise.all(payload.runs.map(decodeRun));
  const { surface, live, causes = null } = payload;
  const store = makeStore({ runs, tab: "overview", selection: NOTHING, view: null, surface, live,
    changes: {}, causes });
  document.body.prepend(...frame(store));
  keepLink(store);
  if (live) await aside(store);
  store.subscribe(() => show(store));
  await show(store);
  Object.assign(window, { store }); // for a browser's console
  performance.mark("ready");
  document.body.dataset.ready = "true";
}

/** The parts of the page that are always there.
 * @param {Store} store @returns {Node[]} */
function frame(store) {
  const help = keyboard(store);
  const tabs = make("div", { role: "tablist", class: "tabs" }, ...Object.keys(TABS).map((name) =>
    make("button", { role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, tabindex: -1,
      click: () => store.set({ tab: name }) }, name)));
  tabs.addEventListener("keydown", (event) => turn(store, event));
  const chooser = make("select", { id: "run", "aria-label": "run",
    change: () => store.set({ selection: { ...NOTHING, run: Number(chooser.value) }, view: null }) });
  const guide = make("button", { id: "tour", hidden: true, click: () => toured(store) }, "tour");
  const head = make("header", {}, make("h1", {}), make("p", { class: "soft", id: "setting" }), chooser, tabs, guide,
    make("button", { click: () => help.showModal(), "aria-label": "keys", class: "keys" }, "?"));
  const main = make("main", {}, ...Object.keys(TABS).map((name) =>
    make("section", { id: `panel-${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}`, hidden: true })));
  const said = make("footer", {}, make("p", { id: "said", role: "status", "aria-live": "polite" }));
  return [head, main, said, help];
}

/** Begins the tour of a round. @param {Store} store */
async function toured(store) {
  (await import("tour")).open(store);
}

/** @param {Store} store @param {KeyboardEvent} event */
function turn(store, event) {
  const names = tabsOf(store.get()), step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const at = (names.indexOf(store.get().tab) + step + names.length) % names.length;
  store.set({ tab: names[at] });
  document.getElementById(`tab-${names[at]}`)?.focus();
}

/** The tabs that there are: requests only where some came.
 * @param {State} state */
function tabsOf({ runs, selection }) {
  return Object.keys(TABS).filter((name) => name !== "requests" || serves(runs[selection.run]));
}

/** Mounts the controls of a page that a server answers.
 * @param {Store} store */
async function aside(store) {
  const element = make("aside", {});
  document.body.classList.add("live");
  document.querySelector("main")?.before(element);
  const controls = await panel("controls", element, store);
  store.subscribe(controls.draw);
  controls.draw();
}

/** Mounts a panel.
 * @param {string} name @param {HTMLElement} element @param {Store} store @returns {Promise<Panel>} */
async function panel(name, element, store) {
  try {
    const mounted = (await import(name)).mount(element, store);
    return { draw: () => guarded(element, mounted) };
  } catch (error) {
    element.append(lacking(`This part of the page is missing: ${error}`));
    return { draw() {} };
  }
}

/** Draws a panel; what goes wrong there stays there.
 * @param {HTMLElement} element @param {Panel} mounted */
function guarded(element, mounted) {
  try {
    mounted.draw();
  } catch (error) {
    element.append(lacking(`This part of the page failed: ${error}`));
    console.error(error);
  }
}

/** @type {Map<string, Promise<Panel[]>>} */
const mounted = new Map();

/** The panels of a tab; its code is read when it is first shown.
 * @param {string} tab @param {HTMLElement} element @param {Store} store @returns {Promise<Panel[]>} */
function panelsOf(tab, element, store) {
  let panels = mounted.get(tab);
  if (!panels) {
    panels = Promise.all(TABS[tab].map((name) => {
      const place = make("div", { class: `panel ${name}` });
      element.append(place);
      return panel(name, place, store);
    }));
    mounted.set(tab, panels);
  }
  return panels;
}

/** Shows the tab that the state names.
 * @param {Store} store */
async function show(store) {
  const state = store.get(), tabs = tabsOf(state), tab = tabs.includes(state.tab) ? state.tab : "overview";
  tell(state, tab);
  for (const name of Object.keys(TABS)) {
    const button = document.getElementById(`tab-${name}`);
    panelOf(name).hidden = name !== tab;
    button?.setAttribute("aria-selected", `${name === tab}`);
    if (button) {
      button.tabIndex = name === tab ? 0 : -1;
      button.hidden = !tabs.includes(name);
    }
  }
  const panels = await panelsOf(tab, panelOf(tab), store);
  if (store.get() !== state) return; // who changed it has it drawn
  for (const each of panels) each.draw();
  document.body.dataset.tab = tab;
}

/** @param {string} tab */
function panelOf(tab) {
  return /** @type {HTMLElement} */ (document.getElementById(`panel-${tab}`));
}

/** Says which run this is and what is selected.
 * @param {State} state @param {string} tab */
function tell(state, tab) {
  const [run, row] = selected(state);
  const title = document.querySelector("h1"), said = document.getElementById("said");
  const chooser = /** @type {HTMLSelectElement|null} */ (document.getElementById("run"));
  const setting = document.getElementById("setting");
  if (!title || !said || !chooser || !setting) return;
  title.textContent = run ? run.name : "explorer";
  setting.textContent = run ? settingSentence(run) : "";
  const labels = state.runs.map((each, at) => `${at ? "below" : "above"}: ${each.name} (${each.source})`);
  if (chooser.childElementCount !== labels.length) {
    chooser.replaceChildren(...labels.map((text, at) => make("option", { value: at }, text)));
  }
  chooser.hidden = labels.length < 2;
  document.getElementById("tour")?.toggleAttribute("hidden", !run?.policy || !run.rounds.rows);
  chooser.value = `${state.selection.run}`;
  said.textContent = run ? sentence(run, row, state.selection, tab) : "";
}

/** What is selected, in words.
 * @param {Run} run @param {number} row of its rounds @param {import("store").Selection} selection @param {string} tab */
function sentence(run, row, { seq, span }, tab) {
  const known = span !== null && span >= 0 && span < run.spans.rows;
  if (row >= 0) return roundSentence(run, row) + (known ? ` ${spanSentence(run, span)}.` : "");
  if (known) return spanSentence(run, span);
  const request = requestOf(run, seq);
  if (request >= 0) return requestSentence(run, request);
  const first = tab === "requests" ? "j selects the first request" : "] selects the first round";
  return `Nothing selected in ${tab}; ${first}, ? lists the keys.`;
}
