// The page: loads the model, keeps what the reader chose, asks the worker, and draws.
import { controls } from "./controls.js";
import { percent } from "./dom.js";
import { drawing } from "./drawing.js";
import { answer } from "./view_answer.js";
import { attention } from "./view_attention.js";
import { backward_pass } from "./view_backward.js";
import { costs } from "./view_costs.js";
import { distance } from "./view_distance.js";
import { embedding } from "./view_embedding.js";
import { head_view } from "./view_head.js";
import { mlp_view } from "./view_mlp.js";
import { network } from "./view_network.js";
import { patches } from "./view_patches.js";
import { picture } from "./view_picture.js";
import { positions } from "./view_positions.js";
import { rollout_view } from "./view_rollout.js";
import { lens, stream } from "./view_stream.js";
import { trace_table } from "./view_trace.js";
import { picture_sources } from "./sources.js";
import { edited, initial_state, is_touched, read_address, unchanged_view, untouched, write_address } from "./state.js";
import { tour } from "./tour.js";
import { sizes } from "./vit.js";
import { read_model } from "./weights.js";

const $ = (id) => document.getElementById(id);

const STORY = [network, patches, embedding, positions, attention, distance, mlp_view, stream, lens, head_view, rollout_view,
  backward_pass, costs, trace_table];

