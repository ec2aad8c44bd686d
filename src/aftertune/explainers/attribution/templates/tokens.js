/* The tokens of one side as text: what is marked, and what a sign stands for. */

import { element } from "aftertune/basics.js";

/* A token's text as nodes: signs for new lines and tabs stand beside them, in a colour of their own. */
function fillToken(span, text) {
  if (!text.trim()) span.classList.add("blank");
  if (text === "") return span.append(element("span", "sign", "◦"));
  for (const part of text.split(/([\n\t])/)) {
    if (part === "\n" || part === "\t") span.append(element("span", "sign", part === "\n" ? "↵" : "⇥"), part);
    else if (part) span.append(part);
  }
}

function tokenBox(kind, texts, label, ids) {
  const box = element("div", `tokens ${kind}`);
  box.tabIndex = 0;
  box.setAttribute("role", "listbox");
  box.setAttribute("aria-label", label);
  const spans = texts.map((text, index) => {
    const span = element("span", "t");
    span.dataset.index = index;
    span.id = `${ids}-${index}`;
    span.setAttribute("role", "option");
    fillToken(span, text);
    return span;
  });
  return { box, spans };
}

/* All at once, and its direction last: the browser looks for that again with every piece that is added. */
function fill(box, pieces) {
  box.append(...pieces);
  box.dir = "auto";
}

export function promptBox(side, ids) {
  const { box, spans } = tokenBox("prompt", side.prompt, `Prompt tokens, ${side.model}`, `${ids}p`);
  const top = side.density.reduce((most, value) => Math.max(most, value), 0) || 1;
  spans.forEach((span, n) => {
    span.style.setProperty("--density", (side.density[n] / top).toFixed(2));
    span.classList.toggle("template", side.user[n] === "0");
    span.classList.toggle("instruction", side.instruction[n] === "1");
  });
  fill(box, [...spans.flatMap((span, n) => (side.gaps[n] ? [side.gaps[n], span] : [span])), side.gaps[spans.length] ?? ""]);
  return { box, spans };
}

export function responseBox(side, ids) {
  const made = tokenBox("response", side.response, `Response tokens, ${side.model}`, `${ids}r`);
  fill(made.box, made.spans);
  return made;
}

export function sideHead(side) {
  const head = element("div", "side-head");
  head.append(element("span", `model ${side.role}`, side.model));
  const facts = [`score ${side.score}`, `${side.prompt.length} prompt tokens`, `${side.response.length} response tokens`];
  if (side.helpfulness !== null) facts.push(`rated ${side.helpfulness} of 4`);
  if (side.copied !== null) facts.push(`${Math.round(100 * side.copied)}% copied`);
  head.append(element("span", "facts", facts.join(" · ")));
  if (side.repetitive) head.append(element("span", "flag", "repetitive"));
  if (side.note) head.append(element("span", "facts", side.note));
  return head;
}
