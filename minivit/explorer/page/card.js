// A card of the story: a heading, what to see in it, the module it belongs to, and a body to fill.
import { el } from "./dom.js";
import { explained } from "./glossary.js";

/** {node, body}. about may hold terms in braces, see glossary.js. */
export function card(part, title, about, module) {
  const body = el("div", { class: "body" });
  const node = el("section", { class: "card", "data-part": part, id: `part-${part}`, "aria-labelledby": `title-${part}` },
    el("header", {}, el("h2", { id: `title-${part}` }, title), module ? el("code", {}, module) : null),
    el("p", { class: "about" }, explained(about)), body);
  return { node, body };
}
