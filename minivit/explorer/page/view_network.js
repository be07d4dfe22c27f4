// The whole network on one line, and under it a map for each head of each layer: where the chosen token looks.
import { card } from "./card.js";
import { clear, el, percent } from "./dom.js";
import { grid_canvas, largest, paint } from "./draw.js";
import { explained } from "./glossary.js";
import { map_of } from "./maps.js";
import { lens_probabilities } from "./view_stream.js";

export function network(app) {
  const { size, state, labels, model } = app, { T, N, D, H, L, K, P, M, width, height, first } = size;
  const { node, body } = card("network", "The network at a glance", `An image becomes a sequence of ${N} {patches|patch}, as a sentence is a sequence of words; ${L} {layers|layer}, each {attention} and an {MLP}, work on it; ${model.config.pool === "cls" ? "one token gives" : "the mean of the patches gives"} the answer.`, "vit.py");
  const steps = [["picture", "pixels", `${height} × ${width} × 3`], ["patches", "patches", `${N} × ${P * P * 3}`], ["embedding", "embedding", `${N} × ${D}`],
    ["positions", first ? "[CLS], positions" : "positions", `${T} × ${D}`], ["attention", `${L} layers`, `${H} heads, MLP ${M}`], ["head", "head", `${D} → ${K}`]];
  const line = el("nav", { class: "pipeline", "aria-label": "Parts of the network" }, steps.map(([part, name, shape]) =>
    el("button", { "data-goto": part, onclick: () => document.querySelector(`[data-part="${part}"]`).scrollIntoView({ behavior: "smooth", block: "center" }) },
      el("b", {}, name), el("small", {}, shape))));
  const heading = el("p", { class: "note" });
  const maps = Array.from({ length: L }, (_, l) => Array.from({ length: H }, (_, h) => {
    const canvas = grid_canvas("", { "aria-hidden": "true" });
    return { canvas, button: el("button", { "data-map": `${l}.${h}`, onclick: () => app.select({ layer: l, head: h }) }, canvas) };
  }));
  const opinions = Array.from({ length: L }, () => el("div", { class: "opinion" }));
  const table = el("div", { class: "minimaps", style: `--layers:${L}`, role: "group", "aria-label": "A map for each head of each layer" }, maps.map((heads, l) =>
    el("div", { class: "column" }, el("span", { class: "number" }, String(l)), heads.map(({ button }) => button), opinions[l])));
  clear(body, line, heading, table, el("p", { class: "note" }, explained("A column a layer, a map a {head}. Below each column: what the network would answer if it read the {stream|residual stream} there ({logit lens}).")));

  return { node, draw() {
    heading.textContent = `Where ${app.token_name(state.token)} looks, in each layer (across) and head (down). Bright is much; each map has its own scale.`;
    const lens = lens_probabilities(app, app.trace);
    maps.forEach((heads, l) => {
      heads.forEach(({ canvas, button }, h) => {
        const row = map_of(app.trace, l, h, state.token, size).slice(first);
        paint(canvas, row, size.columns, { max: largest(row) });
        const off = state.layersOff.has(l) || state.headsOff.has(`${l}.${h}`);
        button.classList.toggle("off", off);
        button.setAttribute("aria-pressed", state.layer === l && (state.head === h || state.head === "mean"));
        button.setAttribute("aria-label", `layer ${l}, head ${h}${off ? ", switched off" : ""}, most ${percent(Math.max(...row))}`);
      });
      const p = lens[l + 1], best = p.indexOf(Math.max(...p));
      clear(opinions[l], el("b", {}, labels[best]), el("span", {}, percent(p[best], 0)));
    });
  } };
}
