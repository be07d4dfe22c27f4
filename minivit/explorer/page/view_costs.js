// What it costs: attention grows with the square of the tokens; and the sizes of the models people use.
import { card } from "./card.js";
import { clear, el } from "./dom.js";

const TABLE = [["Ti/16", 16, 192, 12, 768, 3], ["S/16", 16, 384, 12, 1536, 6], ["B/16", 16, 768, 12, 3072, 12], ["L/16", 16, 1024, 24, 4096, 16],
  ["H/14", 14, 1280, 32, 5120, 16]];

/** Multiply-adds of the matrix products of one forward pass, of the linear maps and of attention's two products. */
export function macs({ N, T, P, D, M, L, K }) {
  return { linear: N * P * P * 3 * D + L * T * (4 * D * D + 2 * D * M) + D * K, attention: L * 2 * T * T * D };
}

export function parameters({ T, P, D, M, L, K, first }, positions = true) {
  return P * P * 3 * D + D + first * D + (positions ? T * D : 0) + L * (4 * D * D + 4 * D + 2 * D * M + M + D + 4 * D) + 2 * D + D * K + K;
}

const big = (x) => x >= 1e9 ? `${(x / 1e9).toFixed(1)} G` : x >= 1e6 ? `${(x / 1e6).toFixed(1)} M` : x.toLocaleString("en");

export function costs(app) {
  const { size, model } = app, { P, height, width, first, T, L, H } = size;
  const { node, body } = card("costs", "What it costs, and how large it gets", `Every token looks at every other: ${T} tokens make ${T} × ${T} weights, in each of ${H} heads and ${L} layers. Twice the side means four times the patches and almost sixteen times the weights.`, "config.py");
  const side = el("input", { type: "range", id: "side", min: 1, max: 16, value: 1, oninput: draw }), rows = el("tbody"), value = el("output");
  const variants = TABLE.map(([name, p, D, l, M, h]) => { const N = (224 / p) ** 2; return [name, { P: p, D, L: l, M, H: h, N, T: N + 1, K: 1000, first: 1 }, 224]; });
  const learned = model.config.position === "learned";
  clear(body, el("label", { class: "slider" }, "Side of the picture ", side, value), el("div", { class: "scroll" }, el("table", { class: "opened" }, el("caption", { class: "unseen" }, "Cost by picture size"),
    el("thead", {}, el("tr", {}, ["tokens", "attention weights", "multiply-adds of linear maps", "multiply-adds of attention"].map((t) => el("th", { scope: "col" }, t)))), rows)),
    el("div", { class: "scroll" }, el("table", { class: "opened" }, el("caption", { class: "unseen" }, "Models"), el("thead", {}, el("tr", {}, ["model", "width", "layers", "heads", "tokens", "parameters", "multiply-adds"].map((t) => el("th", { scope: "col" }, t)))),
      el("tbody", {}, [[`${model.name ?? "this model"} (here)`, size, width], ...variants].map(([name, s, pixels]) => { const { linear, attention } = macs(s); return el("tr", {}, el("th", { scope: "row" }, `${name}, ${pixels} px`),
        [s.D, s.L, s.H, s.T, big(parameters(s, s !== size || learned)), big(linear + attention)].map((v) => el("td", {}, String(v)))); })))));

  function draw() {
    const k = Number(side.value), N = size.N * k * k, s = { ...size, N, T: N + first }, { linear, attention } = macs(s);
    value.textContent = `${width * k} × ${height * k} pixels, patches of ${P}`;
    clear(rows, el("tr", {}, [s.T.toLocaleString("en"), big(L * H * s.T * s.T), big(linear), big(attention)].map((v) => el("td", {}, v))));
  }
  return { node, draw };
}
