/* Which heads have a word in their lists? All lists are opened at the first search, and read through at each. */

const MOST_WORDS = 6, MOST_ROWS = 100;

class HeadSearch {
  constructor(grid, detail) {
    Object.assign(this, { grid, detail, asked: 0 });
    const form = control("head-word").form;
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const id of ["head-word", "head-whole"]) control(id).addEventListener("input", () => this.search());
    control("head-hits").addEventListener("click", (event) => {
      const button = event.target.closest("[data-key]");
      if (button && grid.opened !== button.dataset.key) grid.open(button.dataset.key);
    });
  }

  async search() {
    const word = control("head-word").value.trim().toLowerCase(), turn = ++this.asked;
    if (!word) return this.clear();
    control("head-found").textContent = "Searching…";
    const [words, ...layers] = await Promise.all([unpacked("head-words"), ...headData.layers.map((layer) => unpacked(`head-layer-${layer}`))]);
    if (turn !== this.asked) return;
    const fits = control("head-whole").checked ? (text) => text === word : (text) => text.startsWith(word);
    this.show(word, ...this.count(fits, words, layers));
    this.detail.highlight(fits);
  }

  /* The words of the lists that fit, and the number of pairs with any of them in each head, most first. */
  count(fits, words, layers) {
    const wanted = Uint8Array.from(words, (text) => (fits(text.toLowerCase()) ? 1 : 0)), seen = new Set(), found = [];
    layers.forEach((layer, row) => {
      for (const [head, pairs] of Object.entries(layer.pairs)) {
        const counts = { key: `${headData.layers[row]}-${head}`, base: 0, tuned: 0 };
        pairs.word_a.forEach((a, i) => {
          const b = pairs.word_b[i];
          if (!wanted[a] && !wanted[b]) return;
          for (const id of [a, b]) if (wanted[id]) seen.add(id);
          counts.base += pairs.rank_base[i] ? 1 : 0;
          counts.tuned += pairs.rank_tuned[i] ? 1 : 0;
        });
        if (counts.base || counts.tuned) found.push(counts);
      }
    });
    found.sort((a, b) => b.base + b.tuned - a.base - a.tuned);
    return [[...seen].sort((a, b) => a - b).map((id) => words[id]), found];
  }

  show(word, words, found) {
    this.grid.showHits(new Set(found.map((counts) => counts.key)));
    control("head-found").replaceChildren(...this.summary(word, words, found));
    control("head-hits").hidden = !found.length;
    control("head-hits").replaceChildren(...(found.length ? this.table(found) : []));
  }

  summary(word, words, found) {
    if (!found.length) return [`No list has a word ${control("head-whole").checked ? "that is" : "that begins with"} ${quoted(word)}.`];
    const sum = (role) => found.reduce((total, counts) => total + counts[role], 0);
    const more = words.length - MOST_WORDS;
    const names = words.slice(0, MOST_WORDS).flatMap((text, i) => (i ? [", ", wordElement(text)] : [wordElement(text)]));
    const heads = `${found.length} of ${this.grid.heads.length} heads`;
    return [...names, more > 0 ? ` and ${more} more words` : "", `: in ${heads}, ${sum("base")} pairs in base and ${sum("tuned")} in tuned.`];
  }

  table(found) {
    const table = element("table", "numbers"), head = element("tr");
    for (const name of ["head", "pairs in base", "pairs in tuned", "difference"]) head.append(element("th", "", name));
    table.append(head, ...found.slice(0, MOST_ROWS).map((counts) => this.row(counts)));
    const more = found.length - MOST_ROWS;
    return more > 0 ? [table, element("p", "facts", `and ${more} more heads, marked in the grid`)] : [table];
  }

  row(counts) {
    const row = element("tr"), name = element("th"), change = counts.tuned - counts.base;
    const button = element("button", "", nameOf(this.grid.byKey.get(counts.key)));
    button.type = "button";
    button.dataset.key = counts.key;
    name.scope = "row";
    name.append(button);
    row.append(name, ...[counts.base, counts.tuned, change > 0 ? `+${change}` : change < 0 ? `−${-change}` : "0"].map((value) => element("td", "", value)));
    return row;
  }

  clear() {
    this.grid.showHits(null);
    this.detail.highlight(null);
    control("head-found").replaceChildren();
    control("head-hits").hidden = true;
  }
}

const headGrid = new HeadGrid(control("head-table"), headData, (head) => headDetail.open(head), () => headDetail.close());
const headDetail = new HeadDetail(control("head-detail"), headData.models, () => headGrid.close());
const headSearch = new HeadSearch(headGrid, headDetail);
const headMeasure = control("head-measure");
headMeasure.append(...Object.entries(MEASURES).map(([key, { name }]) => new Option(name, key)));
headMeasure.addEventListener("change", () => { headGrid.measure = headMeasure.value; headGrid.shade(); });
drawings.heads = () => headGrid.toSvg();
