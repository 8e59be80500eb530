// What all pictures on the time axis share: buttons that zoom, and the pointer.

import { make } from "dom";
import { bounds, pan, viewOf, zoom } from "look";
import { GUTTER } from "paint";
import { scale, zoomed } from "view";

/** @typedef {import("store").Store} Store */
/** What is under the pointer, said and picked.
 * @template T @typedef {{under: (event: MouseEvent) => T|null, say: (found: T) => string,
 *   pick: (found: T) => void}} Told */

const CLICK = 4;

/** @param {Store} store */
export function zoomButtons(store) {
  const fit = () => store.set({ view: bounds(store) });
  return make("span", { class: "group" },
    make("button", { click: () => zoom(store, 1 / 1.6), "aria-label": "zoom in" }, "+"),
    make("button", { click: () => zoom(store, 1.6), "aria-label": "zoom out" }, "−"),
    make("button", { click: fit }, "whole run"));
}

/** @param {HTMLCanvasElement} canvas */
function widthOf(canvas) {
  return canvas.clientWidth - GUTTER - 8;
}

/** The time at a place of a canvas.
 * @param {HTMLCanvasElement} canvas @param {Store} store @param {number} x */
export function timeAt(canvas, store, x) {
  return scale(viewOf(store), GUTTER, widthOf(canvas)).time(x);
}

/** Listens to the pointer: it pans and zooms, hovers and picks.
 * @template T
 * @param {HTMLCanvasElement} canvas @param {HTMLElement} tip @param {Store} store @param {Told<T>} told */
export function listen(canvas, tip, store, { under, say, pick }) {
  let dragged = 0, down = false;
  canvas.addEventListener("pointerdown", (event) => {
    [dragged, down] = [0, true];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", (event) => {
    down = false;
    const found = dragged < CLICK ? under(event) : null;
    if (found) pick(found);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (down) {
      dragged += Math.abs(event.movementX);
      if (dragged >= CLICK) pan(store, -event.movementX / widthOf(canvas));
    }
    const found = down ? null : under(event);
    hover(canvas, tip, found && say(found), event);
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("wheel", (event) => turn(canvas, store, event), { passive: false });
}

/** @param {HTMLCanvasElement} canvas @param {HTMLElement} tip @param {string|null} said
 * @param {PointerEvent} event */
function hover(canvas, tip, said, event) {
  tip.hidden = !said;
  if (!said) return;
  tip.textContent = said;
  const room = canvas.clientWidth - tip.offsetWidth - 4;
  tip.style.left = `${Math.max(0, Math.min(event.offsetX + 12, room))}px`;
  tip.style.top = `${event.offsetY + 18}px`;
}

/** @param {HTMLCanvasElement} canvas @param {Store} store @param {WheelEvent} event */
function turn(canvas, store, event) {
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    const at = timeAt(canvas, store, event.offsetX);
    store.set({ view: zoomed(viewOf(store), at, Math.exp(event.deltaY / 300), bounds(store)) });
  } else if (event.deltaX || event.shiftKey) {
    event.preventDefault();
    pan(store, (event.deltaX || event.deltaY) / canvas.clientWidth);
  }
}

/** Calls at most once a frame.
 * @param {() => void} draw */
export function onceAFrame(draw) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      draw();
    });
  };
}
