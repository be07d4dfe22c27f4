// The guided tour: lessons 0 to 17, a step each. A step names the part of the page that it is about, says what
// to see there with this model's own numbers, and may choose where to look. Its address is #section=NUMBER.
import { clear, el, percent } from "./dom.js";
import { explained } from "./glossary.js";
import { macs } from "./view_costs.js";

const best = (p) => p.indexOf(Math.max(...p));

/** Title, part, text, what to choose, and what to try, {words: the page's own control}; text and choice get the app. */
export const STEPS = [
  ["What you will be able to do", "network", (a) => `This is a whole Vision Transformer, small but complete: ${a.size.L} layers, ${a.size.T} tokens of ${a.size.D} numbers. It says “${a.labels[best(a.trace.probabilities.data)]}”. By the end you can say why, step by step.`],
  ["A convolution sees what is near", "attention", () => "A 3 × 3 convolution reaches its neighbours; to see farther, it needs more layers. Below the matrix stands how much of this patch's attention leaves that small window in the very first layer.", (a) => ({ layer: 0, head: 0, token: a.size.first + Math.floor(a.size.rows / 2) * a.size.columns + Math.floor(a.size.columns / 2), view: "attention" })],
  ["A 2-D image becomes a 1-D sequence", "patches", (a) => `Cut the image into ${a.size.rows} × ${a.size.columns} patches and line them up, row by row. Press “Let them leave the image” and follow one patch.`],
  ["Words have a table, patches have a map", "embedding", (a) => `A language model looks words up in a table. A patch of ${a.size.P} × ${a.size.P} pixels can look in 256 to the power of ${a.size.P ** 2 * 3} ways, too many for any table. So its numbers go through one linear map.`, (a) => ({ token: Math.max(a.state.token, a.size.first) })],
  ["One token for the whole image", "patches", (a) => a.size.first ? "{[CLS]} stands in front of the patches. It begins as the same learned vector for every image, gathers what it needs from the patches, and at the end the answer is read from it." : "This model has no [CLS]: its answer is read from the mean of the patches.", () => ({ token: 0 })],
  ["Where each patch came from", "positions", () => "Shuffle the patches (under the picture) and the answer changes. Switch the positions off (at the top) and shuffle again: now it does not, because attention alone knows no order.", (a) => ({ token: Math.max(a.state.token, a.size.first) }), { "Shuffle": "#shuffle", "Positions": "#positions" }],
  ["Every token looks at every other", "attention", (a) => `{Query|query}, {key}, {value}: follow one row from q · k over ÷ √${a.size.d} to the {softmax}. Then choose another patch in the picture, and watch the row change. The temperature makes it sharper or flatter.`, (a) => ({ head: a.state.head === "mean" ? 0 : a.state.head, view: "attention" })],
  ["The whole forward pass", "trace", (a) => `Nothing is hidden: ${Object.keys(a.trace).length} named arrays lead from pixels to probabilities. Open the list. The code that makes them is vit.js, linked at the foot of the page, about as long as its Python original.`, null, { "Open or close the list": "#all-steps summary" }],
  ["The MLP: each token alone", "mlp", (a) => `${a.size.D} numbers become ${a.size.M}, GELU bends them, ${a.size.D} come back. No other token is looked at. The dots on the curve are this token's own hidden units.`],
  ["Layers refine, step by step", "lens", (a) => `Each layer adds to the {stream|residual stream}. Reading the answer after every layer, the {logit lens}, shows it forming: after layer 0 against after layer ${a.size.L - 1}. Switch a layer off at the top and see what is lost.`, null, { "Layer on or off": "#layer-on" }],
  ["The answer, read from one vector", "head", (a) => `${a.size.D} numbers, one linear map, ${a.size.K} scores, a softmax: ${percent(Math.max(...a.trace.probabilities.data))} for “${a.labels[best(a.trace.probabilities.data)]}”.`, () => ({ token: 0 })],
  ["An image is a sequence of patches, as text is one of words", "network", (a) => `In one line: ${a.size.height} × ${a.size.width} pixels → ${a.size.N} patches → ${a.size.T} tokens → ${a.size.L} times attention and MLP → one vector → ${a.size.K} probabilities. Only the first two steps know that it was an image.`],
  ["From patch to vector, in numbers", "embedding", (a) => `Equation 1 of the paper: x E + b. Move the feature and see one of the ${a.size.D} sums worked out; E has ${(a.size.P ** 2 * 3 * a.size.D).toLocaleString("en")} numbers.`, (a) => ({ token: Math.max(a.state.token, a.size.first) })],
  ["The second dimension: learned, or given", "positions", (a) => `Each tile is brightest at its own place and fades around it. Position embeddings that begin at random learn this, though nobody tells them that patch ${a.size.columns} lies below patch 0 (chapter 04). Those of the packaged model began as sines and cosines, where it is so from the start.`, (a) => ({ token: Math.max(a.state.token, a.size.first) })],
  ["Far from the first layer on", "distance", () => "Each dot is one head. Layer 0 is not bound to what is near: compare its dots with the dashed line, which is what looking everywhere alike would give."],
  ["The price: the square of the tokens", "costs", (a) => { const { linear, attention } = macs(a.size); return `At ${a.size.T} tokens attention's products are ${percent(attention / (linear + attention), 0)} of the work. Enlarge the picture with the slider: the linear maps grow with the tokens, attention with their square.`; }],
  ["What a Vision Transformer sees", "rollout", () => "One layer's map tells where one head looks; {rollout} multiplies all layers up. Paint out the patches that are bright and watch the answer: only that tells whether they mattered.", () => ({ token: 0, view: "rollout" })],
  ["Small and large", "costs", () => "The same few lines make every model of this table: only seven numbers differ. What the larger ones need besides is data: the paper trains them on up to 300 million images."],
];

