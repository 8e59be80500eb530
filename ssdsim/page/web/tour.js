// A guided tour of one round, for someone who has never heard of SSD: eight steps over the run itself.

import { anatomyOf } from "anatomy";
import { make } from "dom";
import { follow } from "look";
import { bySoonness, serves } from "served";
import { NOTHING, selectRound } from "store";
import { verdictOf } from "why";
import { counted, duration, figure, outcomeOf, percent } from "words";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */
/** Where a step is: a row of the rounds, or -1, and of the spans.
 * @typedef {{row: number, span: number}} Place */
/** @typedef {{name: string, tab: string, find: (run: Run) => Place,
 *   say: (run: Run, at: Place) => string, none: string}} Step */

const HIT = 0, MISS = 1;
/** A share of a round that is not worth a word. */
const LITTLE = 0.01;
const NOWHERE = { row: -1, span: -1 };

/** @type {Step[]} */
const STEPS = [
  {
    name: "Draft", tab: "timeline", none: "In this run nothing is drafted in series.",
    find: (run) => either(withSpan(run, "speculate", (row) => seconds(run, spanIn(run, row, "speculate")) > 0),
      withSpan(run, "speculate", () => true)),
    say: (run, { row, span }) => `A large model, the target, gives one token a pass. A small one, the draft, is quicker: `
      + `here it guesses the next ${counted(drafted(run, row), "token")} `
      + `${seconds(run, span) ? `in ${took(run, span)}, one after the other` : "at once, as good as they come"}. `
      + `They are the speculation.`,
  },
  {
    name: "Verify", tab: "timeline", none: "In this run nothing is verified.",
    find: (run) => withSpan(run, "verify", (row) => drafted(run, row) > 0),
    say: (run, { row, span }) => `The target reads all ${counted(drafted(run, row), "guessed token")}${others(run, span)} `
      + `in one pass of ${took(run, span)}. A pass reads the model's weights once, however few tokens are in it, so checking a few `
      + `costs little more than making one.${alone(run)}`,
  },
  {
    name: "Outcome", tab: "round", none: "In this run no draft is verified.",
    find: (run) => either(first(run, (row) => keptSome(run, row)), first(run, (row) => drafted(run, row) > 0)),
    say: (run, { row }) => {
      const { accepted, drafted: of } = run.rounds.columns;
      return `The target keeps the guesses up to the first that it would not have made itself, ${accepted[row]} of `
        + `${of[row]}, and adds a token of its own, the bonus token: ${counted(accepted[row] + 1, "token")} in one pass. `
        + `How many were kept and which token follows is the outcome. The text is the target's own, whatever was guessed.`;
    },
  },
  {
    name: "Prediction", tab: "round", none: "In this run no outcome is predicted.",
    find: (run) => first(run, (row) => run.rounds.columns.predicted[row] > 0),
    say: (run, { row }) => {
      const span = spanIn(run, row, "prespeculate");
      const work = span < 0 ? "" : ` It took the draft's device ${took(run, span)}.`;
      return `Plain speculation would let the draft wait now. Speculative speculative decoding lets it guess how the `
        + `verify will end: it prepares ${counted(run.rounds.columns.predicted[row], "outcome")}, each with the next `
        + `speculation behind it, while the target works. Together they are the speculation cache.${work}`;
    },
  },
  {
    name: "Hit", tab: "timeline", none: "In this run no outcome was foreseen.",
    find: (run) => either(first(run, (row) => outcomeOf(run, row) === HIT && !heldUp(run, row)),
      first(run, (row) => outcomeOf(run, row) === HIT)),
    say: (run, { row }) => `The round before this one ended in an outcome that had been prepared: a hit. `
      + `${heldUp(run, row) || "The next speculation lay ready, so no time goes into drafting"}: the target begins `
      + `${waited(run, row)}. ${percent(run.metrics.hit_rate ?? NaN)} of the rounds for which something was prepared began so.`,
  },
  {
    name: "Miss", tab: "round", none: "In this run every outcome was foreseen.",
    find: (run) => before(run, first(run, (row) => outcomeOf(run, row) === MISS)),
    say: (run, { row }) => `The outcome of this round was not among the prepared ones: a miss. The tree shows what was prepared and `
      + `what came, and Why says what it would have taken${because(run, row)}.`,
  },
  {
    name: "Backup", tab: "timeline", none: "In this run nothing is drafted after a miss.",
    find: (run) => withSpan(run, "speculate", (row) => outcomeOf(run, row) === MISS),
    say: (run, { span }) => `After a miss somebody must draft anew, the backup, and the target waits for it: here `
      + `${seconds(run, span) ? took(run, span) : "no time at all"}. A slow backup guesses well and costs time; a quick one guesses badly and costs none.`,
  },
  {
    name: "Waste", tab: "overview", none: "",
    find: () => ({ row: -1, span: -1 }),
    say: (run) => `Of all that the draft computed ${percent(run.metrics.wasted_draft_token_fraction ?? NaN)} reached no output: `
      + `branches for outcomes that did not come. They cost power and a device, ${tail(run)}. `
      + `With them the run makes ${figure(run.metrics.tokens_per_s ?? NaN)} tokens/s${times(run)}.`,
  },
];

