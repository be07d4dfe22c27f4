// The answer: a bar a class. A tick shows what it was before the reader's changes.
import { clear, el, percent } from "./dom.js";
import { explained } from "./glossary.js";

const MOST = 12;

export function answer(app, node) {
  const list = el("div", { class: "bars", role: "group", "aria-label": "Classes: choose one to see its gradient" });
  const time = el("p", { class: "note", id: "time" });
  clear(node, el("h2", { id: "answer-title" }, "Answer"), list, el("p", { class: "note" }, explained("Choose a class: its {gradient} is shown then.")), time);
  const rows = app.labels.map((label, k) => {
    const bar = el("i", { class: "bar" }), tick = el("i", { class: "tick" }), value = el("b"), change = el("em");
    const button = el("button", { "data-class": k, onclick: () => app.select({ label: app.state.label === k ? null : k }) },
      el("span", {}, label), el("span", { class: "track" }, bar, tick), value, change);
    return { k, button, bar, tick, value, change };
  });
  return function draw() {
    const p = app.trace.probabilities.data, before = app.touched && app.baseline?.probabilities.data;
    const best = p.indexOf(Math.max(...p));
    const shown = rows.length <= MOST ? rows : [...rows].sort((a, b) => p[b.k] - p[a.k]).slice(0, MOST);
    if (list.children.length !== shown.length || shown.some(({ button }, i) => list.children[i] !== button))
      clear(list, shown.map(({ button }) => button));
    for (const { k, button, bar, tick, value, change } of shown) {
      const points = before ? 100 * (p[k] - before[k]) : 0, moved = Math.abs(points) >= 0.05;
      bar.style.width = `${100 * p[k]}%`;
      tick.style.left = before ? `${100 * before[k]}%` : "0";
      tick.hidden = !before;
      value.textContent = percent(p[k]);
      change.textContent = moved ? `${points > 0 ? "+" : "−"}${Math.abs(points).toFixed(1)}` : "";
      change.className = points > 0 ? "up" : "down";
      button.classList.toggle("best", k === best);
      button.setAttribute("aria-pressed", k === app.gradient?.label);
      button.setAttribute("aria-label", `${app.labels[k]} ${percent(p[k])}${moved ? `, ${points > 0 ? "up" : "down"} ${Math.abs(points).toFixed(1)} points` : ""}`);
    }
    const { forward, backward } = app.milliseconds;
    time.textContent = backward ? `Answer in ${Math.round(forward)} ms, gradient in ${Math.round(backward)} ms.` : "";
  };
}
