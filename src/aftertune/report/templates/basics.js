/* What every page uses: elements, words in sentences, blocks of data, the tooltip. */

const tip = document.getElementById("tip"), TIP_GAP = 8;

export const control = (id) => document.getElementById(id);

/* A block of data that stands in the page before its script. */
export function parsed(id) { return JSON.parse(control(id).textContent); }

export async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/* A block of data that was compressed (JSON inside base64), opened once, when it is first asked for. Blocks stand at
   the end of the page, which may be read while the page is in use already. */
const blocks = new Map();
export function unpacked(id) {
  if (!blocks.has(id)) blocks.set(id, unpack(id));
  return blocks.get(id);
}

/* The same of a block that not every page has; null where there is none. */
export async function unpackedIfAny(id) {
  if (!control(id)) await arrived;
  return control(id) && unpacked(id);
}

async function unpack(id) {
  if (!control(id)) await arrived;
  return JSON.parse(new TextDecoder().decode(await inflate(parsed(id))));
}

/* Resolves when the whole page has been read. */
const arrived = document.readyState === "loading" ? new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve)) : Promise.resolve();

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/* A heading of a table that a script draws. */
export function columnHead(text) {
  const cell = element("th", "", text);
  cell.scope = "col";
  return cell;
}

export function shortText(text) {
  const one = text.replace(/\n/g, "↵").replace(/\t/g, "⇥");
  return one.trim() ? one.trim() : one.length ? (one.includes("↵") || one.includes("⇥") ? one : "␣") : "◦";
}

const LONGEST_QUOTED = 80;
/* In quotes and isolated, so that a right-to-left token leaves the sentence around it as it is. */
export function quoted(text) { return `“\u2068${cut(shortText(text), LONGEST_QUOTED)}\u2069”`; }

/* The first signs of a text; one that takes two places in memory stays whole. */
export function cut(text, longest) {
  const signs = Array.from(text.slice(0, 2 * longest + 2));
  return signs.length > longest ? `${signs.slice(0, longest - 1).join("")}…` : text;
}

/* The tooltip, beside what it explains: below `box` (of the window) where it fits there, else above it. */
export function showTip(event, lines, box = pointedBox(event)) {
  tip.replaceChildren(...lines.map((line) => element("div", "", line)));
  tip.hidden = false;
  const left = Math.min(Math.max(event.clientX - 20, 8), window.innerWidth - tip.offsetWidth - 8);
  const below = box.bottom + TIP_GAP, above = box.top - TIP_GAP - tip.offsetHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below + tip.offsetHeight <= window.innerHeight || above < 0 ? below : above}px`;
}

/* The line of the element under the pointer: a token may stand on two of them. */
function pointedBox({ target, clientX, clientY }) {
  const lines = [...(target.closest?.(".t, button")?.getClientRects() ?? [])];
  return lines.find((line) => clientY >= line.top && clientY <= line.bottom) ?? new DOMRect(clientX, clientY);
}

export function hideTip() { tip.hidden = true; }

/* The colours of levels 0 (none) to 10, as the page has them now; and those of a light page, for what is saved. */
export function levelColours(name = "level") {
  const style = getComputedStyle(document.documentElement);
  return Array.from({ length: 11 }, (_, level) => (level ? style.getPropertyValue(`--${name}-${level}`).trim() : ""));
}

export function printColours() { return levelColours("print"); }