/** @type {(() => void)|null} */
let begin = null;

/** Begins the tour.
 * @param {Store} store */
export function open(store) {
  begin ??= made(store);
  begin();
}

/** Makes the card of the tour.
 * @param {Store} store @returns {() => void} what begins it */
function made(store) {
  let at = 0;
  const title = make("h2", { id: "tour-title" }), text = make("p", { "aria-live": "polite" });
  const back = make("button", { click: () => go(at - 1) }, "‹ back");
  const on = make("button", { click: () => (at + 1 < STEPS.length ? go(at + 1) : close()) }, "next ›");
  const card = make("aside", { class: "tour", hidden: true, "aria-labelledby": "tour-title" }, title, text,
    make("p", { class: "group" }, back, on, make("button", { click: close }, "end")));
  card.addEventListener("keydown", (event) => void (event.key === "Escape" && close()));
  /** @param {number} step */
  function go(step) {
    at = step;
    const run = store.get().runs[store.get().selection.run], { name, tab, find, say, none } = STEPS[at];
    const place = find(run), there = place.row >= 0 || place.span >= 0 || !none;
    title.textContent = `${at + 1} of ${STEPS.length}: ${name}`;
    text.textContent = there ? say(run, place) : none;
    back.disabled = at === 0;
    on.textContent = at + 1 < STEPS.length ? "next ›" : "done";
    point(store, tab, place);
    reveal(card, tab);
  }
  function close() {
    card.hidden = true;
  }
  document.body.append(card);
  return () => {
    card.hidden = false;
    go(0);
    on.focus();
  };
}

/** Shows a place in its tab.
 * @param {Store} store @param {string} tab @param {Place} place */
function point(store, tab, { row, span }) {
  const { run } = store.get().selection;
  if (row < 0) return store.set({ tab, selection: { ...NOTHING, run } });
  selectRound(store, row, span < 0 ? {} : { span });
  store.set({ tab });
  follow(store);
}

/** Scrolls on where the card hides what is told of, in a small window.
 * @param {HTMLElement} card @param {string} tab */
async function reveal(card, tab) {
  const frame = () => new Promise(requestAnimationFrame);
  do await frame(); while (document.body.dataset.tab !== tab);
  await frame(); // in which a picture finds its height
  const picture = document.querySelector(`#panel-${tab} :is(canvas.timeline, .tree-scroll)`);
  if (!picture) return;
  const shown = picture.getBoundingClientRect(), over = card.getBoundingClientRect();
  if (shown.bottom > over.top && shown.right > over.left) picture.scrollIntoView({ block: "start" });
}

/** @param {Run} run @param {(row: number) => boolean} wanted @returns {Place} */
function first(run, wanted) {
  for (let row = 0; row < run.rounds.rows; row++) if (wanted(row)) return { row, span: -1 };
  return NOWHERE;
}

/** @param {Place} place @param {Place} other @returns {Place} */
function either(place, other) {
  return place.row < 0 ? other : place;
}

/** Whether some drafted tokens were accepted and some not.
 * @param {Run} run @param {number} row */
function keptSome(run, row) {
  const { accepted } = run.rounds.columns;
  return accepted[row] > 0 && accepted[row] < drafted(run, row);
}

