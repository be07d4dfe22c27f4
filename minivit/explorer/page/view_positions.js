// Positions: how alike the position embedding of the chosen patch is to all others, a cosine each.
import { card } from "./card.js";
import { clear, el, short } from "./dom.js";
import { grid_canvas, paint } from "./draw.js";
import { position_table } from "./vit.js";

export function positions(app) {
  const { size, state, model } = app, { N, D, T, first, columns, rows } = size, table = position_table(model.params, model.config);
  const { node, body } = card("positions", "Where each patch came from", "Attention treats its {tokens|token} as a set. A vector for each place, its {position embedding}, is added to the token and tells them apart. Places next to each other have similar vectors. In the packaged model they began so, as sines and cosines, and were trained from there; vectors that begin at random learn it (chapter 04).", "position_embedding.py");
  const tile = grid_canvas("", { class: "tile" }), caption = el("figcaption", { class: "note" });
  const sheet = grid_canvas("Similarity of every place with every other: a tile a place", { class: "tile" }), all_caption = el("figcaption", { class: "note" });
  const say = el("p", { class: "worked" });
  clear(body, el("div", { class: "split even" }, el("figure", {}, tile, caption),
    el("figure", {}, sheet, all_caption)), say);
  const cosines = table && unit_products(table.subarray((T - N) * D), N, D), lowest = cosines?.reduce((a, b) => Math.min(a, b));
  const shade = (values) => values.map((v) => v - lowest), max = 1 - lowest || 1;

  return { node, draw() {
    if (!table) return clear(body, el("p", {}, "This model has no positions."));
    const of_cls = state.token < first, n = Math.max(0, state.token - first), row = cosines.subarray(n * N, (n + 1) * N);
    paint(tile, shade(row), columns, { max });
    tile.setAttribute("aria-label", `Cosine similarity of place ${n} with all places`);
    caption.textContent = (of_cls ? "[CLS] has no place in the picture; place 0 is shown. " : "") + `Cosine of place ${n} with each place: ${short(Math.min(...row))} to 1. Bright is alike.`;
    const wide = columns * (columns + 1) - 1, high = rows * (rows + 1) - 1, all = new Float32Array(wide * high).fill(lowest);
    for (let a = 0; a < N; a++) for (let b = 0; b < N; b++)
      all[(Math.floor(a / columns) * (rows + 1) + Math.floor(b / columns)) * wide + (a % columns) * (columns + 1) + b % columns] = cosines[a * N + b];
    paint(sheet, shade(all), wide, { max });
    const pen = sheet.getContext("2d");                    // a pixel between the tiles
    for (let k = 1; k < columns; k++) pen.clearRect(k * (columns + 1) - 1, 0, 1, high);
    for (let k = 1; k < rows; k++) pen.clearRect(0, k * (rows + 1) - 1, wide, 1);
    all_caption.textContent = `All ${N} places, a tile each (ViT paper, figure 7). The darkest is ${short(lowest)}.`;
    say.textContent = state.positions ? (state.order ? "The patches are shuffled while the positions stay: the network reads a scrambled picture. Now switch the positions off."
      : "Try: shuffle the patches, then switch the positions off and shuffle again.")
      : "Positions are off: shuffle the patches as you like, the answer stays the same, to rounding.";
  } };
}

function unit_products(table, N, D) {
  const out = new Float32Array(N * N), norms = Array.from({ length: N }, (_, n) => Math.hypot(...table.subarray(n * D, (n + 1) * D)));
  for (let a = 0; a < N; a++) for (let b = 0; b < N; b++) {
    let sum = 0;
    for (let j = 0; j < D; j++) sum += table[a * D + j] * table[b * D + j];
    out[a * N + b] = sum / (norms[a] * norms[b]);
  }
  return out;
}