async function start() {
  document.documentElement.dataset.busy = "yes";
  const response = await fetch("model.safetensors");
  if (!response.ok) throw new Error(`the weights could not be loaded (${response.status})`);
  const weights = await response.arrayBuffer(), model = read_model(weights), size = sizes(model.config);
  const { mean, std } = model.preprocessing;
  const app = {
    model, size, state: initial_state(size), base: null, pixels: null, trace: null, gradient: null, baseline: null,
    milliseconds: {}, asked: 0, labels: model.labels ?? Array.from({ length: size.K }, (_, k) => `class ${k}`),
    black: mean.map((m, c) => -m / std[c]), token_name, token_short, select, change, reset, scroll_to, use_picture, fail,
  };
  const worker = new Worker("worker.js", { type: "module" });
  worker.postMessage({ weights: weights.slice(0) });
  let waiting = null, running = false, changedAt = 0, lookedAt = 0, aim = null, moving = "instant";
  const is_computing = () => running || waiting !== null;

  function token_name(t) { return t < size.first ? "[CLS]" : `patch ${t - size.first}`; }
  function token_short(t) { return t < size.first ? "CLS" : String(t - size.first); }

  /** Look elsewhere: {token, layer, head, view, …}. Nothing is computed anew, but for another class's gradient. */
  function select(what) {
    lookedAt = performance.now();
    if (["token", "layer", "head"].some((name) => name in what) && app.state.view === "picture") app.state.view = "attention";
    Object.assign(app.state, what);
    write_address(app.state, model, size);
    if ("label" in what) ask();
    draw();
  }

  /** Change the picture or the network, and compute. */
  function change(what = {}) {
    Object.assign(app.state, what);
    ask();
  }

  function reset() {
    change({ ...untouched(), ...unchanged_view() });
    write_address(app.state, model, size);
  }

  function use_picture(name, base) {
    Object.assign(app, { base, baseline: null });
    Object.assign(app.state, untouched(), { picture: name });
    write_address(app.state, model, size);
    fail(null);
    ask();
  }

  /** Bring a part of the page to the window's top: once all is drawn, for only then is it known where it lies. */
  function scroll_to(node) { aim = node; }

  function done() {
    if (is_computing()) return;
    aim?.scrollIntoView({ behavior: moving, block: "start" });
    aim = null;
    moving = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
    say_busy("no");
  }

  function fail(message) { $("error").hidden = !message; $("error").textContent = message ?? ""; }

  function ask() {
    if (!app.base) return;
    changedAt = performance.now();
    const { state } = app;
    app.pixels = edited(app.base, state, size, app.black);
    app.touched = is_touched(state);
    say_busy("yes");
    waiting = { id: ++app.asked, pixels: app.pixels, label: state.label, changes: {
      positions: state.positions, temperature: state.temperature, headsOff: [...state.headsOff], layersOff: [...state.layersOff] } };
    send();
  }

  function send() {
    if (running || !waiting) return;
    running = true;
    worker.postMessage(waiting);
    waiting = null;
  }

  // "yes" while the network computes, "drawing" while the rest of the page is drawn, then "no".
  function say_busy(word) {
    document.documentElement.dataset.busy = word;
    $("answer").setAttribute("aria-busy", word === "yes");
  }

  worker.onerror = (event) => {
    say_busy("no");
    fail(`the network could not be computed: ${event.message}`);
  };
  worker.onmessage = ({ data }) => {
    if (data.trace) {
      Object.assign(app, { trace: data.trace });
      app.milliseconds.forward = data.milliseconds;
      if (!app.touched) app.baseline = data.trace;
    } else {
      app.gradient = data.gradient;
      app.milliseconds.backward = data.milliseconds;
      running = false;
      send();
    }
    if (waiting) return;                                   // a newer question is on its way: draw its answer instead
    draw(data.gradient ? of_gradient : undefined);
  };

  /** The window shows what was asked for last, or a step on the way to it. */
  function shown() {
    const now = performance.now();
    if (lookedAt) app.milliseconds.look = now - lookedAt;
    lookedAt = 0;
    if (is_computing() || !changedAt) return;
    app.milliseconds.change = now - changedAt;
    changedAt = 0;
    announce();
  }

  function chip() {
    const p = app.trace.probabilities.data, best = p.indexOf(Math.max(...p));
    $("chip-answer").replaceChildren(app.labels[best], " ", Object.assign(document.createElement("b"), { textContent: percent(p[best], 0) }));
  }

  function announce() {
    const p = app.trace.probabilities.data, best = p.indexOf(Math.max(...p)), before = app.baseline?.probabilities.data;
    $("status").textContent = `${app.labels[best]} ${percent(p[best], 0)}` +
      (app.touched && before ? `; untouched, it was ${percent(before[best], 0)}` : "");
  }

  const story = $("story");
  const guide = tour(app, $("tour"));
  const views = drawing({ first: () => { chip(); guide.draw(); }, shown, done });
  for (const [id, view] of Object.entries({ picture, answer, controls })) views.add($(id), view(app, $(id)));
  for (const view of STORY) {
    const { node, draw: paint } = view(app);
    story.append(node);
    views.add(node, paint);
  }
  const of_gradient = ["picture", "answer", "part-backward"].map($);
  const sources = picture_sources(app);
  $("left").after(sources.node);

  function draw(which) {
    if (!app.trace) return;
    if (!is_computing()) say_busy("drawing");
    views.draw(which);
  }

  /** Open what the address says: a picture, and the tour's section or a part of the page. */
  async function begin() {
    const keep = /\b(layer|head|patch)=/.test(location.hash), name = read_address(app.state, model, size);
    if (!app.base || (name && name !== app.state.picture)) await sources.open(name);
    else ask();
    draw();
    if (app.state.section !== null) guide.open(app.state.section, { keep });
    else if (app.state.part) scroll_to(document.querySelector(`[data-part="${CSS.escape(app.state.part)}"]`));
  }

  $("open-tour").addEventListener("click", () => guide.open(app.state.section ?? 0));
  $("theme").addEventListener("click", () => {
    const dark = (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  for (const kind of ["wheel", "touchmove", "keydown"]) addEventListener(kind, () => { aim = null; }, { passive: true, capture: true });
  addEventListener("hashchange", begin);
  $("chip").addEventListener("click", (event) => { event.preventDefault(); $("answer").scrollIntoView({ block: "center", behavior: "smooth" }); });
  document.querySelector("[data-skip]").addEventListener("click", (event) => { event.preventDefault(); story.focus(); });
  globalThis.explorer = app;                               // for the reader's console
  $("loading").remove();
  await begin();
}

start().catch((error) => {
  $("loading")?.remove();
  document.documentElement.dataset.busy = "no";
  $("error").hidden = false;
  $("error").textContent = location.protocol === "file:" ? "A browser runs no modules from a file: open this page with “minivit explore”, or from a web server."
    : `The explorer could not start: ${error.message}`;
});
