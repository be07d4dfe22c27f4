// One row of attention, opened: the query, every key, their product, the softmax, and the mean of the values.
import { card } from "./card.js";
import { clear, el, percent, short } from "./dom.js";
import { grid_canvas, largest, paint, strip } from "./draw.js";
import { map_of, matrix_of } from "./maps.js";

const SHOWN = 8;

export function attention(app) {
  const { size, state } = app, { T, D, H, d, first, columns, rows } = size;
  const { node, body } = card("attention", "Attention: who looks at whom", "The chosen token asks with its {query}; every token answers with its {key}. The better they fit, the more of that token's {value} is taken over; the {softmax} makes weights of the scores.", "attention.py, softmax.py");
  const matrix = grid_canvas("", { class: "matrix", tabindex: 0 }), matrix_note = el("figcaption", { class: "note" });
  const marker = el("i", { class: "row-marker" });
  const query = strip("query"), scores = grid_canvas("", { class: "tile" }), weights = grid_canvas("", { class: "tile" });
  const score_note = el("figcaption", { class: "note" }), weight_note = el("figcaption", { class: "note" });
  const rows_of_table = el("tbody"), near = el("p", { class: "worked" });
  const table = el("table", { class: "opened" }, el("caption", { class: "unseen" }, "The tokens with the largest weights"), el("thead", {}, el("tr", {}, ["token", "q · k", "÷ √d", "exp(s − max)", "weight"].map((name) => el("th", { scope: "col" }, name)))), rows_of_table);
  const [key, product, value, output, attended] = [strip("key"), strip("product"), strip("value"), strip("value"), strip()];
  const sum = el("p", { class: "worked" }), mean_note = el("p", { class: "worked" }, "Choose one head above to see its query, keys and scores: a mean of heads has none.");
  const steps = el("ol", { class: "steps" },
    el("li", {}, el("h3", {}, "The query of this token"), query.node),
    el("li", {}, el("h3", {}, "Its score with every token, and the softmax of that row"), el("div", { class: "split even" }, el("figure", {}, scores, score_note), el("figure", {}, weights, weight_note)), el("div", { class: "scroll" }, table)),
    el("li", {}, el("h3", {}, "One score opened: choose a row of the table"), key.node, product.node, sum),
    el("li", {}, el("h3", {}, "The values, weighted and summed"), value.node, output.node, attended.node));
  clear(body, el("div", { class: "split attention" }, el("div", {}, el("figure", { class: "matrix-figure" }, el("div", { class: "matrix-box" }, matrix, marker), matrix_note), near), el("div", {}, mean_note, steps)));
  let partner = null;

  const choose_row = (t) => app.select({ token: Math.min(T - 1, Math.max(0, t)) });
  matrix.addEventListener("click", (event) => choose_row(Math.floor(event.offsetY / matrix.clientHeight * T)));
  matrix.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step) { event.preventDefault(); choose_row(state.token + step); }
  });

  return { node, draw() {
    const { trace } = app, { layer, head, token } = state, at = (name) => trace[`layer.${layer}.${name}`].data;
    const who = app.token_name(token), one = head !== "mean", row = map_of(trace, layer, head, token, size);
    paint(matrix, matrix_of(trace, layer, head, size), T);
    marker.style.top = `${100 * token / T}%`;
    marker.style.height = `${100 / T}%`;
    matrix.setAttribute("aria-label", `Attention of layer ${layer}, ${one ? `head ${head}` : "mean of heads"}: ${T} rows of ${T}; the row of ${who} is chosen; up and down change it`);
    matrix_note.textContent = `softmax(q kᵀ / √d), ${T} × ${T}. A row says where one token looks, and sums to 1; the marked row is ${who}. Choose another by clicking.`;
    near.textContent = token < first ? `${who} gives ${percent(row[token])} to itself.` : neighbours(row.slice(first), token - first, columns, rows);
    mean_note.hidden = one;
    steps.hidden = !one;
    if (!one) return;
    const vector = (name, t) => at(name).subarray((head * T + t) * d, (head * T + t + 1) * d);
    const s = at("scores").subarray((head * T + token) * T, (head * T + token + 1) * T), max = Math.max(...s), q = vector("query", token);
    query.show(q, `q of ${who}: ${d} numbers`);
    paint(scores, s.slice(first), columns, { signed: true });
    scores.setAttribute("aria-label", `Scores of ${who} with each patch`);
    score_note.textContent = `Scores q · k / √d, from ${short(Math.min(...s))} to ${short(max)}`;
    paint(weights, row.slice(first), columns);
    weights.setAttribute("aria-label", `Attention weights of ${who} for each patch`);
    weight_note.textContent = `Weights after the softmax, at most ${percent(Math.max(...row))}`;
    const best = Array.from(row.keys()).sort((a, b) => row[b] - row[a]).slice(0, SHOWN);
    if (!best.includes(partner)) partner = best[0];
    const scale = Math.sqrt(d) * state.temperature;
    const focused = rows_of_table.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    clear(rows_of_table, best.map((t) => el("tr", { "aria-selected": t === partner },
      el("th", { scope: "row" }, el("button", { "data-key": t, onclick: () => { partner = t; app.select({}); } }, app.token_name(t))),
      el("td", {}, short(s[t] * scale)), el("td", {}, short(s[t])), el("td", {}, short(Math.exp(s[t] - max))),
      el("td", {}, el("span", { class: "meter" }, el("i", { style: `width:${100 * row[t] / row[best[0]]}%` })), percent(row[t])))));
    if (focused !== null) rows_of_table.querySelector(`[data-key="${focused}"]`)?.focus();
    table.tHead.rows[0].cells[2].textContent = state.temperature === 1 ? "÷ √d" : `÷ √d ÷ ${state.temperature.toFixed(2)}`;
    const k = vector("key", partner), terms = q.map((x, i) => x * k[i]);
    key.show(k, `k of ${app.token_name(partner)}`);
    product.show(terms, "q · k, feature by feature");
    sum.textContent = `${[0, 1, 2].map((i) => `${short(q[i])} · ${short(k[i])}`).join(" + ")} + … = ${short(s[partner] * scale)};  ÷ √${d}${state.temperature === 1 ? "" : ` ÷ ${state.temperature.toFixed(2)}`} = ${short(s[partner])}`;
    const mixed = new Float32Array(d);
    for (let t = 0; t < T; t++) vector("value", t).forEach((v, i) => { mixed[i] += row[t] * v; });
    const v = vector("value", partner), strongest = Math.max(largest(v), largest(mixed));
    value.show(v, `v of ${app.token_name(partner)}, of which ${percent(row[partner])} is taken`, strongest);
    output.show(mixed, `Σ weight · v over all ${T} tokens: what head ${head} ${state.headsOff.has(`${layer}.${head}`) || state.layersOff.has(layer) ? "would hand on, were it not switched off" : "hands on"}`, strongest);
    attended.show(at("attended").subarray(token * D, (token + 1) * D), `the ${H} heads side by side, times the output projection: added to the stream of ${who}`);
  } };
}

function neighbours(row, n, columns, rows) {
  const total = row.reduce((a, b) => a + b, 0), [y, x] = [Math.floor(n / columns), n % columns];
  let inside = 0;
  for (let i = Math.max(0, y - 1); i <= Math.min(rows - 1, y + 1); i++)
    for (let j = Math.max(0, x - 1); j <= Math.min(columns - 1, x + 1); j++) inside += row[i * columns + j];
  return `Of what it gives to patches, ${percent(inside / total, 0)} stays within the 3 × 3 patches around it, all that one small convolution could reach; ${percent(1 - inside / total, 0)} goes farther.`;
}