export function tour(app, node) {
  let at = null;
  const heading = el("h2", { tabindex: -1, id: "tour-title" }), text = el("p", { id: "tour-text" }), acts = el("div", { class: "row acts" }), counter = el("span", { class: "note" });
  const back = el("button", { id: "tour-back", onclick: () => open(at - 1) }, "Back"), next = el("button", { id: "tour-next", class: "primary", onclick: () => (at === STEPS.length - 1 ? close() : open(at + 1)) }, "Next");
  const dots = el("nav", { class: "dots", "aria-label": "Lessons" }, STEPS.map(([title], i) => el("button", { title: `${i}: ${title}`, "aria-label": `Lesson ${i}: ${title}`, onclick: () => open(i) })));
  clear(node, el("div", { class: "said" }, counter, heading, text), el("div", { class: "steer" }, dots, el("div", { class: "row" }, back, acts, next)),
    el("button", { id: "tour-close", "aria-label": "Close the tour", onclick: close }, "×"));
  // The page keeps clear of the window's lower edge, where the tour stands: what it talks about is never under it.
  new ResizeObserver(() => document.documentElement.style.setProperty("--dock", `${node.offsetHeight}px`)).observe(node);
  node.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });

  /** Go to a section. keep: layer, head and patch stay, for the address names them. */
  function open(section, { keep = false } = {}) {
    if (section < 0 || section >= STEPS.length) return;
    const [, part, , choice, tries = {}] = STEPS[at = section];
    node.hidden = false;
    document.body.classList.add("touring");
    const chosen = choice?.(app) ?? {}, view = chosen.view ?? app.state.view;
    app.select({ ...keep ? { view } : chosen, section });
    for (const one of document.querySelectorAll("[data-part]")) one.classList.toggle("lit", one.dataset.part === part);
    clear(acts, Object.entries(tries).map(([words, control]) => el("button", { onclick: () => document.querySelector(control).click() }, words)));
    app.scroll_to(document.querySelector(`[data-part="${part}"]`));
    draw();
    heading.focus({ preventScroll: true });
  }

  function close() {
    at = null;
    node.hidden = true;
    document.body.classList.remove("touring");
    for (const one of document.querySelectorAll(".lit")) one.classList.remove("lit");
    app.select({ section: null });
    document.getElementById("open-tour").focus({ preventScroll: true });
  }

  function draw() {
    if (at === null || !app.trace) return;
    const [title, , words] = STEPS[at];
    const said = words(app);
    counter.textContent = `Step ${at + 1} of ${STEPS.length}: lesson ${at}`;
    heading.textContent = title;
    if (said !== text.dataset.said) clear(text, explained(said));          // left alone, a term in it stays open
    text.dataset.said = said;
    back.disabled = at === 0;
    next.textContent = at === STEPS.length - 1 ? "Finish" : "Next";
    [...dots.children].forEach((dot, i) => dot.setAttribute("aria-current", i === at ? "step" : "false"));
  }
  return { open, draw };
}
