/* One opened network: its base components, each beside its best match among the tuned ones; then the tuned components
   that are the best match of none, each beside the base component that is nearest. */

import { columnHead, element, unpacked } from "aftertune/basics.js";
import { degrees, percent } from "aftertune/grid.js";
import { CHANGES, OpenedCell, ROLES, wordElement } from "aftertune/opened.js";
import { tableButtons } from "aftertune/table_text.js";
import { componentNotes, descriptionOf, splitWords } from "./component_notes.js";

const SHOWN_AT_ONCE = 50;
const SORTS = { rank: { name: "Rank", down: false }, angle: { name: "Angle", down: true } };

export class ConceptDetail extends OpenedCell {
  async parts(network) {
    const { layer, expert } = network, blocks = ["concept-words", `concept-layer-${layer}`].map(unpacked);
    const [words, networks, notes] = await Promise.all([...blocks, componentNotes()]), columns = networks[expert] || {};
    const fresh = this.readComponents(columns.new, words, "new");
    Object.assign(this, { components: this.readComponents(columns, words), lost: new Set(columns.lost || []) });
    for (const component of [...this.components, ...fresh]) this.describe(component, network, notes);
    Object.assign(this, { shown: SHOWN_AT_ONCE, order: { key: "rank", down: false }, onlyBeyond: false });
    if (!this.components.length) return [element("p", "none", "No component of this network was read.")];
    Object.assign(this, { body: element("tbody"), more: element("p", "more") });
    const table = element("table", "components");
    table.append(this.heading((key) => this.sorter(key)), this.body);
    this.drawRows();
    const buttons = tableButtons(`components-${layer}-${expert}`, () => componentTable(this.grid.lines(network)[0], [...this.components, ...fresh]));
    return [...this.beyond(), buttons, table, this.more, ...this.newOnes(fresh)];
  }

  /* How many components have words beyond chance, and a tick that leaves only them. */
  beyond() {
    const label = element("label", "tick"), tick = element("input"), measured = this.components.filter((component) => component.chance.base.p !== null);
    if (!measured.length) return [];
    const count = ROLES.map((role) => `${this.components.filter(({ chance }) => chance[role].beyond).length} of ${this.models[role]}`);
    tick.type = "checkbox";
    this.tick = tick;
    tick.addEventListener("change", () => { this.onlyBeyond = tick.checked; this.drawRows(); });
    label.append(tick, ` only words beyond chance (${count.join(", ")})`);
    return [label];
  }

  newOnes(fresh) {
    if (!fresh.length) return [];
    const table = element("table", "components new"), body = element("tbody");
    body.append(...fresh.map((component) => this.row(component)));
    table.append(this.heading((key) => columnHead(SORTS[key].name)), body);
    const note = "Each stands beside the base component that is nearest to it, which has another best match.";
    return [element("h5", "", `Tuned components that are the best match of none: ${fresh.length}`), element("p", "facts", note), table];
  }

  readComponents(columns, words, kind = "") {
    if (!columns?.rank) return [];
    const chance = (role, i) => ({ p: columns[`p_chance_${role}`][i], beyond: columns[`beyond_chance_${role}`][i] });
    const named = (ids) => (ids || []).map((id) => words[id]);
    return columns.rank.map((rank, i) => ({
      rank, kind, match: columns.match_rank[i], angle: columns.angle[i], gap: columns.gap[i],
      shares: [columns.variance_share_base[i], columns.variance_share_tuned[i]],
      base: named(columns.words_base[i]), tuned: named(columns.words_tuned[i]),
      chance: { base: chance("base", i), tuned: chance("tuned", i) },
    }));
  }

  /* What was written of a component and of the one beside it: `rank` is the base model's, but for a new one. */
  describe(component, network, notes) {
    const { rank, match, kind } = component, ranks = kind === "new" ? [match, rank] : [rank, match];
    component.descriptions = Object.fromEntries(ROLES.map((role, i) => [role, descriptionOf(notes, role, network, ranks[i])]));
  }

