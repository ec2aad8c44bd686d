/* Figure 1: prompt tokens down, response tokens across, each beside its row and above its column where there is room. */
import { cut, element, hideTip, levelColours, shortText, showTip } from "aftertune/basics.js";
import { mapButtons } from "./map_files.js";

const LONGEST_CANVAS = 32000;
/* Pixels: what names take beside and above the cells, and the least cell that has one. More rows go without. */
const BESIDE = { wide: 88, narrow: 64 }, NARROW = 400, ABOVE = 66, LEAST_NAMED = { w: 9, h: 10 }, MOST_NAMED = 120;

export class SalientGrid {
  constructor(owner) {
    this.owner = owner;
    this.large = false;
    this.beside = BESIDE.wide;
    this.together = [this];
    this.rows = owner.side.prompt.length;
    this.head = this.makeHead();
    this.frame = element("div", "map");
    this.names = element("canvas", "names");
    this.tops = element("canvas", "tops");
    this.corner = element("span", "corner");
    this.canvas = element("canvas", "cells");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Salient map of ${owner.side.model}: ${this.rows} prompt tokens by ${owner.width} response tokens`);
    this.bars = { row: element("i", "row"), column: element("i", "column") };
    const inner = element("div", "plane");
    inner.append(this.canvas, this.bars.row, this.bars.column);
    this.frame.append(this.corner, this.tops, this.names, inner);
    for (const names of [this.names, this.tops]) names.setAttribute("aria-hidden", "true");
    this.frame.setAttribute("role", "group");
    this.frame.setAttribute("aria-label", `Map of ${owner.side.model}`);
    this.frame.tabIndex = 0;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => { hideTip(); owner.clear(); });
    this.canvas.addEventListener("click", (event) => { const at = this.cellAt(event); if (at) owner.pin("response", at[1]); });
  }

  makeHead() {
    const head = element("div", "map-head");
    this.size = element("button");
    this.size.type = "button";
    this.size.addEventListener("click", () => { const large = !this.large; this.together.forEach((map) => map.enlarge(large)); });
    head.append(element("h4", "", "Salient map"), element("span", "facts", "prompt down, response across"), this.size, mapButtons(this.owner));
    return head;
  }

  /* The maps of one prompt are of one size, so that a token stands at one height in all of them. */
  enlarge(large) {
    this.large = large;
    this.draw();
  }

  /* A canvas has a longest side: beyond it cells shrink, down to nothing. */
  sizes() {
    const scale = window.devicePixelRatio || 1, most = (cells) => Math.floor(LONGEST_CANVAS / scale / Math.max(1, cells));
    const { w, h } = this.large ? { w: 12, h: 14 } : this.fitted();
    return { w: Math.min(w, most(this.owner.width)), h: Math.min(h, most(this.rows)) };
  }

  fitted() {
    const room = this.frame.clientWidth || 560, named = this.rows <= MOST_NAMED;
    this.beside = room < NARROW ? BESIDE.narrow : BESIDE.wide;
    const w = Math.floor((room - (named ? this.beside + 4 : 2)) / Math.max(1, this.owner.width));
    return { w: Math.min(16, Math.max(2, w)), h: named ? (this.rows <= 40 ? 13 : 11) : Math.max(3, Math.floor(420 / this.rows)) };
  }

  draw() {
    if (!this.owner.width) return;
    this.size.textContent = this.large ? "Fit" : "Enlarge";
    const { w, h } = (this.cell = this.sizes());
    if (!w || !h) return this.frame.replaceChildren("This map is too large to draw; its CSV has all of it.");
    const paint = sized(this.canvas, w * this.owner.width, h * this.rows);
    const colours = levelColours(), gap = w > 5 && h > 5 ? 1 : 0;
    for (let n = 0; n < this.rows; n++) {
      for (let m = 0; m < this.owner.width; m++) {
        const level = this.owner.level(n, m);
        if (!level) continue;
        paint.fillStyle = colours[level];
        paint.fillRect(m * w, n * h, w - gap, h - gap);
      }
    }
    this.drawNames(h);
    this.drawTops(w);
    this.corner.hidden = this.names.hidden || this.tops.hidden;
    if (this.marked) this.mark(...this.marked);
  }

  drawNames(h) {
    this.names.hidden = h < LEAST_NAMED.h;
    if (this.names.hidden) return;
    const { user, prompt } = this.owner.side, { beside } = this, paint = sized(this.names, beside, h * this.rows);
    const style = this.writeWith(paint, h - 2), soft = style.getPropertyValue("--soft");
    paint.textAlign = "right";
    prompt.forEach((text, n) => {
      paint.fillStyle = user[n] === "1" ? style.color : soft;
      paint.fillText(shortened(paint, text, beside - 8), beside - 5, (n + 0.5) * h);
    });
  }

  /* The response's tokens, read from below upwards. */
  drawTops(w) {
    this.tops.hidden = w < LEAST_NAMED.w;
    if (this.tops.hidden) return;
    const { response } = this.owner.side, paint = sized(this.tops, w * this.owner.width, ABOVE);
    paint.fillStyle = this.writeWith(paint, w).color;
    response.forEach((text, m) => {
      paint.save();
      paint.translate((m + 0.5) * w, ABOVE - 4);
      paint.rotate(-Math.PI / 2);
      paint.fillText(shortened(paint, text, ABOVE - 8), 0, 0);
      paint.restore();
    });
  }

  writeWith(paint, size) {
    const style = getComputedStyle(this.frame);
    paint.font = `${Math.min(size, 11)}px ${style.fontFamily}`;
    paint.textBaseline = "middle";
    return style;
  }

  mark(n, m) {
    this.marked = [n, m];
    if (!this.cell) return;
    const { w, h } = this.cell, { row, column } = this.bars;
    row.hidden = n === null;
    column.hidden = m === null;
    Object.assign(row.style, { top: `${n * h - 1}px`, height: `${h + 1}px`, width: `${w * this.owner.width}px` });
    Object.assign(column.style, { left: `${m * w - 1}px`, width: `${w + 1}px`, height: `${h * this.rows}px` });
  }

  cellAt(event) {
    const n = Math.floor(event.offsetY / this.cell.h), m = Math.floor(event.offsetX / this.cell.w);
    return n >= 0 && m >= 0 && n < this.rows && m < this.owner.width ? [n, m] : null;
  }

  point(event) {
    const at = this.cellAt(event);
    if (!at) return;
    this.owner.showCell(...at);
    showTip(event, this.owner.pairLines(...at), this.cellBox(...at));
  }

  /* Where a cell stands in the window. */
  cellBox(n, m) {
    const { left, top } = this.canvas.getBoundingClientRect(), { w, h } = this.cell;
    return new DOMRect(left + m * w, top + n * h, w, h);
  }
}

/* A token's text in so many pixels. */
function shortened(paint, text, room) {
  let label = cut(shortText(text), 40);
  while (label.length > 2 && paint.measureText(label).width > room) label = `${label.slice(0, -2)}…`;
  return label;
}

function sized(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const paint = canvas.getContext("2d");
  paint.scale(scale, scale);
  return paint;
}

/* Maps that are drawn again when the page's width or colours change, as long as they stand in it. */
const maps = new Set();
export function keepDrawn(map) { maps.add(map); }
export function redraw() { maps.forEach((map) => (map.frame.isConnected ? map.draw() : maps.delete(map))); }

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
let waiting = 0;
window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 120); });
