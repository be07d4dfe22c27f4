// The patches leave the image and become the sequence: a button a token, moved from its place in the grid to its place in line.
import { card } from "./card.js";
import { clear, el } from "./dom.js";
import { paint_colours } from "./draw.js";
import { denormalise } from "./preparation.js";

export function patches(app) {
  const { size, state } = app, { N, P, columns, rows, first, width } = size;
  const { node, body } = card("patches", "From image to sequence", `Row by row, the ${rows} × ${columns} patches line up. From here on the network knows no up, down or beside: it has ${N} patches in a row${first ? ", and {[CLS]} in front of them" : ""}.`, "patch_embedding.py, cls_token.py");
  const tokens = Array.from({ length: N + first }, (_, t) => el("button", { class: t < first ? "cls" : "", "data-token": t, tabindex: t === first ? 0 : -1, onclick: () => app.select({ token: t }) }));
  if (first) tokens[0].append("CLS");
  const line = el("div", { class: "sequence", role: "group", "aria-label": "The sequence: arrow keys move, Enter chooses" }, tokens);
  const again = el("button", { id: "play", onclick: play }, "▶ Let them leave the image");
  clear(body, el("div", { class: "row" }, again, el("span", { class: "note" }, `Each patch is ${P} × ${P} pixels × 3 colours = ${P * P * 3} numbers.`)), line);
  line.addEventListener("keydown", (event) => {
    const t = tokens.indexOf(event.target), to = t + ({ ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0);
    if (t < 0 || to === t || to < 0 || to >= tokens.length) return;
    event.preventDefault();
    tokens.forEach((button, i) => { button.tabIndex = i === to ? 0 : -1; });
    tokens[to].focus();
  });

  function play() {
    const board = document.querySelector(".board").getBoundingClientRect(), cell = board.width / columns;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    tokens.slice(first).forEach((button, n) => {
      const to = button.getBoundingClientRect();
      const x = board.left + (n % columns) * cell - to.left, y = board.top + Math.floor(n / columns) * cell - to.top;
      button.animate([{ transform: `translate(${x}px, ${y}px) scale(${cell / to.width})`, transformOrigin: "0 0", zIndex: 5 },
        { transform: "none", transformOrigin: "0 0", zIndex: 5 }], { duration: 700, delay: 1200 * n / N, easing: "cubic-bezier(.3,.7,.2,1)", fill: "backwards" });
    });
  }

  const sheet = document.createElement("canvas");
  let shown = null;
  line.style.setProperty("--columns", columns);
  line.style.setProperty("--rows", rows);
  tokens.slice(first).forEach((button, n) => {
    button.style.backgroundPosition = `${100 * (n % columns) / Math.max(1, columns - 1)}% ${100 * Math.floor(n / columns) / Math.max(1, rows - 1)}%`;
  });

  return { node, draw() {
    if (shown !== app.pixels) {
      paint_colours(sheet, denormalise(app.pixels, app.model.preprocessing), width);
      line.style.setProperty("--picture", `url(${sheet.toDataURL()})`);
    }
    shown = app.pixels;
    tokens.forEach((button, t) => {
      const n = t - first;
      button.setAttribute("aria-pressed", t === state.token);
      button.setAttribute("aria-label", app.token_name(t) + (state.order && n >= 0 ? `, from place ${state.order[n]}` : ""));
    });
  } };
}
