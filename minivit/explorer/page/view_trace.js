// Every step from pixels to probabilities by its name in minivit's trace, with its shape and its numbers' spread.
import { card } from "./card.js";
import { clear, el, short } from "./dom.js";

export function trace_table(app) {
  const { node, body } = card("trace", "Every step, by name", "The whole forward pass as a list: each name is the one in Python's p.trace, and each array agrees with it to float32.", "tracing.py");
  const rows = el("tbody"), all = el("details", { id: "all-steps" }, el("summary", {}, "Show all steps"), el("div", { class: "scroll" }, el("table", { class: "opened" }, el("caption", { class: "unseen" }, "Trace"),
    el("thead", {}, el("tr", {}, ["step", "shape", "mean", "standard deviation", "smallest", "largest"].map((t) => el("th", { scope: "col" }, t)))), rows)));
  clear(body, all);
  all.addEventListener("toggle", draw);
  function draw() {
    if (!all.open || !app.trace) return;
    clear(rows, Object.entries(app.trace).map(([name, { data, shape }]) => {
      let mean = 0, square = 0, low = Infinity, high = -Infinity;
      for (const v of data) { mean += v / data.length; low = Math.min(low, v); high = Math.max(high, v); }
      for (const v of data) square += (v - mean) ** 2 / data.length;
      return el("tr", {}, el("th", { scope: "row" }, el("code", {}, name)), [shape.join(" × "), ...[mean, Math.sqrt(square), low, high].map(short)].map((v) => el("td", {}, v)));
    }));
  }
  return { node, draw };
}
