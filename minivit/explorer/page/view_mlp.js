// The MLP: each token alone, D -> M -> D, and GELU with the token's own numbers on the curve.
import { card } from "./card.js";
import { clear, el, percent, short } from "./dom.js";
import { strip, svg } from "./draw.js";
import { linear } from "./linear.js";
import { gelu } from "./vit.js";

export function mlp_view(app) {
  const { size, state, model } = app, { D, M } = size;
  const { node, body } = card("mlp", "MLP: each token thinks alone", `Attention moves information between tokens; the {MLP} works on one token at a time: ${D} numbers become ${M}, {GELU} bends them, and ${D} come back.`, "mlp.py, gelu.py");
  const [normed, hidden, back] = [strip(), strip(), strip()], curve = el("figure"), say = el("p", { class: "worked" });
  clear(body, el("div", { class: "split" }, curve, el("div", {}, normed.node, hidden.node, back.node, say)));

  return { node, draw() {
    const { layer, token } = state, at = (name, w) => app.trace[`layer.${layer}.${name}`].data.subarray(token * w, (token + 1) * w);
    const expanded = linear(at("norm2", D), model.params.blocks[layer].mlp.fc1), bent = at("hidden", M), open = bent.filter((v) => v > 0.1).length;
    normed.show(at("norm2", D), `${app.token_name(token)} after LayerNorm: ${D} numbers`);
    hidden.show(bent, `${M} hidden units after GELU`);
    back.show(at("mlp", D), `${D} numbers, added to the stream`);
    say.textContent = `${open} of ${M} units are open (above 0.1), ${percent(open / M, 0)}; each of the others gives between −0.17 and 0.1, little by itself, but they are many. The largest is ${short(Math.max(...bent))}.`;
    const [w, h] = [300, 200], right = Math.max(1.5, ...expanded), left = -3, top = Math.max(1, right);
    const x = (v) => 6 + (w - 12) * (Math.max(left, v) - left) / (right - left), y = (v) => h - 26 - (h - 40) * (v + 0.2) / (top + 0.2);
    const line = Float32Array.from({ length: 71 }, (_, i) => left + (right - left) * i / 70), bend = gelu(line, model.config.gelu);
    clear(curve, svg("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": "GELU, with this token's hidden units as dots" },
      svg("line", { x1: 0, x2: w, y1: y(0), y2: y(0), class: "rule" }), svg("line", { x1: x(0), x2: x(0), y1: 0, y2: h - 16, class: "rule" }),
      Array.from(expanded, (v, i) => svg("circle", { cx: x(v), cy: y(bent[i]), r: 3, class: "dot faint" })),
      svg("path", { d: Array.from(line, (v, i) => `${i ? "L" : "M"}${x(v)} ${y(bend[i])}`).join(""), class: "curve" }),
      svg("text", { x: x(0) + 6, y: 14 }, "gelu(x)"), [-2, -1, 0, 1].map((v) => svg("text", { x: x(v), y: h - 4, "text-anchor": "middle" }, String(v).replace("-", "−")))));
  } };
}
