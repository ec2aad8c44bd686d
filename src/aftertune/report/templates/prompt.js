"use strict";
/* One prompt: text, response and salient map of each model, and what lights up when you point at them. */

const tip = document.getElementById("tip");

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function shortText(text) {
  const one = text.replace(/\n/g, "↵").replace(/\t/g, "⇥");
  return one.trim() ? one.trim() : one.length ? (one.includes("↵") || one.includes("⇥") ? one : "␣") : "◦";
}

/* In quotes and isolated, so that a right-to-left token leaves the sentence around it as it is. */
function quoted(text) { return `“\u2068${shortText(text)}\u2069”`; }

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
  box.dir = "auto";
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

function promptBox(side, ids) {
  const { box, spans } = tokenBox("prompt", side.prompt, `Prompt tokens, ${side.model}`, `${ids}p`);
  const top = Math.max(...side.density, 0) || 1;
  spans.forEach((span, n) => {
    if (side.gaps[n]) box.append(side.gaps[n]);
    span.style.setProperty("--density", (side.density[n] / top).toFixed(2));
    span.classList.toggle("template", side.user[n] === "0");
    span.classList.toggle("instruction", side.instruction[n] === "1");
    box.append(span);
  });
  if (side.gaps[spans.length]) box.append(side.gaps[spans.length]);
  return { box, spans };
}

function responseBox(side, ids) {
  const made = tokenBox("response", side.response, `Response tokens, ${side.model}`, `${ids}r`);
  made.box.append(...made.spans);
  return made;
}

function sideHead(side) {
  const head = element("div", "side-head");
  head.append(element("span", `model ${side.role}`, side.model));
  const facts = [`score ${side.score}`, `${side.prompt.length} prompt tokens`, `${side.response.length} response tokens`];
  if (side.helpfulness !== null) facts.push(`rated ${side.helpfulness} of 4`);
  if (side.copied !== null) facts.push(`${Math.round(100 * side.copied)}% copied`);
  head.append(element("span", "facts", facts.join(" · ")));
  if (side.repetitive) head.append(element("span", "flag", "repetitive"));
  return head;
}

/* The state of one side: what is lit now, and what stays lit because it was clicked. */
class Side {
  constructor(root, side, levels, importance, ids) {
    Object.assign(this, { side, levels, importance, pinned: null, lit: null });
    this.width = side.response.length;
    const prompt = promptBox(side, ids), response = responseBox(side, ids);
    this.boxes = { prompt: prompt.box, response: response.box };
    this.spans = { prompt: prompt.spans, response: response.spans };
    this.readout = element("p", "readout");
    this.readout.setAttribute("aria-live", "polite");
    this.map = new SalientGrid(this);
    root.append(sideHead(side), element("h4", "", "Prompt"), prompt.box, element("h4", "", "Response"));
    if (this.width) root.append(response.box, this.readout, this.map.head, this.map.frame);
    else root.append(element("p", "none", "This model's response is empty."));
    this.listen("response");
    this.listen("prompt");
    this.clear();
  }

  level(n, m) { return this.levels[n * this.width + m]; }

  levelsFor(kind, index) {
    const other = kind === "response" ? "prompt" : "response";
    return this.spans[other].map((_, k) => (kind === "response" ? this.level(k, index) : this.level(index, k)));
  }

  show(kind, index) {
    const other = kind === "response" ? "prompt" : "response";
    this.wipe();
    this.levelsFor(kind, index).forEach((level, k) => { this.spans[other][k].dataset.level = level; });
    this.boxes[other].classList.add("lit");
    this.spans[kind][index].classList.add("on");
    this.lit = { kind, index };
    this.readout.textContent = this.say(kind, index);
    this.map.mark(kind === "prompt" ? index : null, kind === "response" ? index : null);
  }

  showCell(n, m) {
    this.show("response", m);
    this.spans.prompt[n].classList.add("on");
    this.map.mark(n, m);
  }

  /* Level and text of the tokens that this one is tied to, strongest first. */
  strongest(kind, index) {
    const texts = this.side[kind === "response" ? "prompt" : "response"];
    const found = this.levelsFor(kind, index).map((level, k) => [level, texts[k]]).filter((pair) => pair[0]);
    return found.sort((a, b) => b[0] - a[0]);
  }

