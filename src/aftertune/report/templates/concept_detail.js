/* One opened network: its base components, each beside its best match among the tuned ones. */

const SHOWN_AT_ONCE = 50;
const SORTS = { rank: { name: "Rank", down: false }, angle: { name: "Angle", down: true } };

class ConceptDetail extends OpenedCell {
  async parts({ layer, expert }) {
    const [words, networks] = await Promise.all([unpacked("concept-words"), unpacked(`concept-layer-${layer}`)]);
    Object.assign(this, { components: this.readComponents(networks[expert], words), shown: SHOWN_AT_ONCE, order: { key: "rank", down: false } });
    if (!this.components.length) return [element("p", "none", "No component of this network was read.")];
    Object.assign(this, { body: element("tbody"), more: element("p", "more") });
    const table = element("table", "components");
    table.append(this.heading(), this.body);
    this.drawRows();
    return [table, this.more];
  }

  readComponents(columns, words) {
    if (!columns) return [];
    const named = (ids) => (ids || []).map((id) => words[id]);
    return columns.rank.map((rank, i) => ({
      rank, match: columns.match_rank[i], angle: columns.angle[i], gap: columns.gap[i],
      shares: [columns.variance_share_base[i], columns.variance_share_tuned[i]],
      base: named(columns.words_base[i]), tuned: named(columns.words_tuned[i]),
      descriptions: { base: columns.description_base?.[i] ?? null, tuned: columns.description_tuned?.[i] ?? null },
    }));
  }

  heading() {
    const head = element("thead"), row = element("tr");
    const model = (role) => { const cell = element("th"); cell.append(element("span", `model ${role}`, this.models[role])); return cell; };
    row.append(this.sorter("rank"), element("th", "", "Variance"), model("base"), model("tuned"), this.sorter("angle"));
    for (const cell of row.cells) cell.scope = "col";
    head.append(row);
    return head;
  }

  sorter(key) {
    const cell = element("th"), button = element("button", "", SORTS[key].name);
    button.type = "button";
    button.dataset.order = key;
    button.addEventListener("click", () => this.sortBy(key));
    cell.append(button);
    return cell;
  }

  sortBy(key) {
    this.order = { key, down: this.order.key === key ? !this.order.down : SORTS[key].down };
    this.drawRows();
  }

  /* What has no angle stands last, whichever way they are sorted; equal angles by rank. */
  sorted() {
    const { key, down } = this.order, sign = down ? -1 : 1;
    const last = ({ [key]: value }) => value === null;
    return [...this.components].sort((a, b) => last(a) - last(b) || sign * (a[key] - b[key]) || a.rank - b.rank);
  }

  drawRows() {
    const found = this.sorted();
    this.body.replaceChildren(...found.slice(0, this.shown).map((component) => this.row(component)));
    for (const button of this.body.parentNode.querySelectorAll("[data-order]")) {
      const state = button.dataset.order !== this.order.key ? "none" : this.order.down ? "descending" : "ascending";
      button.closest("th").setAttribute("aria-sort", state);
    }
    this.drawMore(found.length);
    this.highlight(this.fits);
  }

  drawMore(total) {
    const shown = Math.min(this.shown, total), next = Math.min(SHOWN_AT_ONCE, total - shown);
    const button = element("button", "close", `Show ${next} more`);
    button.type = "button";
    button.addEventListener("click", () => this.showMore());
    this.more.replaceChildren(`${shown} of ${total} components `, ...(next ? [button] : []));
  }

  /* The keyboard goes on at the first of the new rows. */
  showMore() {
    const first = this.shown;
    this.shown += SHOWN_AT_ONCE;
    this.drawRows();
    this.body.rows[first].focus({ preventScroll: true });
  }

  row(component) {
    const row = element("tr"), rank = element("th", "rank", component.rank);
    row.tabIndex = -1;
    row.dataset.rank = component.rank;
    rank.scope = "row";
    row.append(rank, this.variance(component), this.words(component, "base", "lost"), this.words(component, "tuned", "gained"), this.turn(component));
    return row;
  }

  variance({ shares: [base, tuned], gap }) {
    const share = (value) => (value === null ? "–" : `${(100 * value).toFixed(2)}%`);
    const cell = element("td", "variance", `${share(base)} → ${share(tuned)}`);
    if (gap !== null) cell.append(element("small", "", `gap ${percent(gap)}`));
    return cell;
  }

  /* A word is kept where the other list has it too, however it is capitalised. */
  words(component, role, change) {
    const cell = element("td", `words ${role}`), other = new Set(component[role === "base" ? "tuned" : "base"].map((word) => word.toLowerCase()));
    cell.append(...this.description(component.descriptions[role]));
    for (const word of component[role]) {
      const isKept = other.has(word.toLowerCase()), box = element("span", isKept ? "kept" : change);
      if (!isKept) box.append(element("b", "what", CHANGES[change][0]));
      box.append(wordElement(word), " ");
      cell.append(box);
    }
    if (!component[role].length) cell.append(element("span", "none", "no words"));
    return cell;
  }

  /* What an annotator wrote, its words apart so that a search can mark them; nothing where it was not asked. */
  description(text) {
    if (text === null) return [];
    if (!text) return [element("p", "description none", "could not be described")];
    const line = element("p", "description");
    line.dir = "auto";
    line.append(...text.split(LETTERS).map((part, i) => (i % 2 ? wordElement(part) : part)));
    return [line];
  }

  turn({ rank, match, angle, base, tuned }) {
    const cell = element("td", "turn"), other = new Set(tuned.map((word) => word.toLowerCase()));
    const kept = base.filter((word) => other.has(word.toLowerCase())).length;
    const place = match === null ? "no match" : match === rank ? "same rank" : `now rank ${match}`;
    const facts = [angle === null ? "–" : degrees(angle), place, `${kept} of ${base.length} words kept`];
    cell.append(...facts.map((fact, i) => element("span", ["angle", match === rank ? "" : "moved", ""][i], fact)));
    return cell;
  }

  /* Shows one component, however far down it stands. */
  reveal(rank) {
    const at = this.sorted().findIndex((component) => component.rank === rank);
    if (at < 0) return;
    if (at >= this.shown) {
      this.shown = Math.ceil((at + 1) / SHOWN_AT_ONCE) * SHOWN_AT_ONCE;
      this.drawRows();
    }
    const row = this.body.rows[at];
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "center" });
  }
}

new ConceptDetail(conceptGrid, conceptData.models);
