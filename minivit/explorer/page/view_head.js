// The head: one vector, K scores, the softmax.
import { card } from "./card.js";
import { clear, el, percent, short } from "./dom.js";
import { strip } from "./draw.js";

export function head_view(app) {
  const { size, model } = app, { D, K } = size, cls = model.config.pool === "cls";
  const { node, body } = card("head", `One ${cls ? "token" : "vector"} gives the answer`, `The ${cls ? "{[CLS]} token" : "mean of the patches"} after the last layer, normalised, is all that the head reads: ${D} numbers, one linear map, ${K} scores, the {logits|logit}. The {softmax} turns scores into probabilities.`, "head.py, loss.py");
  const representation = strip(), rows = el("tbody");
  clear(body, representation.node, el("div", { class: "scroll" }, el("table", { class: "opened" }, el("caption", { class: "unseen" }, "Logits and probabilities"), el("thead", {}, el("tr", {}, ["class", "logit", "exp(logit − max)", "probability"].map((name) => el("th", { scope: "col" }, name)))), rows)));
  return { node, draw() {
    const { representation: y, logits: { data: s }, probabilities: { data: p } } = app.trace, max = Math.max(...s);
    representation.show(y.data, `the representation: ${cls ? "LayerNorm of [CLS]" : "LayerNorm of the mean"}`);
    const best = [...p.keys()].sort((a, b) => p[b] - p[a]).slice(0, 10);
    clear(rows, best.map((k) => el("tr", {}, el("th", { scope: "row" }, app.labels[k]), el("td", {}, short(s[k])), el("td", {}, short(Math.exp(s[k] - max))),
      el("td", {}, el("span", { class: "meter" }, el("i", { style: `width:${100 * p[k] / p[best[0]]}%` })), percent(p[k])))));
  } };
}
