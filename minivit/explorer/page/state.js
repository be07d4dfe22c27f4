// What the reader has chosen, and its short form in the address: #section=6&layer=3&head=1&patch=27&picture=ship-2. An
// address may also name a part of the page, #part=backward, to begin there.

export function initial_state({ L }) {
  return { section: null, part: null, layer: L - 1, head: 0, token: 0, picture: null, ...unchanged_view(), ...untouched() };
}

/** The picture as it is, nothing in the hand, and the gradient of the answer. */
export const unchanged_view = () => ({ view: "picture", tool: "look", label: null });

/** Nothing changed in the picture or in the network. */
export const untouched = () => ({ painted: new Set(), order: null, shift: [0, 0], pixels: new Map(), positions: true,
                                  headsOff: new Set(), layersOff: new Set(), temperature: 1 });

export const is_touched = (s) => s.painted.size > 0 || s.order || s.shift.some(Boolean) || s.pixels.size > 0 || !s.positions ||
  s.headsOff.size > 0 || s.layersOff.size > 0 || s.temperature !== 1;

/** Whether there is anything to undo: a change, or another tool, map or class. */
export const is_undoable = (s) => is_touched(s) || Object.entries(unchanged_view()).some(([name, value]) => s[name] !== value);

/** Take over what the address says; whatever does not fit this model is left as it is. */
export function read_address(state, model, { L, H, N, first }) {
  const words = new URLSearchParams(location.hash.slice(1));
  const whole = (name, below) => {
    const text = words.get(name), value = Number(text);
    return text !== null && /^\d+$/.test(text) && value < below ? value : null;
  };
  state.section = whole("section", 18);
  state.part = words.get("part");
  state.layer = whole("layer", L) ?? state.layer;
  state.head = words.get("head") === "mean" ? "mean" : whole("head", H) ?? state.head;
  const patch = whole("patch", N);
  if (patch !== null) state.token = patch + first;
  else if (words.get("patch") === "cls" && first) state.token = 0;
  if (["layer", "head", "patch"].some((name) => words.has(name))) state.view = "attention";
  if (words.get("class")) {
    const label = (model.labels ?? []).indexOf(words.get("class"));
    state.label = label >= 0 ? label : state.label;
  }
  return words.get("picture");
}

export function write_address(state, model, { first }) {
  const words = new URLSearchParams();
  if (state.section !== null) words.set("section", state.section);
  words.set("layer", state.layer);
  words.set("head", state.head);
  words.set("patch", state.token < first ? "cls" : state.token - first);
  if (state.picture) words.set("picture", state.picture);
  if (state.label !== null) words.set("class", model.labels?.[state.label] ?? state.label);
  history.replaceState(null, "", `#${words}`);
}

/** Base pixels (H, W, 3) with the reader's changes: shifted (what comes in is black), patches in a new order, single pixels
 *  set, patches painted grey. black: the normalised colour. */
export function edited(base, state, { height, width, P, columns, N }, black) {
  const [dx, dy] = state.shift, out = base.map((_, i) => black[i % 3]);
  for (let y = Math.max(0, dy); y < Math.min(height, height + dy); y++) {
    const from = Math.max(0, -dx), to = Math.min(width, width - dx), row = (y - dy) * width;
    out.set(base.subarray(3 * (row + from), 3 * (row + to)), 3 * (y * width + from + dx));
  }
  const line = (patch, r) => 3 * ((Math.floor(patch / columns) * P + r) * width + (patch % columns) * P);
  if (state.order) {
    const before = out.slice();
    for (let n = 0; n < N; n++) for (let r = 0; r < P; r++) {
      const from = line(state.order[n], r);
      out.set(before.subarray(from, from + 3 * P), line(n, r));
    }
  }
  for (const [place, colour] of state.pixels) out.set(colour, 3 * place);
  for (const n of state.painted) for (let r = 0; r < P; r++) out.fill(0, line(n, r), line(n, r) + 3 * P);
  return out;
}
