// Two pens that draw the same: on a canvas, and into an SVG.

import { svg } from "dom";

/** @typedef {{fill?: string, stroke?: string, opacity?: number, dash?: string, align?: string,
 *   size?: number, weight?: string, width?: number}} Style */
/** @typedef {{rect: (x: number, y: number, width: number, height: number, style: Style) => void,
 *   line: (points: [number, number][], style: Style) => void,
 *   text: (x: number, y: number, text: string, style: Style) => void}} Pen */

const FONT = "system-ui, sans-serif";

/** Gives a canvas its size in CSS pixels, and returns what draws on it, empty.
 * @param {HTMLCanvasElement} canvas @param {number} width @param {number} height */
export function sized(canvas, width, height) {
  const ratio = devicePixelRatio || 1, size = [width, height].map((length) => Math.round(length * ratio));
  canvas.style.height = `${height}px`;
  if (canvas.width !== size[0]) canvas.width = size[0];
  if (canvas.height !== size[1]) canvas.height = size[1];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** @param {CanvasRenderingContext2D} context @returns {Pen} */
export function canvasPen(context) {
  return {
    rect(x, y, width, height, { fill, stroke, opacity = 1, width: thick = 1 }) {
      context.globalAlpha = opacity;
      if (fill) {
        context.fillStyle = fill;
        context.fillRect(x, y, width, height);
      }
      if (stroke) {
        context.strokeStyle = stroke;
        context.lineWidth = thick;
        context.strokeRect(x, y, width, height);
      }
    },
    line(points, { stroke = "", opacity = 1, dash = "", width = 1 }) {
      context.globalAlpha = opacity;
      context.strokeStyle = stroke;
      context.lineWidth = width;
      context.setLineDash(dash ? dash.split(" ").map(Number) : []);
      context.beginPath();
      points.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.stroke();
      context.setLineDash([]);
    },
    text(x, y, text, { fill = "", align = "start", size = 11, weight = "normal" }) {
      context.globalAlpha = 1;
      context.fillStyle = fill;
      context.font = `${weight} ${size}px ${FONT}`;
      context.textAlign = /** @type {CanvasTextAlign} */ (align === "middle" ? "center" : align);
      context.textBaseline = "middle";
      context.fillText(text, x, y);
    },
  };
}

/** @param {SVGElement} into @returns {Pen} */
export function svgPen(into) {
  return {
    rect(x, y, width, height, { fill = "none", stroke, opacity, width: thick }) {
      into.append(svg("rect", { x: tenth(x), y: tenth(y), width: tenth(width),
        height: tenth(height), fill, stroke, opacity, "stroke-width": thick }));
    },
    line(points, { stroke, opacity, dash, width }) {
      into.append(svg("polyline", { points: points.map((at) => at.map(tenth).join(",")).join(" "),
        fill: "none", stroke, opacity, "stroke-dasharray": dash || null, "stroke-width": width }));
    },
    text(x, y, text, { fill, align, size = 11, weight }) {
      into.append(svg("text", { x: tenth(x), y: tenth(y), fill, "font-family": FONT,
        "font-size": size, "font-weight": weight, "text-anchor": align,
        "dominant-baseline": "central" }, text));
    },
  };
}

/** @param {number} value */
function tenth(value) {
  return Math.round(value * 10) / 10;
}
