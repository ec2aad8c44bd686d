/* One model's side of an opened prompt: its tokens, its map, and what the pointer and the keyboard light up there. */
import { element, hideTip, quoted, shortText, showTip } from "aftertune/basics.js";
import { SalientGrid } from "./map.js";
import { promptBox, responseBox, sideHead } from "./tokens.js";

/* The state of one side: what is lit now, and what stays lit because it was clicked. */
export class Side {
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
    return found.toSorted((a, b) => b[0] - a[0]);
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
