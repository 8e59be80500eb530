// What is seen, to take along: as SVG, PNG or CSV.

import { make, svg } from "dom";
import { spansIn, viewOf } from "look";
import { layout, paintTimeline } from "paint";
import { canvasPen, svgPen } from "pen";
import { selected } from "store";
import { colours } from "theme";

/** @typedef {import("columns").Run} Run */
/** @typedef {import("store").Store} Store */

const WIDTH = 1200, FINER = 2;

/** Buttons that save the timeline that is seen.
 * @param {Store} store */
export function exportButtons(store) {
  const save = (/** @type {string} */ label, /** @type {(store: Store) => void} */ how) =>
    make("button", { click: () => how(store), title: `save what is seen as ${label}` }, label);
  return make("span", { class: "group" }, save("SVG", saveSvg), save("PNG", savePng),
    save("CSV", saveCsv));
}

/** What the exported picture shows.
 * @param {Store} store */
function subject(store) {
  const [run, round] = selected(store.get());
  const { span, seq } = store.get().selection, chosen = { round, span, seq };
  return run && { run, chosen, view: viewOf(store), height: layout(run).bottom };
}

/** @param {Store} store */
function saveSvg(store) {
  const shown = subject(store);
  if (!shown) return;
  const size = { width: WIDTH, height: shown.height, viewBox: `0 0 ${WIDTH} ${shown.height}` };
  const picture = svg("svg", { xmlns: "http://www.w3.org/2000/svg", ...size },
    svg("rect", { width: WIDTH, height: shown.height, fill: colours().paper }));
  paintTimeline(svgPen(picture), shown.run, shown.view, WIDTH, shown.chosen);
  download("timeline.svg", new Blob([picture.outerHTML], { type: "image/svg+xml" }));
}

/** @param {Store} store */
function savePng(store) {
  const shown = subject(store);
  if (!shown) return;
  const canvas = make("canvas", { width: WIDTH * FINER, height: shown.height * FINER });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(FINER, FINER);
  const pen = canvasPen(context);
  pen.rect(0, 0, WIDTH, shown.height, { fill: colours().paper });
  paintTimeline(pen, shown.run, shown.view, WIDTH, shown.chosen);
  canvas.toBlob((blob) => blob && download("timeline.png", blob));
}

/** @param {Store} store */
function saveCsv(store) {
  const shown = subject(store);
  if (!shown) return;
  const lines = [["lane", "kind", "seqs", "round", "start", "end", "batch", "branches", "tokens", "used"]];
  for (const span of spansIn(shown.run, shown.view)) lines.push(spanCells(shown.run, span));
  download("spans.csv", new Blob([lines.map((line) => line.join(",")).join("\n") + "\n"],
    { type: "text/csv" }));
}

/** @param {Run} run @param {number} span @returns {string[]} */
function spanCells(run, span) {
  const { lane, kind, round, start, end, batch, branches, tokens, used } = run.spans.columns;
  const numbers = [round, start, end, batch, branches, tokens, used].map((column) => `${column[span]}`);
  return [run.lanes[lane[span]], run.kinds[kind[span]], run.seqsOf(span).join(" "), ...numbers];
}

/** @param {string} name @param {Blob} blob */
function download(name, blob) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
