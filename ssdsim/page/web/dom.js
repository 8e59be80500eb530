// Makes elements; what comes from data is only ever set as text.

/** @typedef {Record<string, string|number|boolean|EventListener|null|undefined>} Attributes */

const SVG = "http://www.w3.org/2000/svg";

/** @param {Element} element @param {Attributes} attributes @param {(Node|string|null|undefined|false)[]} children */
function furnished(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, `${value}`);
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** Makes an HTML element; functions among the attributes are listeners.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Attributes} attributes @param {...(Node|string|null|undefined|false)} children
 * @returns {HTMLElementTagNameMap[K]} */
export function make(tag, attributes = {}, ...children) {
  const made = furnished(document.createElement(tag), attributes, children);
  return /** @type {HTMLElementTagNameMap[K]} */ (made);
}

/** Makes an SVG element.
 * @param {string} tag @param {Attributes} attributes @param {...(Node|string|null|undefined|false)} children
 * @returns {SVGElement} */
export function svg(tag, attributes = {}, ...children) {
  return /** @type {SVGElement} */ (furnished(document.createElementNS(SVG, tag), attributes, children));
}

/** Makes a table with headings; cells that are no text are elements.
 * @param {string} caption @param {string[]} headings @param {(string|Node)[][]} rows */
export function tableOf(caption, headings, rows) {
  const head = make("tr", {}, ...headings.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...others]) => make("tr", {},
    make("th", { scope: "row" }, first), ...others.map((cell) => make("td", {}, cell))));
  return make("table", {}, make("caption", {}, caption), make("thead", {}, head),
    make("tbody", {}, ...body));
}

/** Says what a panel lacks, and how to get it.
 * @param {string} text */
export function lacking(text) {
  return make("p", { class: "lacking" }, text);
}
