// One patch becomes one vector: its numbers, the linear map, and one feature of it worked out.
import { card } from "./card.js";
import { clear, el, short } from "./dom.js";
import { paint_colours, strip } from "./draw.js";
import { denormalise } from "./preparation.js";

export function embedding(app) {
  const { size, state, model } = app, { P, D, first } = size, inputs = P * P * 3;
  const { node, body } = card("embedding", "A patch becomes a vector", `No table could hold every possible patch, as it holds every word. So one linear map E, the same for all patches, turns ${inputs} numbers into ${D}.`, "patch_embedding.py");
  const picture = el("canvas", { class: "patch", role: "img", "aria-label": "The chosen patch, enlarged" });
  const [numbers, vector, placed] = [strip(), strip(), strip()], sum = el("p", { class: "worked" });
  const channel = el("input", { type: "range", id: "channel", min: 0, max: D - 1, value: 0, oninput: () => app.select({}) });
  const opened = el("div", {}, el("label", { class: "slider" }, "Feature ", channel, el("output", { id: "channel-value" })), sum);
  clear(body, el("div", { class: "split" }, picture, el("div", {}, numbers.node, vector.node, placed.node)), opened);

  return { node, draw() {
    const { trace } = app, n = state.token - first, t = state.token, j = Number(channel.value), row = (name, i, w) => trace[name].data.subarray(i * w, (i + 1) * w);
    const is_patch = n >= 0;
    picture.hidden = numbers.node.hidden = opened.hidden = !is_patch;
    placed.show(row("embedded", t, D), `${app.token_name(t)} with its position added${app.state.positions ? "" : " (switched off)"}: what layer 0 reads`);
    if (!is_patch) return vector.show(row("tokens", t, D), `[CLS]: ${D} learned numbers, the same for every image`);
    const x = row("patches", n, inputs), { weight, bias } = model.params.patch_embed.proj, w = weight.subarray(j * inputs, (j + 1) * inputs);
    paint_colours(picture, denormalise(x, model.preprocessing), P);
    numbers.show(x, `patch ${n}: ${inputs} numbers, red green blue of each pixel`);
    vector.show(row("patch_embedding", n, D), `times E, plus b: ${D} numbers`);
    document.getElementById("channel-value").textContent = j;
    const terms = [0, 1, 2].map((i) => `${short(x[i])} · ${short(w[i])}`).join(" + ");
    sum.textContent = `${terms} + … (${inputs} products) + bias ${short(bias[j])} = ${short(trace.patch_embedding.data[n * D + j])}`;
  } };
}
