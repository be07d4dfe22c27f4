// The backward pass: from p - t at the logits, layer by layer, to the pixels.
import { card } from "./card.js";
import { clear, el, short } from "./dom.js";
import { grid_canvas, largest, paint, usual } from "./draw.js";

export function backward_pass(app) {
  const { size, labels, model } = app, { L, D, first, columns, width, height } = size;
  const { node, body } = card("backward", "The backward pass", "How would the {loss} change if a number on the way changed a little? That is the {gradient} of the number. Start at the {logits|logit} with p − t, predicted minus wanted, and undo one step after another." + (model.config.pool === "cls" ? " At the top only [CLS] has a gradient; attention hands it to the patches." : ""), "every section's backward");
  const title = el("p", { class: "worked" }), depths = Array.from({ length: L + 1 }, (_, i) => ({ canvas: grid_canvas("", { class: "tile" }), caption: el("figcaption", { class: "note" }), i })).reverse();
  const signed = grid_canvas("", { class: "tile large" }), signed_note = el("figcaption", { class: "note" });
  clear(body, title, el("div", { class: "film" }, depths.map(({ canvas, caption }) => el("figure", {}, canvas, caption))),
    el("div", { class: "split" }, el("figure", {}, signed, signed_note), el("div", {}, el("p", {}, "A step of every pixel against its gradient makes the class likelier: that is how adversarial pictures are made. Training takes such a step with the weights: the gradient at the output of a linear map, times what entered the map, is the gradient of its weights."), el("button", { id: "step", onclick: step }, "Take such a small step"))));

  // Every pixel moves by a few levels of 255 in the direction that makes the class likelier.
  function step() {
    const { state, gradient, pixels } = app, { mean, std } = model.preprocessing;
    state.label = gradient.label;
    for (let i = 0; i < width * height; i++) {
      state.pixels.set(i, [0, 1, 2].map((c) => {
        const low = -mean[c] / std[c], high = (1 - mean[c]) / std[c], by = 2 / 255 / std[c];
        return Math.min(high, Math.max(low, pixels[3 * i + c] - by * Math.sign(gradient.image[3 * i + c])));
      }));
    }
    app.change();
  }

  return { node, draw() {
    const { gradient } = app;
    if (!gradient) return;
    const name = labels[gradient.label], p = app.trace.probabilities.data[gradient.label];
    title.textContent = `For “${name}”: loss −log p = ${short(-Math.log(p))}; at the logit of “${name}” the gradient is p − 1 = ${short(gradient.dlogits[gradient.label])}.`;
    const lengths = gradient.stream.map((dz) => Float32Array.from({ length: dz.length / D }, (_, t) => Math.hypot(...dz.subarray(t * D, (t + 1) * D))));
    for (const { canvas, caption, i } of depths) {
      const of_patches = lengths[i].slice(first);
      paint(canvas, of_patches, columns);
      canvas.setAttribute("aria-label", `Length of the gradient at each patch ${i ? `after layer ${i - 1}` : "at the start"}`);
      caption.textContent = `${i ? `after layer ${i - 1}` : "at the start"}: ${first ? `[CLS] ${short(lengths[i][0])}, ` : ""}patches up to ${short(Math.max(...of_patches))}`;
    }
    const towards = Float32Array.from({ length: width * height }, (_, i) => -(gradient.image[3 * i] + gradient.image[3 * i + 1] + gradient.image[3 * i + 2]));
    const max = usual(towards, 0.95);
    paint(signed, towards, width, { signed: true, max });
    signed.setAttribute("aria-label", `Gradient of ${name} at each pixel`);
    signed_note.textContent = `Orange: brighter there means more “${name}”; blue: darker does. Minus the loss's gradient, colours summed; the strongest colours from ±${short(max)} on, the largest is ${short(largest(towards))}.`;
  } };
}
