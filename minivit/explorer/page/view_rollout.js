// Attention rollout: all layers' maps multiplied up, a picture a layer.
import { card } from "./card.js";
import { clear, el, percent } from "./dom.js";
import { grid_canvas, paint } from "./draw.js";
import { rollout } from "./maps.js";

export function rollout_view(app) {
  const { size, state } = app, { L, T, first, columns } = size;
  const { node, body } = card("rollout", "Rollout: through all layers at once", "{Attention rollout|rollout}: the attention of layer after layer multiplied up, with half of every token handed on unchanged for the residual path. It sums up where information may have come from; values and MLPs do not enter, so it is no explanation.", "explain/attention/rollout.py");
  const frames = Array.from({ length: L }, (_, i) => ({ canvas: grid_canvas("", { class: "tile" }), caption: el("figcaption", { class: "note" }), i }));
  const strip = el("div", { class: "film" }, frames.map(({ canvas, caption }) => el("figure", {}, canvas, caption)));
  clear(body, strip);
  return { node, draw() {
    const t = state.token, maps = rollout(app.trace, size).map((flow) => flow.subarray(t * T, (t + 1) * T)), max = Math.max(...maps.flatMap((m) => [...m.slice(first).filter((_, n) => n + first !== t)]));
    frames.forEach(({ canvas, caption, i }) => {
      paint(canvas, maps[i].slice(first), columns, { max });
      canvas.setAttribute("aria-label", `Rollout of ${app.token_name(t)} up to layer ${i}`);
      caption.textContent = `up to layer ${i}; itself ${percent(maps[i][t], 0)}`;
    });
  } };
}
