/* A grid of cells (heads, networks): deeper for more change; pointing tells, clicking opens, arrow keys move.
   What it shows of is given: cells with a place [row, column], the measures to colour by, and lines of text on each. */

import { control, element, hideTip, printColours, showTip } from "./basics.js";
import { xml } from "./downloads.js";

/* How a page writes its numbers. */
export const fraction = (value) => value.toFixed(2);
export const whole = (value) => String(value);
export const degrees = (value) => `${value.toFixed(2)}°`;
export const percent = (value) => `${(100 * value).toFixed(1)}%`;

/* Rows of numbers as objects by the names of their columns. */
export function rowsOf({ columns, rows }) {
  return rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
}

export class CellGrid {
  /* name: what ids begin with; cells; rows and columns: the numbers along them; place(cell) -> [row, column];
     noun, corner, label, rowName(row): texts; lines(cell): what a cell's numbers say; measures: {key: {name, write}}.
     `detail`, an `OpenedCell`, is set before a cell is opened. */
  constructor(name, options) {
    Object.assign(this, options, { name, opened: null, measure: Object.keys(options.measures)[0] });
    this.table = control(`${name}-table`);
    this.byKey = new Map(this.cells.map((cell) => [this.keyOf(cell), cell]));
    this.buttons = new Map();
    this.draw();
    this.shade();
    this.listen();
    this.offerMeasures();
  }

  keyOf(cell) { return this.place(cell).join("-"); }

  draw() {
    const { table, columns } = this, top = element("tr");
    table.style.setProperty("--columns", columns.length);
    table.setAttribute("aria-label", this.label);
    top.append(element("td", "corner", this.corner), ...columns.map((column) => this.heading("col", column)));
    table.append(top, ...this.rows.map((row) => this.row(row)));
    const first = this.buttons.values().next().value;
    if (first) first.tabIndex = 0;
  }

  heading(scope, number) {
    const made = element("th", "", String(number));
    made.scope = scope;
    return made;
  }

  row(number) {
    const row = element("tr");
    row.append(this.heading("row", this.rowName(number)));
    for (const column of this.columns) {
      const box = element("td"), key = `${number}-${column}`;
      if (this.byKey.has(key)) box.append(this.button(key));
      row.append(box);
    }
    return row;
  }

  button(key) {
    const button = element("button", `cell ${this.name}`);
    Object.assign(button, { type: "button", tabIndex: -1, id: `${this.name}-${key}` });
    button.dataset.key = key;
    button.setAttribute("aria-label", this.lines(this.byKey.get(key)).join("; "));
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", `${this.name}-detail`);
    this.buttons.set(key, button);
    return button;
  }

  top() { return Math.max(0, ...this.cells.map((cell) => cell[this.measure] ?? 0)); }

  /* Level 0 to 10 of the measure, by the largest of all cells; null where there is nothing to compare. */
  level(cell) {
    const value = cell[this.measure];
    return value === null ? null : Math.ceil((10 * value) / this.most);
  }

  shade() {
    this.most = this.top() || 1; // once for all cells: there may be thousands
    for (const [key, button] of this.buttons) {
      const level = this.level(this.byKey.get(key));
      button.classList.toggle("empty", level === null);
      button.dataset.level = level ?? 0;
    }
    this.drawScale();
  }

  drawScale() {
    const { name, write } = this.measures[this.measure], ramp = element("span", "ramp");
    for (let level = 0; level <= 10; level++) ramp.append(element("i"));
    [...ramp.children].forEach((step, level) => { step.dataset.level = level; });
    ramp.setAttribute("aria-hidden", "true");
    const known = this.top() > 0;
    const ends = known ? [write(0), ramp, `${write(this.top())} (the largest)`] : [`0 in every ${this.noun}`];
    control(`${this.name}-scale`).replaceChildren(element("span", "", `${name}:`), ...ends);
  }

  offerMeasures() {
    const select = control(`${this.name}-measure`);
    select.append(...Object.entries(this.measures).map(([key, { name }]) => new Option(name, key)));
    select.addEventListener("change", () => { this.measure = select.value; this.shade(); });
  }

  listen() {
    const buttonOf = (event) => event.target.closest("button.cell");
    this.table.addEventListener("pointerover", (event) => {
      const button = buttonOf(event);
      return button ? this.tell(button, event) : hideTip();
    });
    this.table.addEventListener("pointerleave", hideTip);
    this.table.addEventListener("focusin", (event) => this.focused(buttonOf(event)));
    this.table.addEventListener("focusout", hideTip);
    this.table.addEventListener("click", (event) => { const button = buttonOf(event); if (button) this.toggle(button.dataset.key); });
    this.table.addEventListener("keydown", (event) => this.key(event, buttonOf(event)));
  }

