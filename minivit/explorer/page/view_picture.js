// The picture as the network reads it, cut into patches; over it the map of the reader's choice. A button a patch.
import { choices, clear, el, percent } from "./dom.js";
import { largest, paint_colours, usual, weight_colour } from "./draw.js";
import { explained } from "./glossary.js";
import { map_of, rollout } from "./maps.js";
import { denormalise } from "./preparation.js";

const CLEAR = 0.95;                                       // of the pixels show their gradient in proportion

export function picture(app, node) {
  const { size, state } = app, { N, columns, rows, first, P, width, height } = size;
  const canvas = el("canvas", { class: "pixels", "aria-hidden": "true" });
  const patches = Array.from({ length: N }, (_, n) => el("button", { "data-patch": n, tabindex: n ? -1 : 0 }));
  const board = el("div", { class: "board", role: "group", "aria-label": "Patches: arrow keys move, Enter chooses or paints",
    style: `--columns:${columns};--rows:${rows};aspect-ratio:${width}/${height}` }, canvas, patches);
  const cls = el("button", { class: "cls", hidden: !first, onclick: () => app.select({ token: 0 }) }, "[CLS]");
  const view = choices("Map", [["picture", "Picture"], ["attention", "Attention"], ["rollout", "Rollout"], ["gradient", "Gradient"]],
    (value) => app.select({ view: value }));
  const tool = choices("Tool", [["look", "Look"], ["paint", "Paint out"], ["pixel", "One pixel"]], (value) => app.select({ tool: value }));
  const note = el("p", { class: "note", id: "map-note" });
  const shuffle = el("button", { id: "shuffle", onclick: () => app.change({ order: state.order ? null : permutation(N) }) }, "Shuffle patches");
  const move = [["←", -1, 0, "left"], ["↑", 0, -1, "up"], ["↓", 0, 1, "down"], ["→", 1, 0, "right"]].map(([sign, dx, dy, word]) =>
    el("button", { class: "small", "aria-label": `Shift the picture one pixel ${word}`, title: `Shift one pixel ${word}`,
      onclick: () => app.change({ shift: [state.shift[0] + dx, state.shift[1] + dy] }) }, sign));
  const pixel = pixel_editor(app);
  clear(node, el("div", { class: "title-row" }, el("h2", { id: "picture-title" }, "Picture"), cls), board, view.node, note, tool.node,
    pixel.node, el("div", { class: "row" }, shuffle, el("span", { class: "pad" }, move)));

  let stroke = null;
  const patch_at = (event) => {
    const box = board.getBoundingClientRect(), x = Math.floor((event.clientX - box.left) / box.width * columns),
      y = Math.floor((event.clientY - box.top) / box.height * rows);
    return x >= 0 && y >= 0 && x < columns && y < rows ? y * columns + x : null;
  };
  const set_painted = (n, on) => {
    if (state.painted.has(n) === on) return;
    on ? state.painted.add(n) : state.painted.delete(n);
    app.change();
  };
  board.addEventListener("pointerdown", (event) => {
    const n = patch_at(event);
    if (n === null) return;
    if (state.tool === "paint") {
      event.preventDefault();
      stroke = !state.painted.has(n);
      set_painted(n, stroke);
    } else if (state.tool === "pixel") {
      const box = board.getBoundingClientRect();
      pixel.choose(Math.floor((event.clientX - box.left) / box.width * width), Math.floor((event.clientY - box.top) / box.height * height));
    }
  });
  board.addEventListener("pointermove", (event) => { if (stroke !== null && event.buttons && patch_at(event) !== null) set_painted(patch_at(event), stroke); });
  addEventListener("pointerup", () => { stroke = null; });
  board.addEventListener("click", (event) => {
    const n = Number(event.target.dataset.patch);
    if (event.target.dataset.patch === undefined) return;
    if (state.tool === "paint") {
      if (event.detail === 0) set_painted(n, !state.painted.has(n));                     // from the keyboard
    } else app.select({ token: n + first });
  });
  board.addEventListener("keydown", (event) => {
    const n = Number(event.target.dataset.patch), step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (step === undefined || Number.isNaN(n)) return;
    event.preventDefault();
    const to = n + step;
    if (to < 0 || to >= N || (Math.abs(step) === 1 && Math.floor(to / columns) !== Math.floor(n / columns))) return;
    rove(to);
    patches[to].focus();
  });
  const rove = (n) => patches.forEach((button, i) => { button.tabIndex = i === n ? 0 : -1; });

  return function draw() {
    const { map, text } = shown_map(app);
    paint_colours(canvas, lit(denormalise(app.pixels, app.model.preprocessing), map, size), width);
    patches.forEach((button, n) => {
      const on = n + first === state.token;
      button.setAttribute("aria-pressed", on);
      button.classList.toggle("painted", state.painted.has(n));
      button.setAttribute("aria-label", `patch ${n}, row ${Math.floor(n / columns)}, column ${n % columns}` +
        (state.painted.has(n) ? ", painted out" : "") + (map?.per_patch ? `, ${percent(map.values[n])}` : ""));
    });
    cls.setAttribute("aria-pressed", state.token < first);
    board.classList.toggle("paint", state.tool === "paint");
    shuffle.textContent = state.order ? "Put patches back" : "Shuffle patches";
    shuffle.setAttribute("aria-pressed", Boolean(state.order));
    view.show(state.view);
    tool.show(state.tool);
    const said = text + (state.painted.size ? ` ${state.painted.size} of ${N} painted out.` : "");
    if (said !== note.dataset.said) clear(note, explained(said));         // left alone, a term in it stays open
    note.dataset.said = said;
    pixel.draw();
  };
}

