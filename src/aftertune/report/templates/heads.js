/* The grid of heads: layers down, heads across, deeper for more change; pointing tells, clicking opens. */

const headData = parsed("head-grid");
const fraction = (value) => value.toFixed(2), whole = (value) => String(value);
const MEASURES = {
  distance: { name: "distance of the head's list", write: fraction },
  neuron_distance: { name: "mean distance of its neuron pairs", write: fraction },
  verbs_gained: { name: `gained pairs with ${headData.asked}`, write: whole },
  verbs_lost: { name: `lost pairs with ${headData.asked}`, write: whole },
};

const keyOf = (head) => `${head.layer}-${head.head}`;
const nameOf = (head) => `Layer ${head.layer}, head ${head.head}`;

/* What a head's numbers say, in lines: for the tooltip, and joined for who cannot see the colour. */
function headLines(head) {
  const lines = [nameOf(head)];
  if (head.distance === null) return [...lines, "no pair in either model"];
  lines.push(`distance ${fraction(head.distance)}, ${head.n_gained} pairs gained, ${head.n_lost} lost`);
  if (head.neuron_distance !== null) lines.push(`distance of its neuron pairs ${fraction(head.neuron_distance)}`);
  return [...lines, `with ${headData.asked}: ${head.verbs_gained} gained, ${head.verbs_lost} lost`];
}

class HeadGrid {
  constructor(table, data, onOpen, onClose) {
    Object.assign(this, { table, data, onOpen, onClose, measure: "distance", opened: null });
    this.heads = data.rows.map((row) => Object.fromEntries(data.columns.map((name, i) => [name, row[i]])));
    this.byKey = new Map(this.heads.map((head) => [keyOf(head), head]));
    this.buttons = new Map();
    this.draw();
    this.shade();
    this.listen();
  }

  draw() {
    const { table, data } = this, top = element("tr");
    table.style.setProperty("--heads", data.n_heads);
    table.setAttribute("aria-label", "Heads: layers down, heads across");
    top.append(element("td", "corner", "layer"));
    for (let head = 0; head < data.n_heads; head++) top.append(this.heading("col", head));
    table.append(top, ...data.layers.map((layer) => this.row(layer)));
    const first = this.buttons.values().next().value;
    if (first) first.tabIndex = 0;
  }

  heading(scope, number) {
    const made = element("th", "", String(number));
    made.scope = scope;
    return made;
  }

  row(layer) {
    const row = element("tr");
    row.append(this.heading("row", layer));
    for (let number = 0; number < this.data.n_heads; number++) {
      const cell = element("td"), head = this.byKey.get(`${layer}-${number}`);
      if (head) cell.append(this.button(head));
      row.append(cell);
    }
    return row;
  }

  button(head) {
    const button = element("button", "head");
    Object.assign(button, { type: "button", tabIndex: -1, id: `head-${keyOf(head)}` });
    button.dataset.key = keyOf(head);
    button.setAttribute("aria-label", headLines(head).join("; "));
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", "head-detail");
    this.buttons.set(keyOf(head), button);
    return button;
  }

  top() { return Math.max(0, ...this.heads.map((head) => head[this.measure] ?? 0)); }

  /* Level 0 to 10 of the measure, by the largest of all heads; null where there is nothing to compare. */
  level(head) {
    const value = head[this.measure];
    return value === null ? null : Math.ceil((10 * value) / (this.top() || 1));
  }

  shade() {
    for (const [key, button] of this.buttons) {
      const level = this.level(this.byKey.get(key));
      button.classList.toggle("empty", level === null);
      button.dataset.level = level ?? 0;
    }
    this.drawScale();
  }

  drawScale() {
    const { name, write } = MEASURES[this.measure], ramp = element("span", "ramp");
    for (let level = 0; level <= 10; level++) ramp.append(element("i"));
    [...ramp.children].forEach((step, level) => { step.dataset.level = level; });
    ramp.setAttribute("aria-hidden", "true");
    const known = this.top() > 0;
    const ends = known ? [write(0), ramp, `${write(this.top())} (the largest)`] : ["0 in every head"];
    control("head-scale").replaceChildren(element("span", "", `${name}:`), ...ends);
  }