  tell(button, at) { showTip(at, this.lines(this.byKey.get(button.dataset.key))); }

  focused(button) {
    if (!button) return;
    for (const other of this.table.querySelectorAll("button[tabindex='0']")) other.tabIndex = -1;
    button.tabIndex = 0;
    const { left, top } = button.getBoundingClientRect();
    if (button.matches(":focus-visible")) this.tell(button, { target: button, clientX: left, clientY: top });
  }

  key(event, button) {
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    if (!button) return;
    if (event.key === "Escape") this.close();
    else if (event.key in steps) this.step(button, ...steps[event.key]);
    else if (event.key === "Home") this.step(button, 0, -this.columns.length);
    else if (event.key === "End") this.step(button, 0, this.columns.length);
    else return;
    event.preventDefault();
  }

  /* The next cell in a direction, over places without one; a long step stops at the last one there. */
  step(button, down, across) {
    const { rows, columns } = this, [row, column] = this.place(this.byKey.get(button.dataset.key));
    const line = down ? rows.map((other) => `${other}-${column}`) : columns.map((other) => `${row}-${other}`);
    const keys = line.filter((key) => this.buttons.has(key)), at = keys.indexOf(button.dataset.key) + (down || across);
    this.buttons.get(keys[Math.min(Math.max(at, 0), keys.length - 1)]).focus();
  }

  toggle(key) { return this.opened === key ? this.close() : this.open(key); }

  /* Resolves when the cell's contents are drawn; an opened one stays open. Quietly: the focus stays where it is. */
  open(key, quietly = false) {
    if (this.opened === key) return this.opening;
    this.mark(key);
    this.opening = this.detail.open(this.byKey.get(key), key, quietly);
    return this.opening;
  }

  close() {
    if (this.opened === null) return;
    const last = this.buttons.get(this.opened);
    this.mark(null);
    this.detail.close();
    last.focus();
  }

  mark(key) {
    if (this.opened !== null) this.buttons.get(this.opened).setAttribute("aria-expanded", "false");
    if (key !== null) this.buttons.get(key).setAttribute("aria-expanded", "true");
    this.opened = key;
  }

  /* The cells that hold the word searched for; null when nothing is searched. */
  showHits(keys) {
    this.table.classList.toggle("searched", keys !== null);
    for (const [key, button] of this.buttons) button.classList.toggle("hit", keys !== null && keys.has(key));
  }

  /* The grid as it is coloured now, as a picture on white in the colours of a light page. */
  toSvg() {
    const size = 14, edge = 34, { rows, columns } = this, colours = printColours();
    const text = (x, y, words) => `<text x="${x}" y="${y}" text-anchor="middle">${words}</text>`;
    const parts = rows.map((row, i) => text(edge / 2, edge + (i + 0.7) * size, row));
    parts.push(`<text x="4" y="11">${xml(this.measures[this.measure].name)}</text>`);
    for (let i = 0; i < columns.length; i += columns.length > 16 ? 4 : 1) parts.push(text(edge + (i + 0.5) * size, edge - 6, columns[i]));
    for (const cell of this.cells) {
      const level = this.level(cell), [row, column] = this.place(cell);
      const x = edge + columns.indexOf(column) * size, y = edge + rows.indexOf(row) * size;
      const fill = level === null ? "none" : level ? colours[level] : "#f2f3f4";
      parts.push(`<rect x="${x}" y="${y}" width="${size - 1}" height="${size - 1}" fill="${fill}"/>`);
    }
    const [width, height] = [Math.max(220, edge + columns.length * size + 4), edge + rows.length * size + 4];
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="Arial, sans-serif" font-size="9">${parts.join("")}</svg>`;
  }
}

/* What a page with a grid does, for `registerPage`: an address names a cell, and a reload finds the cell that was open.
   `make` makes the grid when the page is first shown; toSvg() is the grid as a picture, for `registerFigure`. */
export function gridPage(name, make) {
  let grid = null;
  return {
    draw() { grid = make(); },
    opens: new RegExp(`^${name}-\\d+-\\d+$`),
    open(address) {
      const key = address.slice(name.length + 1);
      return grid.byKey.has(key) ? grid.open(key) : undefined;
    },
    kept: () => ({ opened: grid.opened, detail: grid.detail.kept() }),
    async again({ opened, detail }) {
      if (opened !== null) await grid.open(opened, true);
      grid.detail.again(detail);
    },
    toSvg: () => grid.toSvg(),
  };
}