function shown_map(app) {
  const { state, trace, size, gradient } = app, who = app.token_name(state.token), { first } = size;
  if (state.view === "attention") {
    const values = map_of(trace, state.layer, state.head, state.token, size).slice(first);
    const head = state.head === "mean" ? "mean of the heads" : `head ${state.head}`;
    return { map: { values, per_patch: true }, text: `Where ${who} looks: layer ${state.layer}, ${head}. Bright is much; the brightest patch has ${percent(Math.max(...values))}.` };
  }
  if (state.view === "rollout") {
    const values = rollout(trace, size).at(-1).subarray(state.token * size.T, (state.token + 1) * size.T).slice(first);
    return { map: { values, per_patch: true }, text: `{Attention rollout|rollout}: from which patches ${who} has drawn, through all layers at once. Bright is much.` };
  }
  if (state.view === "gradient" && gradient) {
    const values = Float32Array.from({ length: size.width * size.height }, (_, i) => Math.hypot(...gradient.image.subarray(3 * i, 3 * i + 3)));
    const max = usual(values, CLEAR);
    return { map: { values, max, alone: true }, text: `How strongly each pixel moves the {loss} of “${app.labels[gradient.label]}”: its {gradient}. Bright is much; brightest from ${Number(max.toPrecision(2))} on (${percent(1 - CLEAR, 0)} of the pixels).` };
  }
  return { map: null, text: `${size.N} {patches|patch} of ${size.P} × ${size.P} pixels. Choose one${first ? ", or {[CLS]}" : ""}: it becomes the {token} that asks.` };
}

// The picture under a lamp: in full colour where the map says much, grey and dim where it says little. A map of single pixels
// stands alone: over the picture's own pixels it could not be read.
function lit(colours, map, { width, height, P, columns }) {
  if (!map) return colours;
  const max = map.max ?? largest(map.values), out = colours.slice();
  if (map.alone) return out.map((_, i) => weight_colour(map.values[Math.floor(i / 3)] / max)[i % 3] / 255);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const at = Math.min(1, map.values[map.per_patch ? Math.floor(y / P) * columns + Math.floor(x / P) : y * width + x] / max);
    const i = 3 * (y * width + x), grey = (out[i] + out[i + 1] + out[i + 2]) / 3;
    for (let c = 0; c < 3; c++) out[i + c] = Math.min(1, at * (0.12 + out[i + c]) + (1 - at) * 0.42 * grey);
  }
  return out;
}

function permutation(n) {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

// One pixel's place and colour, as fields: the mouse chooses the place, fields and sliders do without one.
function pixel_editor(app) {
  const { width, height } = app.size, { state } = app, { mean, std } = app.model.preprocessing;
  const place = { x: Math.floor(width / 2), y: Math.floor(height / 2) };
  const field = (name, label, most) => el("label", {}, `${label} `, el("input", { type: "number", id: `pixel-${name}`, min: 0, max: most - 1,
    oninput: (event) => { const v = Number(event.target.value); if (event.target.value !== "" && v >= 0 && v < most) { place[name] = Math.floor(v); draw(); } } }));
  const [x, y] = [field("x", "column", width), field("y", "row", height)];
  const sliders = ["red", "green", "blue"].map((name, c) => el("label", { class: `slider ${name}` }, name,
    el("input", { type: "range", min: 0, max: 255, "data-colour": c, "aria-label": `${name} of the pixel`, oninput: set })));
  const node = el("div", { class: "pixel", hidden: true }, el("div", { class: "row" }, x, y), sliders);
  const number = () => place.y * width + place.x;
  function set() {
    state.pixels.set(number(), sliders.map((s, c) => (Number(s.lastChild.value) / 255 - mean[c]) / std[c]));
    app.change();
  }
  function draw() {
    node.hidden = state.tool !== "pixel";
    if (node.hidden) return;
    for (const [one, value] of [[x, place.x], [y, place.y]]) if (document.activeElement !== one.lastChild) one.lastChild.value = value;
    sliders.forEach((s, c) => { s.lastChild.value = Math.round(255 * (app.pixels[3 * number() + c] * std[c] + mean[c])); });
  }
  return { node, draw, choose(px, py) { Object.assign(place, { x: px, y: py }); draw(); } };
}
