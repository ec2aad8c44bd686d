/* Which cells of a grid have a word in their lists? All lists are opened at the first search, and read at each. */

import { columnHead, control, element, quoted, unpacked } from "./basics.js";
import { wordElement } from "./opened.js";
import { tableButtons } from "./table_text.js";

const MOST_WORDS = 6, MOST_ROWS = 100;

export class WordSearch {
  constructor(grid, layers) {
    Object.assign(this, { grid, layers, name: grid.name, turn: 0 });
  }

  listen() {
    this.control("word").form.addEventListener("submit", (event) => event.preventDefault());
    for (const part of ["word", "whole"]) this.control(part).addEventListener("input", () => this.search());
    this.control("hits").addEventListener("click", (event) => {
      const button = event.target.closest("[data-key]");
      if (button) this.open(button.dataset);
    });
  }

  control(part) { return control(`${this.name}-${part}`); }

  async search() {
    const word = this.control("word").value.trim().toLowerCase(), turn = ++this.turn;
    if (!word) return this.clear();
    this.control("found").textContent = "Searching…";
    const [words, ...layers] = await this.load();
    if (turn !== this.turn) return;
    const fits = this.control("whole").checked ? (text) => text === word : (text) => text.startsWith(word);
    this.show(word, words, fits, layers);
    this.grid.detail.highlight(fits);
  }

  /* The list of words, and what each layer has. */
  load() {
    return Promise.all([unpacked(`${this.name}-words`), ...this.layers.map((layer) => unpacked(`${this.name}-layer-${layer}`))]);
  }

  show(word, words, fits, layers) {
    const wanted = Uint8Array.from(words, (text) => (fits(text.toLowerCase()) ? 1 : 0)), seen = new Set();
    const found = this.count(layers, wanted, seen);
    this.grid.showHits(new Set(found.map(({ key }) => key)));
    const names = [...seen].toSorted((a, b) => a - b).map((id) => words[id]);
    this.control("found").replaceChildren(...(found.length ? this.summary(names, found) : [this.nothing(word)]));
    this.control("hits").hidden = !found.length;
    this.control("hits").replaceChildren(...(found.length ? this.table(found) : []));
  }

  nothing(word) {
    return `No list has a word ${this.control("whole").checked ? "that is" : "that begins with"} ${quoted(word)}.`;
  }

  summary(names, found) {
    const more = names.length - MOST_WORDS;
    const shown = names.slice(0, MOST_WORDS).flatMap((text, i) => (i ? [", ", wordElement(text)] : [wordElement(text)]));
    return [...shown, more > 0 ? ` and ${more} more words` : "", `: ${this.sum(found)}`];
  }

  table(found) {
    const table = element("table", "numbers"), head = element("tr");
    for (const name of this.columns) head.append(columnHead(name));
    table.append(head, ...found.slice(0, MOST_ROWS).map((hit) => this.row(hit)));
    const more = found.length - MOST_ROWS, buttons = tableButtons(`${this.name}-search`, () => this.textTable(found));
    return more > 0 ? [table, element("p", "facts", `and ${more} more ${this.plural}, marked in the grid`), buttons] : [table, buttons];
  }

  textTable(found) {
    const title = `${this.plural} with “${this.control("word").value.trim()}”`;
    return { title, columns: this.columns, rows: found.map((hit) => [this.nameOf(hit), ...this.values(hit)]) };
  }

  row(hit) {
    const row = element("tr"), name = element("th"), button = element("button", "", this.nameOf(hit));
    button.type = "button";
    Object.assign(button.dataset, this.target(hit));
    name.scope = "row";
    name.append(button);
    row.append(name, ...this.values(hit).map((value) => element("td", "", value)));
    return row;
  }

  target(hit) { return { key: hit.key }; }

  open({ key }) { return this.grid.open(key); }

  clear() {
    this.grid.showHits(null);
    this.grid.detail.highlight(null);
    this.control("found").replaceChildren();
    this.control("hits").hidden = true;
  }
}
