/* Figure 1: prompt tokens down, response tokens across. */
import { cut, element, hideTip, levelColours, shortText, showTip } from "aftertune/basics.js";
import { mapButtons } from "./map_files.js";

const LONGEST_CANVAS = 32000;

export class SalientGrid {
  constructor(owner) {
    this.owner = owner;
    this.large = false;
    this.rows = owner.side.prompt.length;
    this.head = this.makeHead();
    this.frame = element("div", "map");
    this.names = element("canvas", "names");
    this.canvas = element("canvas", "cells");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Salient map of ${owner.side.model}: ${this.rows} prompt tokens by ${owner.width} response tokens`);
    this.bars = { row: element("i", "row"), column: element("i", "column") };
    const inner = element("div", "plane");
    inner.append(this.canvas, this.bars.row, this.bars.column);
    this.frame.append(this.names, inner);
    this.frame.tabIndex = 0;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => { hideTip(); owner.clear(); });
    this.canvas.addEventListener("click", (event) => { const at = this.cellAt(event); if (at) owner.pin("response", at[1]); });
  }

  makeHead() {
    const head = element("div", "map-head");
    const size = element("button", "", "Enlarge");
    size.type = "button";
    size.addEventListener("click", () => {
      this.large = !this.large;
      size.textContent = this.large ? "Fit" : "Enlarge";
      this.draw();
    });
    head.append(element("h4", "", "Salient map"), element("span", "facts", "prompt down, response across"), size, mapButtons(this.owner));
    return head;
  }

  /* A canvas has a longest side: beyond it cells shrink, down to nothing. */
  sizes() {
    const scale = window.devicePixelRatio || 1, most = (cells) => Math.floor(LONGEST_CANVAS / scale / Math.max(1, cells));
    const { w, h } = this.large ? { w: 12, h: 14 } : this.fitted();
    return { w: Math.min(w, most(this.owner.width)), h: Math.min(h, most(this.rows)) };
  }

  fitted() {
    const room = this.frame.clientWidth || 560, named = this.rows <= 40;
    const w = Math.floor((room - (named ? 92 : 2)) / Math.max(1, this.owner.width));
    return { w: Math.min(16, Math.max(2, w)), h: named ? 13 : Math.min(12, Math.max(3, Math.floor(420 / this.rows))) };
  }

  draw() {
    if (!this.owner.width) return;
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
    if (this.marked) this.mark(...this.marked);
  }

  drawNames(h) {
    this.names.hidden = h < 10;
    if (this.names.hidden) return;
    const style = getComputedStyle(this.frame), soft = style.getPropertyValue("--soft"), paint = sized(this.names, 88, h * this.rows);
    paint.font = `${h - 3}px ${style.fontFamily}`;
    paint.textAlign = "right";
    paint.textBaseline = "middle";
    this.owner.side.prompt.forEach((text, n) => {
      let label = cut(shortText(text), 40);
      while (label.length > 2 && paint.measureText(label).width > 80) label = label.slice(0, -2) + "…";
      paint.fillStyle = this.owner.side.user[n] === "1" ? style.color : soft;
      paint.fillText(label, 83, (n + 0.5) * h);
    });
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
    showTip(event, this.owner.pairLines(...at));
  }
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