  listen() {
    const buttonOf = (event) => event.target.closest("button.head");
    this.table.addEventListener("pointerover", (event) => {
      const button = buttonOf(event);
      return button ? this.tell(button, event) : hideTip();
    });
    this.table.addEventListener("pointerleave", hideTip);
    this.table.addEventListener("focusin", (event) => this.focused(buttonOf(event)));
    this.table.addEventListener("focusout", hideTip);
    this.table.addEventListener("click", (event) => { const button = buttonOf(event); if (button) this.open(button.dataset.key); });
    this.table.addEventListener("keydown", (event) => this.key(event, buttonOf(event)));
  }

  tell(button, at) { showTip(at, headLines(this.byKey.get(button.dataset.key))); }

  focused(button) {
    if (!button) return;
    for (const other of this.table.querySelectorAll("button[tabindex='0']")) other.tabIndex = -1;
    button.tabIndex = 0;
    const box = button.getBoundingClientRect();
    if (button.matches(":focus-visible")) this.tell(button, { clientX: box.right, clientY: box.bottom });
  }

  key(event, button) {
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    if (!button) return;
    if (event.key === "Escape") this.close();
    else if (event.key in steps) this.step(button, ...steps[event.key]);
    else if (event.key === "Home") this.step(button, 0, -this.data.n_heads);
    else if (event.key === "End") this.step(button, 0, this.data.n_heads);
    else return;
    event.preventDefault();
  }

  /* The next head in a direction; a long step stops at the last one there. */
  step(button, down, across) {
    const { layer, head } = this.byKey.get(button.dataset.key), { layers, n_heads: heads } = this.data;
    const row = Math.min(Math.max(layers.indexOf(layer) + down, 0), layers.length - 1);
    const column = Math.min(Math.max(head + across, 0), heads - 1);
    const found = this.buttons.get(`${layers[row]}-${column}`);
    if (found) found.focus();
  }

  open(key) {
    if (this.opened === key) return this.close();
    this.mark(key);
    this.onOpen(this.byKey.get(key));
  }

  close() {
    if (this.opened === null) return;
    const last = this.buttons.get(this.opened);
    this.mark(null);
    this.onClose();
    last.focus();
  }

  mark(key) {
    if (this.opened !== null) this.buttons.get(this.opened).setAttribute("aria-expanded", "false");
    if (key !== null) this.buttons.get(key).setAttribute("aria-expanded", "true");
    this.opened = key;
  }

  /* The heads whose lists hold the word searched for; null when nothing is searched. */
  showHits(keys) {
    this.table.classList.toggle("searched", keys !== null);
    for (const [key, button] of this.buttons) button.classList.toggle("hit", keys !== null && keys.has(key));
  }

  /* The grid as it is coloured now, as a picture on white in the colours of a light page. */
  toSvg() {
    const cell = 14, edge = 34, { layers, n_heads: heads } = this.data;
    const text = (x, y, words) => `<text x="${x}" y="${y}" text-anchor="middle">${words}</text>`;
    const parts = layers.map((layer, row) => text(edge / 2, edge + (row + 0.7) * cell, layer));
    for (let head = 0; head < heads; head += heads > 16 ? 4 : 1) parts.push(text(edge + (head + 0.5) * cell, edge - 6, head));
    for (const head of this.heads) {
      const level = this.level(head), x = edge + head.head * cell, y = edge + layers.indexOf(head.layer) * cell;
      const fill = level === null ? "none" : level ? headData.ramp[level - 1] : "#f2f3f4";
      parts.push(`<rect x="${x}" y="${y}" width="${cell - 1}" height="${cell - 1}" fill="${fill}"/>`);
    }
    const [width, height] = [edge + heads * cell + 4, edge + layers.length * cell + 4];
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="Arial, sans-serif" font-size="9">${parts.join("")}</svg>`;
  }
}
