// Small helpers for the page: elements, numbers as text, and groups of choices.

/** An element: el("p", {class: "note"}, "text", another). A prop that starts with "on" is a listener. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith("aria-")) node.setAttribute(key, String(value));
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

export const clear = (node, ...children) => { node.replaceChildren(...children.flat().filter((c) => c != null)); return node; };

/** 0.0312 -> "3.1 %". */
export const percent = (p, digits = 1) => `${(100 * p).toFixed(digits)} %`;

/** A number in about four characters, with a true minus. */
export function short(x) {
  const size = Math.abs(x);
  const text = size === 0 ? "0" : size >= 1000 ? Math.round(x).toLocaleString("en") : size >= 100 ? x.toFixed(0)
    : size >= 10 ? x.toFixed(1) : size >= 0.01 ? x.toFixed(2) : size >= 0.001 ? x.toFixed(3) : x.toExponential(0);
  return text.replace("e-", "e−").replace(/^-/, "−");
}

/** A row of choices of which one is on: native radio buttons, so that arrow keys work. Returns {node, show(value)}. */
export function choices(label, options, choose, name = label) {
  const inputs = options.map(([value, text, hint]) => {
    const input = el("input", { type: "radio", name, value: String(value), "aria-label": `${label} ${hint ?? text}`,
      onchange: () => choose(value) });
    return { value, input, node: el("label", { title: hint }, input, el("span", {}, text)) };
  });
  return {
    node: el("div", { class: "choices", role: "radiogroup", "aria-label": label }, inputs.map(({ node }) => node)),
    show(value) { for (const one of inputs) one.input.checked = one.value === value; },
  };
}

/** A switch with a text. Returns {node, show(on, text?)}. */
export function toggle(text, change, props = {}) {
  const input = el("input", { type: "checkbox", role: "switch", onchange: () => change(input.checked), ...props });
  const caption = el("span", {}, text);
  return { node: el("label", { class: "switch" }, input, caption), input,
    show(on, words) { input.checked = on; if (words) caption.textContent = words; } };
}