  say(kind, index) {
    const found = this.strongest(kind, index);
    const names = found.slice(0, 6).map(([level, text]) => `${quoted(text)} ${level}`);
    const more = found.length > 6 ? ` and ${found.length - 6} more` : "";
    const verb = kind === "response" ? "depends on" : "matters for";
    return `${quoted(this.side[kind][index])} ${verb} ${names.join(", ") || "no token"}${more}`;
  }

  /* What the pointer says about a token, beside what is lit already. */
  explain(kind, index) {
    const lines = [quoted(this.side[kind][index])];
    if (kind === "prompt") lines.push(`density ${this.side.density[index]}`);
    else if (this.side.probability) lines.push(`probability ${this.side.probability[index]}`);
    if (this.pinned && this.pinned.kind !== kind) {
      const [n, m] = kind === "prompt" ? [index, this.pinned.index] : [this.pinned.index, index];
      return [...lines, ...this.pairLines(n, m)];
    }
    const found = this.strongest(kind, index);
    if (kind === "prompt") lines.push(`matters for ${found.length} of ${this.width} response tokens`);
    else lines.push(...found.slice(0, 6).map(([level, text]) => `${String(level).padStart(2, "\u2007")}  \u2068${shortText(text)}\u2069`));
    return lines;
  }

  pairLines(n, m) {
    const lines = [`${quoted(this.side.prompt[n])} for ${quoted(this.side.response[m])}: level ${this.level(n, m)} of 10`];
    if (this.importance) lines.push(`importance ${this.importance[n * this.width + m].toPrecision(3)}`);
    return lines;
  }

  wipe() {
    for (const span of [...this.spans.prompt, ...this.spans.response]) {
      delete span.dataset.level;
      span.classList.remove("on");
    }
    for (const box of Object.values(this.boxes)) box.classList.remove("lit");
    this.lit = null;
    this.map.mark(null, null);
  }

  clear() {
    this.wipe();
    if (this.pinned) return this.show(this.pinned.kind, this.pinned.index);
    this.readout.textContent = "Point at a token.";
  }

  pin(kind, index) {
    this.unselect();
    const same = this.pinned && this.pinned.kind === kind && this.pinned.index === index;
    this.pinned = same || index === null ? null : { kind, index };
    if (this.pinned) {
      this.spans[kind][index].setAttribute("aria-selected", "true");
      this.boxes[kind].setAttribute("aria-activedescendant", this.spans[kind][index].id);
    }
    this.clear();
  }

  unselect() {
    if (!this.pinned) return;
    this.spans[this.pinned.kind][this.pinned.index].removeAttribute("aria-selected");
    this.boxes[this.pinned.kind].removeAttribute("aria-activedescendant");
  }

  listen(kind) {
    const box = this.boxes[kind];
    const indexOf = (event) => { const t = event.target.closest(".t"); return t ? Number(t.dataset.index) : null; };
    box.addEventListener("pointerover", (event) => {
      const index = indexOf(event);
      if (index === null) return;
      if (!this.pinned) this.show(kind, index);
      showTip(event, this.explain(kind, index));
    });
    box.addEventListener("pointerleave", () => { hideTip(); this.clear(); });
    box.addEventListener("click", (event) => { const index = indexOf(event); if (index !== null) this.pin(kind, index); });
    box.addEventListener("keydown", (event) => this.key(kind, event));
    box.addEventListener("focus", () => { if (!this.pinned && box.matches(":focus-visible")) this.step(kind, 0); });
  }

  key(kind, event) {
    const at = this.pinned && this.pinned.kind === kind ? this.pinned.index : -1;
    const last = this.spans[kind].length - 1;
    const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last };
    if (event.key === "Escape") this.pin(kind, null);
    else if (event.key in moves) this.step(kind, moves[event.key]);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") this.step(kind, this.nextLine(kind, at, event.key));
    else return;
    event.preventDefault();
  }

  step(kind, index) {
    const to = Math.min(Math.max(index, 0), this.spans[kind].length - 1);
    if (to < 0 || (this.pinned && this.pinned.kind === kind && this.pinned.index === to)) return;
    this.pin(kind, to);
    this.spans[kind][to].scrollIntoView({ block: "nearest" });
  }

  /* The token on the next or previous line that stands nearest, as a text cursor would move. */
  nextLine(kind, at, key) {
    const spans = this.spans[kind], down = key === "ArrowDown";
    if (at < 0) return 0;
    const from = spans[at].getBoundingClientRect();
    let best = null, line = null;
    for (let k = at; k >= 0 && k < spans.length; k += down ? 1 : -1) {
      const box = spans[k].getBoundingClientRect();
      if (Math.abs(box.top - from.top) < 4) continue;
      line = line === null ? box.top : line;
      if (Math.abs(box.top - line) > 4) break;
      const away = Math.abs(box.left - from.left);
      if (best === null || away < best.away) best = { k, away };
    }
    return best ? best.k : down ? spans.length - 1 : 0;
  }
}

