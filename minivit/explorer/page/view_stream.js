// The residual stream of the chosen token, layer by layer: its length, and what each branch adds. And the logit lens.
import { card } from "./card.js";
import { clear, el, percent, short } from "./dom.js";
import { svg } from "./draw.js";
import { head, softmax } from "./vit.js";

const norm = (a) => Math.sqrt(a.reduce((sum, v) => sum + v * v, 0));
const read = new WeakMap();

/** The head applied to the stream at each of the L + 1 depths: a row of K probabilities each. */
export function lens_probabilities({ model, size }, trace) {
  if (!read.has(trace)) read.set(trace, Array.from({ length: size.L + 1 }, (_, depth) => {
    const z = depth ? trace[`layer.${depth - 1}.output`].data : trace.embedded.data;
    return softmax(head(model.config.pool === "cls" ? z.subarray(0, size.D) : z, model.params, model.config, size).logits, size.K);
  }));
  return read.get(trace);
}

export function stream(app) {
  const { size, state } = app, { L, D } = size;
  const { node, body } = card("stream", "The residual stream", "No layer replaces a token: attention and MLP each add to it, to its {residual stream}. The bars show how long the vector of the chosen token is after each layer, and how long each addition.", "layer.py, layer_norm.py");
  const figure = el("figure"), caption = el("figcaption", { class: "note" });
  clear(body, figure, el("p", { class: "legend" }, [["stream", "the stream"], ["added attention", "added by attention"], ["added mlp", "added by the MLP"]].map(([kind, words]) => el("span", {}, el("i", { class: kind }), words))), caption);

  return { node, draw() {
    const { token, layer } = state, part = (name) => norm(app.trace[name].data.subarray(token * D, (token + 1) * D));
    const bars = [[part("embedded"), 0, 0], ...Array.from({ length: L }, (_, i) => ["output", "attended", "mlp"].map((name) => part(`layer.${i}.${name}`)))];
    const max = Math.max(...bars.flat()), [w, h] = [640, 200], step = w / (L + 1), y = (v) => (h - 40) * v / max;
    clear(figure, svg("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": `Length of the stream of ${app.token_name(token)}: ${bars.map(([v]) => short(v)).join(", ")}` },
      bars.flatMap((three, i) => [
        i - 1 === layer ? svg("rect", { x: i * step + 2, y: 0, width: step - 4, height: h - 20, class: "here" }) : [],
        three.map((v, k) => svg("rect", { x: (i + 0.14 + 0.25 * k) * step, y: h - 22 - y(v), width: 0.21 * step, height: y(v), rx: 2, class: ["stream", "added attention", "added mlp"][k] })),
        svg("text", { x: (i + 0.14 + 0.105) * step, y: h - 26 - y(three[0]), "text-anchor": "middle" }, short(three[0])),
        svg("text", { x: (i + 0.5) * step, y: h - 4, "text-anchor": "middle" }, i ? `layer ${i - 1}` : "start")]).flat()));
    caption.textContent = `Euclidean lengths for ${app.token_name(token)}. In layer ${layer}, attention adds ${short(bars[layer + 1][1])} and the MLP ${short(bars[layer + 1][2])} to a stream of ${short(bars[layer][0])}.`;
  } };
}

export function lens(app) {
  const { size, state } = app, { L, K } = size;
  const { node, body } = card("lens", "Logit lens: the answer, layer by layer", "The {residual stream} has the same width everywhere, so the network's last {LayerNorm} and head can read it after any layer: a {logit lens}. Watch when the answer appears.", "explain/layers/logit_lens.py");
  const table = el("table", { class: "lens" });
  clear(body, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Logit lens" }, table));
  return { node, draw() {
    const depths = lens_probabilities(app, app.trace), last = depths.at(-1);
    const classes = K <= 12 ? [...last.keys()] : [...last.keys()].sort((a, b) => Math.max(...depths.map((p) => p[b])) - Math.max(...depths.map((p) => p[a]))).slice(0, 10);
    clear(table, el("caption", { class: "unseen" }, "Probability of each class after each layer"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "first" }, "after"), depths.map((_, i) => el("th", { scope: "col", class: i - 1 === state.layer ? "here" : "" }, i ? `layer ${i - 1}` : "start")))),
      el("tbody", {}, classes.map((k) => el("tr", {}, el("th", { scope: "row" }, app.labels[k]), depths.map((p) => {
        const best = k === p.indexOf(Math.max(...p));
        return el("td", { class: `${best ? "best" : ""} ${p[k] > 0.5 ? "much" : ""}`, style: `--p: ${100 * p[k]}%` }, percent(p[k], 0));
      })))));
  } };
}