/** The round before, in which what came next was prepared.
 * @param {Run} run @param {Place} place @returns {Place} */
function before(run, { row }) {
  if (row < 0) return NOWHERE;
  const { seq, round } = run.rounds.columns;
  return { row: run.find(seq[row], round[row] - 1), span: -1 };
}

/** The first round of some kind with such a pass in it.
 * @param {Run} run @param {string} kind @param {(row: number) => boolean} wanted @returns {Place} */
function withSpan(run, kind, wanted) {
  const { row } = first(run, (each) => wanted(each) && spanIn(run, each, kind) >= 0);
  return row < 0 ? NOWHERE : { row, span: spanIn(run, row, kind) };
}

/** @param {Run} run @param {number} row @param {string} kind */
function spanIn(run, row, kind) {
  const { start } = run.rounds.columns;
  const own = run.spansOf(row).filter((span) => run.kinds[run.spans.columns.kind[span]] === kind);
  return own.find((span) => run.spans.columns.start[span] >= start[row]) ?? -1;
}

/** @param {Run} run @param {number} row @returns {number} */
function drafted(run, row) {
  return run.rounds.columns.drafted[row];
}

/** @param {Run} run @param {number} span */
function seconds(run, span) {
  return run.spans.columns.end[span] - run.spans.columns.start[span];
}

/** @param {Run} run @param {number} span */
function took(run, span) {
  return duration(seconds(run, span));
}

/** Who is verified beside a sequence.
 * @param {Run} run @param {number} span */
function others(run, span) {
  const count = run.seqsOf(span).length - 1;
  return count ? `, and those of ${counted(count, "other sequence")},` : "";
}

/** How long a round waits before its verify begins.
 * @param {Run} run @param {number} row */
function waited(run, row) {
  const verify = spanIn(run, row, "verify");
  const wait = verify < 0 ? 0 : run.spans.columns.start[verify] - run.rounds.columns.start[row];
  return wait ? `${duration(wait)} later` : "at once";
}

/** What a hit has to wait for, where it does.
 * @param {Run} run @param {number} row */
function heldUp(run, row) {
  const { tail: finishing, mates } = sharesOf(run, row);
  if (mates > LITTLE) return "The next speculation lay ready, but another sequence missed, and the batch waits for its backup";
  return finishing > LITTLE ? "Nothing is drafted anew, but the draft finishes all of its branches first" : "";
}

/** Time that branches cost, where they take longer than the verify.
 * @param {Run} run */
function tail(run) {
  const share = sharesOf(run, -1).tail;
  return share > LITTLE ? `and ${percent(share)} of the time, in which the target waits until all are drafted` : "not time";
}

/** What share of a round, or of all, each of its parts is.
 * @param {Run} run @param {number} row @returns {Record<string, number>} */
function sharesOf(run, row) {
  const parts = Object.entries(anatomyOf(run, row)), whole = parts.reduce((sum, [, each]) => sum + each, 0);
  return Object.fromEntries(parts.map(([name, each]) => [name, each / whole]));
}

/** What a token takes without a draft; where several are decoded together the mean over them would mislead.
 * @param {Run} run */
function alone(run) {
  const speed = run.config.batch === 1 && !serves(run) && run.baselines.ar?.tokens_per_s;
  return speed ? ` Alone it needs ${duration(1 / speed)} a token.` : "";
}

/** @param {Run} run @param {number} row */
function because(run, row) {
  const { seq, round } = run.rounds.columns;
  const verdict = verdictOf(run, run.find(seq[row], round[row] + 1));
  return verdict.startsWith("miss") || !verdict ? "" : `: ${verdict}`;
}

/** @param {Run} run */
function times(run) {
  const { speedup_over_ar: overAr, speedup_over_sd: overSd } = run.metrics;
  const as = bySoonness(run) ? "times as soon as by" : "times";
  const parts = [overAr && `${figure(overAr, 3)} ${as} the target alone`,
    overSd && `${figure(overSd, 3)} ${as} plain speculation at its best`];
  const said = parts.filter(Boolean).join(", ");
  return said ? `${bySoonness(run) ? "; requests are done " : ", "}${said}` : "";
}