/* Figure 1: prompt tokens down, response tokens across. */
class SalientGrid {
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
    const svg = element("button", "", "SVG"), png = element("button", "", "PNG");
    svg.addEventListener("click", () => saveText(this.toSvg(), "salient-map.svg", "image/svg+xml"));
    png.addEventListener("click", () => this.canvas.toBlob((blob) => saveBlob(blob, "salient-map.png")));
    head.append(element("h4", "", "Salient map"), element("span", "facts", "prompt down, response across"), size, svg, png);
    return head;
  }

  sizes() {
    if (this.large) return { w: 12, h: 14 };
    const room = this.frame.clientWidth || 560, named = this.rows <= 40;
    const w = Math.floor((room - (named ? 92 : 2)) / Math.max(1, this.owner.width));
    return { w: Math.min(16, Math.max(2, w)), h: named ? 13 : Math.min(12, Math.max(3, Math.floor(420 / this.rows))) };
  }

  draw() {
    if (!this.owner.width) return;
    const { w, h } = (this.cell = this.sizes());
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
    const style = getComputedStyle(this.frame), paint = sized(this.names, 88, h * this.rows);
    paint.font = `${h - 3}px ${style.fontFamily}`;
    paint.textAlign = "right";
    paint.textBaseline = "middle";
    this.owner.side.prompt.forEach((text, n) => {
      let label = shortText(text);
      while (label.length > 2 && paint.measureText(label).width > 80) label = label.slice(0, -2) + "…";
      paint.fillStyle = this.owner.side.user[n] === "1" ? style.color : "#8a8f98";
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

  toSvg() {
    const { w, h } = { w: 6, h: 6 }, colours = levelColours(), cells = [];
    for (let n = 0; n < this.rows; n++) {
      for (let m = 0; m < this.owner.width; m++) {
        const level = this.owner.level(n, m);
        if (level) cells.push(`<rect x="${m * w}" y="${n * h}" width="${w}" height="${h}" fill="${colours[level]}"/>`);
      }
    }
    const width = w * this.owner.width, height = h * this.rows;
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">${cells.join("")}</svg>`;
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

function levelColours() {
  const style = getComputedStyle(document.documentElement);
  return Array.from({ length: 11 }, (_, level) => (level ? style.getPropertyValue(`--level-${level}`).trim() : ""));
}

function showTip(event, lines) {
  tip.replaceChildren(...lines.map((line) => element("div", "", line)));
  tip.hidden = false;
  const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 18, above = event.clientY - tip.offsetHeight - 10;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below + tip.offsetHeight > window.innerHeight ? above : below}px`;
}

function hideTip() { tip.hidden = true; }

function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function saveText(text, name, type) { saveBlob(new Blob([text], { type: `${type};charset=utf-8` }), name); }

const grids = new Set();
const redraw = () => grids.forEach((grid) => (grid.frame.isConnected ? grid.draw() : grids.delete(grid)));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
let waiting = 0;
window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 120); });

async function drawPrompt(stage, data) {
  for (const [number, side] of data.sides.entries()) {
    const root = element("section", `side ${side.role}`);
    root.setAttribute("aria-label", side.missing ? side.role : side.model);
    stage.append(root);
    if (side.missing) { root.append(element("p", "none", `There is no map of the ${side.role} model for this prompt.`)); continue; }
    const levels = await inflate(side.levels);
    const importance = side.importance ? new Float32Array((await inflate(side.importance)).buffer) : null;
    const made = new Side(root, side, levels, importance, `${stage.id}-${number}`);
    grids.add(made.map);
    made.map.draw();
  }
  stage.dataset.drawn = "1";
}