  heading(cell) {
    const head = element("thead"), row = element("tr");
    const model = (role) => { const made = element("th"); made.append(element("span", `model ${role}`, this.models[role])); return made; };
    row.append(cell("rank"), element("th", "", "Variance"), model("base"), model("tuned"), cell("angle"));
    for (const one of row.cells) one.scope = "col";
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
    const some = this.components.filter(({ chance: { base, tuned } }) => !this.onlyBeyond || base.beyond || tuned.beyond);
    return some.toSorted((a, b) => last(a) - last(b) || sign * (a[key] - b[key]) || a.rank - b.rank);
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
    row.dataset.rank = component.kind + component.rank;
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
    cell.append(...this.chance(component.chance[role]));
    if (!component[role].length) cell.append(element("span", "none", "no words"));
    return cell;
  }

  /* Whether the nearest word is nearer than chance would give; nothing where that was not measured. */
  chance({ p, beyond }) {
    if (p === null) return [];
    const said = `${beyond ? "beyond chance" : "not beyond chance"} · p ${p.toPrecision(2)}`;
    return [element("small", beyond ? "chance beyond" : "chance", said)];
  }

  /* What an annotator wrote, its words apart so that a search can mark them; nothing where it was not asked. */
  description(text) {
    if (text === null) return [];
    if (!text) return [element("p", "description none", "could not be described")];
    const line = element("p", "description");
    line.dir = "auto";
    line.append(...splitWords(text).map((part, i) => (i % 2 ? wordElement(part) : part)));
    return [line];
  }

  turn({ rank, kind, match, angle, base, tuned }) {
    const cell = element("td", "turn"), other = new Set(tuned.map((word) => word.toLowerCase()));
    const kept = base.filter((word) => other.has(word.toLowerCase())).length;
    const place = match === null ? "no match" : match === rank ? "same rank" : kind ? `nearest rank ${match}` : `now rank ${match}`;
    const facts = [angle === null ? "–" : degrees(angle), place, `${kept} of ${base.length} words kept`];
    if (!kind && this.lost.has(rank)) facts.push("best match of none");
    cell.append(...facts.map((fact, i) => element("span", ["angle", match === rank ? "" : "moved", "", "gone"][i], fact)));
    return cell;
  }

  kept() { return { ...super.kept(), ...(this.body ? { order: this.order, shown: this.shown, onlyBeyond: this.onlyBeyond } : {}) }; }

  again(kept) {
    super.again(kept);
    if (!this.body || !kept.order) return;
    if (kept.onlyBeyond) this.tick.checked = true;
    Object.assign(this, { order: kept.order, shown: kept.shown, onlyBeyond: kept.onlyBeyond });
    this.drawRows();
  }

  /* Shows one component, however far down it stands; "new7" is the seventh tuned one. */
  reveal(rank) {
    if (this.onlyBeyond) this.tick.click();
    const at = this.sorted().findIndex((component) => String(component.rank) === rank);
    if (at >= this.shown) {
      this.shown = Math.ceil((at + 1) / SHOWN_AT_ONCE) * SHOWN_AT_ONCE;
      this.drawRows();
    }
    const row = this.root.querySelector(`tr[data-rank="${rank}"]`);
    if (!row) return;
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "center" });
  }
}

/* Each base component with its best match; then, as "new", each tuned one that is the best match of none. */
function componentTable(name, components) {
  const sides = (key) => ROLES.map((role) => `${key}_${role}`), kept = ["rank", "match", "angle", "gap"];
  const both = ({ base, tuned }, read = (value) => value) => [read(base), read(tuned)];
  return {
    title: `Components of ${name.toLowerCase()}`,
    columns: ["kind", ...kept, ...sides("variance_share"), ...sides("words"), ...sides("p_chance"), ...sides("description")],
    rows: components.map((one) => [
      one.kind || "base", ...kept.map((key) => one[key]), ...one.shares, ...both(one, (words) => words.join("; ")),
      ...both(one.chance, ({ p }) => p), ...both(one.descriptions),
    ]),
  };
}
