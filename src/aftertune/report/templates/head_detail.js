/* One opened head: the lists of both models side by side, and the neuron pairs that changed most. */

const CHANGES = { gained: "+ gained", lost: "− lost" };
const ROLES = ["base", "tuned"];

/* A word in isolation, so that one written from right to left leaves its line as it is. */
function wordElement(text) { return element("bdi", "word", text || "◦"); }

class HeadDetail {
  constructor(root, models, onClose) {
    Object.assign(this, { root, models, onClose, wanted: null, fits: null });
    root.addEventListener("keydown", (event) => { if (event.key === "Escape") this.onClose(); });
  }

  async open(head) {
    this.wanted = head;
    this.root.hidden = false;
    const [words, layer] = await Promise.all([unpacked("head-words"), unpacked(`head-layer-${head.layer}`)]);
    if (this.wanted !== head) return;
    const pairs = this.pairs(layer.pairs[head.head], words);
    this.root.replaceChildren(this.title(head), this.facts(head), this.onlyChanged(), this.lists(pairs), ...this.examples(layer.neurons[head.head], words));
    this.root.dataset.drawn = keyOf(head);
    this.highlight(this.fits);
    this.root.querySelector("h4").focus({ preventScroll: true });
    this.root.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.wanted = null;
    this.root.hidden = true;
    this.root.replaceChildren();
    delete this.root.dataset.drawn;
  }

  pairs(columns, words) {
    if (!columns) return [];
    return columns.word_a.map((a, i) => ({
      words: [words[a], words[columns.word_b[i]]],
      base: { rank: columns.rank_base[i], neurons: columns.n_neurons_base[i] },
      tuned: { rank: columns.rank_tuned[i], neurons: columns.n_neurons_tuned[i] },
    }));
  }

  title(head) {
    const line = element("div", "card-head"), name = element("h4", "", nameOf(head));
    const close = element("button", "close", "Close");
    Object.assign(name, { id: "head-detail-title", tabIndex: -1 });
    close.type = "button";
    close.addEventListener("click", this.onClose);
    line.append(name, close);
    return line;
  }

  facts(head) { return element("p", "facts", headLines(head).slice(1).join(" · ")); }

  onlyChanged() {
    const label = element("label", "tick"), tick = element("input");
    tick.type = "checkbox";
    tick.checked = this.root.classList.contains("changed-only");
    tick.addEventListener("change", () => this.root.classList.toggle("changed-only", tick.checked));
    label.append(tick, " only what changed");
    return label;
  }

  lists(pairs) {
    const both = element("div", "head-lists");
    both.append(...ROLES.map((role, i) => this.list(role, ROLES[1 - i], pairs)));
    return both;
  }

  list(role, other, pairs) {
    const side = element("section", `head-list ${role}`), table = element("table");
    const own = pairs.filter((pair) => pair[role].rank).sort((a, b) => a[role].rank - b[role].rank);
    side.append(element("span", `model ${role}`, this.models[role]));
    side.setAttribute("aria-label", `${this.models[role]} (${role})`);
    if (!own.length) { side.append(element("p", "none", "This model has no pair here.")); return side; }
    const head = element("tr"), box = element("div", "head-rows");
    for (const name of ["rank", "pair", "neuron pairs", "change"]) head.append(element("th", "", name));
    table.append(head, ...own.map((pair) => this.row(role, other, pair)));
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", `Word pairs of ${this.models[role]}`);
    box.append(table);
    side.append(box);
    return side;
  }

  row(role, other, pair) {
    const change = pair[other].rank ? "kept" : role === "base" ? "lost" : "gained";
    const row = element("tr", change), words = element("td", "pair");
    words.append(wordElement(pair.words[0]), " · ", wordElement(pair.words[1]));
    row.append(element("td", "", pair[role].rank), words, element("td", "", pair[role].neurons));
    row.append(element("td", "what", CHANGES[change] || this.moved(role, pair)));
    return row;
  }

  moved(role, pair) {
    if (pair.base.rank === pair.tuned.rank) return "";
    return role === "base" ? `now ${pair.tuned.rank}` : `was ${pair.base.rank}`;
  }

  examples(neurons, words) {
    if (!neurons || !neurons.length) return [];
    const box = element("div", "neurons");
    box.append(...neurons.map((neuron) => this.example(neuron, words)));
    const note = "Word of the query → word of the key, with the cosine of their word vectors.";
    return [element("h5", "", "Neuron pairs that changed most"), element("p", "facts", note), box];
  }

  example(neuron, words) {
    const box = element("section", "neuron"), distance = neuron.distance === null ? "" : ` · distance ${fraction(neuron.distance)}`;
    box.append(element("h6", "", `Neuron pair ${neuron.neuron}${distance}`));
    for (const change of Object.keys(CHANGES)) if (neuron[`n_${change}`]) box.append(this.exampleLine(change, neuron, words));
    return box;
  }

  exampleLine(change, neuron, words) {
    const line = element("p", change), more = neuron[`n_${change}`] - neuron[change].length;
    line.append(element("span", "what", `${CHANGES[change]}: `));
    neuron[change].forEach(([query, key, cosine], i) => {
      const pair = element("span", "pair");
      pair.append(wordElement(words[query]), " → ", wordElement(words[key]), element("small", "", ` ${fraction(cosine)}`));
      line.append(i ? ", " : "", pair);
    });
    if (more) line.append(` and ${more} more`);
    return line;
  }

  /* Words that are searched for stand out; null lets all of them rest. */
  highlight(fits) {
    this.fits = fits;
    for (const word of this.root.querySelectorAll(".word")) word.classList.toggle("found", Boolean(fits && fits(word.textContent.toLowerCase())));
  }
}
