// Terms, explained where they are met. In a text, {softmax} or {what is shown|softmax} becomes a button that opens the
// explanation beneath it: by click, touch or key. Escape, or a click elsewhere, closes it.
import { el } from "./dom.js";

export const GLOSSARY = {
  "patch": "A small square of the picture. The network reads a picture patch by patch, as a language model reads a text word by word.",
  "token": "One item of the sequence that the network works on, a vector of numbers: one for each patch, and [CLS].",
  "[CLS]": "The class token: one more token, in front of the patches. It starts as the same learned vector for every picture, gathers what it needs from the patches by attention, and at the end the answer is read from it.",
  "layer": "One round of attention and MLP. The network is a stack of layers, numbered from 0.",
  "head": "Attention is split into heads, which look at different things side by side. Each layer has its own, numbered from 0. (“The head” without a number is the network's last linear map, which gives the answer.)",
  "attention": "Each token takes over a weighted mean of what all tokens offer. The weights say where it looks; they are positive and sum to 1.",
  "query": "What a token asks with: a vector that a linear map makes of it, one for each head. It is compared with every token's key.",
  "key": "What a token answers with: a vector that a linear map makes of it, one for each head. Query · key is the score.",
  "value": "What a token hands over: a vector that a linear map makes of it, one for each head. Attention takes the weighted mean of the values.",
  "softmax": "Turns scores into weights that are positive and sum to 1: exp of each score, divided by the sum of all of these.",
  "temperature": "The scores are divided by it before the softmax. Below 1, attention gets sharper, with more weight on fewer tokens; above 1, flatter. The network was trained at 1.",
  "position embedding": "A vector for each place, in most models learned, added to the token at that place. Nothing else tells the network where a patch came from.",
  "LayerNorm": "Shifts and scales the vector of each token to mean 0 and variance 1, and then by learned weights.",
  "MLP": "Multi-layer perceptron: two linear maps with a bend, GELU, between them. It works on each token alone.",
  "GELU": "x · Φ(x), with Φ the normal distribution's cumulative function: large numbers pass, negative ones are held back, with a smooth bend between.",
  "residual stream": "The vector of a token on its way through the layers. Attention and MLP each add to it, and none replaces it; residual is the path that leads past them.",
  "logit lens": "Reads the answer early: the network's last LayerNorm and head are applied to the stream after a layer, as if it were the last.",
  "logit": "The score of a class, before the softmax turns the scores into probabilities.",
  "rollout": "Attention rollout (Abnar and Zuidema, 2020): the attention of all layers multiplied up, each time with half of every token handed on unchanged. It estimates from which patches a token has drawn.",
  "loss": "−log p of the wanted class: 0 where the network is sure of it, large where it thinks it unlikely.",
  "gradient": "How much the loss changes if a number changes a little: its derivative. The backward pass finds it for all numbers at once.",
};

const bubble = el("div", { id: "term", popover: "manual", role: "note" });
let owner = null;

/** A text with terms in braces, as the nodes to append. What is no term stays as it is. */
export function explained(text) {
  return text.split(/(\{[^}]+\}[,.:;)]*)/).map((piece, i) => {
    if (i % 2 === 0) return piece;
    const [, inner, mark] = piece.match(/\{(.+)\}(.*)/);
    const [shown, term = shown] = inner.split("|");
    if (!(term in GLOSSARY)) return piece;
    const button = el("button", { class: "term", type: "button", "data-term": term, "aria-expanded": false,
      title: "What is this?", onclick: () => (owner === button ? hide() : show(button)), onblur: hide }, shown);
    return el("span", { class: "nowrap" }, button, mark);
  });
}

function show(button) {
  hide();
  owner = button;
  button.setAttribute("aria-expanded", true);
  bubble.textContent = GLOSSARY[button.dataset.term];
  document.getElementById("status").textContent = bubble.textContent;                       // read aloud
  document.body.append(bubble);
  bubble.showPopover();
  place();
}

function place() {
  if (!owner) return;
  const at = owner.getBoundingClientRect(), { offsetWidth: width, offsetHeight: height } = bubble;
  bubble.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  bubble.style.top = `${at.bottom + 6 + height < innerHeight ? at.bottom + 6 : Math.max(8, at.top - 6 - height)}px`;
}

function hide() {
  if (!owner) return;
  owner.setAttribute("aria-expanded", false);
  owner = null;
  bubble.hidePopover();
}

addEventListener("click", (event) => { if (!event.target.closest?.(".term, #term")) hide(); });
addEventListener("scroll", place, { passive: true, capture: true });
addEventListener("keydown", (event) => { if (event.key === "Escape" && owner) { event.stopPropagation(); hide(); } }, { capture: true });
