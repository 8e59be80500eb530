// The colours of page.css, for what is painted.

/** @typedef {Record<string, string>} Colours */

const NAMES = ["ink", "soft", "line", "paper", "raised", "accent", "hit", "miss", "nothing", "verify",
  "speculate", "prespeculate", "prefill", "transfer", "search", "wait", "waiting", "on-dark", "on-light",
  "both", "tail", "backup", "draft", "link", "dispatch", "nobody"];
const dark = matchMedia("(prefers-color-scheme: dark)");

/** @type {Colours|null} */
let known = null;

/** All colours by name, as they are in the theme of this moment. @returns {Colours} */
export function colours() {
  if (!known) {
    const style = getComputedStyle(document.documentElement);
    known = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return known;
}

/** Calls when the theme changes. @param {() => void} draw */
export function onTheme(draw) {
  dark.addEventListener("change", () => {
    known = null;
    draw();
  });
}
