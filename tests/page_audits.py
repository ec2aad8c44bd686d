"""Scripts that look over a page in a browser and return what is wrong with it, a line each."""

# What a reader who listens or types would trip over: names and headings that are missing, an order of its own.
NAMES = """
const found = [], say = (what, e) => found.push(`${what}: ${e.outerHTML.slice(0, 120)}`);
const labels = (e) => [...(e.labels || [])].map((label) => label.textContent.trim()).join('');
const name = (e) => e.getAttribute('aria-label') || e.textContent.trim() || labels(e);
const named = 'button, select, input, a, [role=img], [role=region], [role=group], [role=listbox]';
for (const e of document.querySelectorAll(named))
  if (!name(e) && !e.getAttribute('aria-labelledby')) say('no name', e);
for (const key of ['aria-labelledby', 'aria-controls', 'aria-activedescendant', 'for'])
  for (const e of document.querySelectorAll(`[${key}]`))
    for (const id of e.getAttribute(key).split(' ')) if (!document.getElementById(id)) say(`${key} leads nowhere`, e);
for (const e of document.querySelectorAll('[tabindex]')) if (e.tabIndex > 0) say('an order of its own', e);
for (const e of document.querySelectorAll('th')) if (!e.scope && e.textContent.trim()) say('no scope', e);
for (const e of document.querySelectorAll('svg, canvas, img'))
  if (!e.closest('[role=img], [aria-hidden=true]')) say('no text alternative', e);
let last = 1;
for (const e of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
  if (!e.checkVisibility()) continue;
  if (Number(e.tagName[1]) > last + 1) say('heading skips a level', e);
  last = Number(e.tagName[1]);
}
return found;
"""

# Every text that is shown against all that is painted behind it, by the contrast of WCAG 2.
CONTRAST = """
const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = ([r, g, b, a], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = (colour) => {
  const [r, g, b] = colour.map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (e) => {
  const chain = [];
  for (; e; e = e.parentElement) chain.unshift(rgba(getComputedStyle(e).backgroundColor));
  return chain.reduce((below, colour) => over(colour, below), [255, 255, 255]);
};
const found = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walk.nextNode());) {
  const e = node.parentElement;
  if (!node.data.trim() || !e.checkVisibility() || e.closest('svg, script, noscript, option')) continue;
  const below = ground(e), ink = over(rgba(getComputedStyle(e).color), below);
  const [low, high] = [light(ink), light(below)].sort((a, b) => a - b), ratio = (high + 0.05) / (low + 0.05);
  if (ratio < 4.5) found.add(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${node.data.trim().slice(0, 20)}`);
}
return [...found];
"""
