// How far each head looks: the mean distance in pixels between a patch and those it looks at, a dot a head.
import { card } from "./card.js";
import { clear, el } from "./dom.js";
import { svg } from "./draw.js";
import { attention_distances } from "./maps.js";

export function distance(app) {
  const { size, state } = app, { L, H, width, height, P, N, columns } = size;
  const { node, body } = card("distance", "How far each head looks", "A convolution's reach grows with depth. A {head} is free from layer 0 on: here is how far each one looks in this picture.", "explain/attention/distance.py");
  const figure = el("figure"), caption = el("figcaption", { class: "note" });
  clear(body, figure, el("p", { class: "legend" }, el("span", {}, el("i", { class: "head" }), "a head"), el("span", {}, el("i", { class: "everywhere" }), "looking everywhere alike")), caption);
  let uniform = 0;
  for (let a = 0; a < N; a++) for (let b = 0; b < N; b++)
    uniform += P * Math.hypot(Math.floor(a / columns) - Math.floor(b / columns), a % columns - b % columns) / (N * N);

  return { node, draw() {
    const far = attention_distances(app.trace, size), top = 0.7 * Math.max(width, height), [w, h, left, bottom] = [640, 220, 46, 34];
    const x = (l) => left + (l + 0.5) * (w - left - 10) / L, y = (v) => (h - bottom) * (1 - v / top) + 6;
    const ticks = [0, 0.25, 0.5].map((part) => Math.round(part * Math.max(width, height)));
    const dots = far.flatMap((heads, l) => heads.map((v, k) => svg("circle", { cx: x(l) + (k - (H - 1) / 2) * 3, cy: y(v), r: l === state.layer && k === state.head ? 7 : 4.5,
      class: l === state.layer && k === state.head ? "dot chosen" : "dot", onclick: () => app.select({ layer: l, head: k }) }, svg("title", {}, `layer ${l}, head ${k}: ${v.toFixed(1)} pixels`))));
    clear(figure, svg("svg", { viewBox: `0 0 ${w} ${h + 8}`, role: "img", "aria-label": `Mean attention distance of ${L * H} heads, in pixels` },
      ticks.map((v) => [svg("line", { x1: left, x2: w, y1: y(v), y2: y(v), class: "rule" }), svg("text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, String(v))]),
      svg("line", { x1: left, x2: w, y1: y(uniform), y2: y(uniform), class: "rule dashed" }),
      far.map((_, l) => svg("text", { x: x(l), y: h - 8, "text-anchor": "middle" }, String(l))), dots));
    const first_layer = far[0].map((v) => v.toFixed(1)).sort((a, b) => a - b);
    caption.textContent = `Layer 0: ${first_layer[0]} to ${first_layer.at(-1)} pixels; looking everywhere alike: ${uniform.toFixed(1)}. ` + (state.head === "mean" ? "Pixels (up) in each layer (across), among patches." : `Pixels (up) in each layer (across), among patches. Head ${state.head} of layer ${state.layer}: ${far[state.layer][state.head].toFixed(1)} pixels.`);
  } };
}
