// Where the reader looks (token, layer, head), and the switches of the network.
import { choices, clear, el, toggle } from "./dom.js";
import { explained } from "./glossary.js";
import { is_undoable } from "./state.js";

export function controls(app, node) {
  const { size, state } = app, numbers = (n) => Array.from({ length: n }, (_, i) => [i, String(i)]);
  const token = el("output", { class: "token", id: "token" });
  const layer = choices("Layer", numbers(size.L), (value) => app.select({ layer: value }));
  const head = choices("Head", [...numbers(size.H), ["mean", "mean", "the mean of all heads"]], (value) => app.select({ head: value }));
  const positions = toggle("Positions", (on) => app.change({ positions: on }), { id: "positions" });
  const this_layer = toggle("Layer", (on) => flip(state.layersOff, state.layer, on), { id: "layer-on" });
  const this_head = toggle("Head", (on) => flip(state.headsOff, `${state.layer}.${state.head}`, on), { id: "head-on" });
  const heat = el("input", { type: "range", id: "temperature", "aria-label": "Temperature of the softmax", title: "Scores are divided by it before the softmax", min: -2, max: 2, step: 0.05, "aria-describedby": "heat-value",
    oninput: () => app.change({ temperature: Number((2 ** heat.value).toFixed(3)) }) });
  const heat_value = el("output", { id: "heat-value" });
  const reset = el("button", { id: "reset", onclick: () => app.reset() }, "Undo all");
  const flip = (set, key, on) => { on ? set.delete(key) : set.add(key); app.change(); };
  clear(node,
    el("div", { class: "row" }, el("div", { class: "field" }, el("span", {}, explained("{Token|token}")), token),
      el("div", { class: "field" }, el("span", {}, explained("{Layer|layer}")), layer.node), el("div", { class: "field" }, el("span", {}, explained("{Head|head}")), head.node), reset),
    el("div", { class: "row switches" }, positions.node, this_layer.node, this_head.node,
      el("div", { class: "slider" }, explained("{Temperature|temperature}"), heat, heat_value)));

  return function draw() {
    token.textContent = app.token_name(state.token);
    layer.show(state.layer);
    head.show(state.head);
    positions.show(state.positions);
    this_layer.show(!state.layersOff.has(state.layer), `Layer ${state.layer} on`);
    this_head.input.disabled = state.head === "mean";
    this_head.show(state.head === "mean" || !state.headsOff.has(`${state.layer}.${state.head}`),
      state.head === "mean" ? "One head: choose it above" : `Head ${state.head} of layer ${state.layer} on`);
    heat.value = Math.log2(state.temperature);
    heat.setAttribute("aria-valuetext", state.temperature.toFixed(2));
    heat_value.textContent = state.temperature.toFixed(2);
    reset.disabled = !is_undoable(state);
  };
}
