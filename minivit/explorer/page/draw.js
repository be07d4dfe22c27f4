// Drawing: numbers to colours, and small pictures of arrays on a canvas.
import { el } from "./dom.js";

const DARK = matchMedia("(prefers-color-scheme: dark)");
export const is_dark = () => (document.documentElement.dataset.theme ?? (DARK.matches ? "dark" : "light")) === "dark";

// Weights from 0 on: bright is much, by day and by night, as in the picture under its lamp. Signed values, around the
// page's colour: blue below zero, orange above.
const SEQUENTIAL = [[28, 26, 36], [67, 42, 130], [124, 77, 230], [196, 160, 255], [255, 244, 214]];
const SIGNED = { light: [[29, 78, 216], [147, 179, 250], [248, 247, 244], [250, 176, 120], [194, 65, 12]],
  dark: [[125, 170, 255], [49, 80, 160], [30, 28, 38], [160, 84, 36], [255, 170, 110]] };

function mix(stops, at) {
  const place = Math.min(1, Math.max(0, at)) * (stops.length - 1), i = Math.min(stops.length - 2, Math.floor(place));
  return stops[i].map((low, c) => Math.round(low + (stops[i + 1][c] - low) * (place - i)));
}

const SHADES = 512, tables = new Map();
function shades(stops) {                                  // the colours of a scale, mixed once
  if (!tables.has(stops)) tables.set(stops, Array.from({ length: SHADES + 1 }, (_, i) => mix(stops, i / SHADES)));
  return tables.get(stops);
}
const shade = (table, at) => table[Math.round(SHADES * Math.min(1, Math.max(0, at)))];

export const weight_colour = (t) => shade(shades(SEQUENTIAL), t);
export const largest = (values) => values.reduce((m, v) => Math.max(m, Math.abs(v)), 0) || 1;

/** The size that `share` of the values do not exceed: a scale that a few large values do not darken. */
export function usual(values, share) {
  const sizes = Float32Array.from(values, Math.abs).sort();
  return sizes[Math.ceil(share * sizes.length) - 1] || 1;
}

/** A canvas of columns x rows cells, a pixel each; the style sheet enlarges it. */
export function grid_canvas(label, props = {}) {
  return el("canvas", { role: "img", "aria-label": label, ...props });
}

/** Paint values on a canvas, a pixel each. signed: around zero. max: the value of the strongest colour. */
export function paint(canvas, values, columns, { signed = false, max = largest(values) } = {}) {
  const rows = Math.ceil(values.length / columns), image = new ImageData(columns, rows);
  const table = shades(signed ? SIGNED[is_dark() ? "dark" : "light"] : SEQUENTIAL), pixels = image.data;
  for (let i = 0; i < values.length; i++) {
    const colour = shade(table, signed ? (values[i] / max + 1) / 2 : values[i] / max);
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = colour[c];
    pixels[4 * i + 3] = 255;
  }
  put(canvas, image);
}

/** Paint colours (rows, columns, 3) in [0, 1]. */
export function paint_colours(canvas, colours, columns) {
  const image = new ImageData(columns, colours.length / 3 / columns);
  for (let i = 0; i < colours.length / 3; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * colours[3 * i + c]);
    image.data[4 * i + 3] = 255;
  }
  put(canvas, image);
}

function put(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
}

/** An SVG element. */
export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value != null) node.setAttribute(key, value);
  }
  node.append(...children.flat(9));
  return node;
}

/** A vector as a strip of cells with a caption: {node, show(values, caption)}. */
export function strip(kind = "") {
  const canvas = grid_canvas(""), caption = el("figcaption"), node = el("figure", { class: `strip ${kind}` }, caption, canvas);
  return { node, canvas, show(values, text, max) {
    paint(canvas, values, values.length, { signed: true, max: max ?? largest(values) });
    canvas.setAttribute("aria-label", `${text}: ${values.length} numbers from ${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`);
    caption.textContent = text;
  } };
}
