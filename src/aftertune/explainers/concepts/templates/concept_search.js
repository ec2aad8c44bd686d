/* Which components have a word in their list or description, in the base model or in their best match? */

import { WordSearch } from "aftertune/word_search.js";
import { componentNotes, descriptionOf, splitWords } from "./component_notes.js";

export class ConceptSearch extends WordSearch {
  columns = ["component", "in base", "in tuned"];
  plural = "components";

  async load() {
    const [found, notes] = await Promise.all([super.load(), componentNotes()]);
    this.notes = notes;
    return found;
  }

  show(word, words, fits, layers) {
    this.isSaid = (text) => Boolean(text) && splitWords(text.toLowerCase()).some((part, i) => i % 2 && fits(part));
    super.show(word, words, fits, layers);
  }

  nothing(word) { return this.notes ? super.nothing(word).replace("No list has", "No list and no description has") : super.nothing(word); }

  summary(names, found) {
    return names.length ? super.summary(names, found) : [`Only in descriptions: ${this.sum(found)}`];
  }

  /* The components with a wanted word on either side, by layer and rank; `seen` takes up which words those are. */
  count(layers, wanted, seen) {
    const found = [], held = (ids) => (ids || []).filter((id) => wanted[id]);
    layers.forEach((networks, at) => {
      for (const [expert, columns] of Object.entries(networks)) {
        const layer = this.layers[at], key = `${expert}-${layer}`;
        const said = (role, rank) => descriptionOf(this.notes, role, { layer, expert }, rank);
        columns.rank.forEach((rank, i) => {
          const base = held(columns.words_base[i]), tuned = held(columns.words_tuned[i]);
          for (const id of [...base, ...tuned]) seen.add(id);
          const where = { base: this.where(base, said("base", rank)), tuned: this.where(tuned, said("tuned", columns.match_rank[i])) };
          if (where.base || where.tuned) found.push({ key, rank, ...where });
        });
        found.push(...this.countNew(key, columns.new, held, seen, said));
      }
    });
    return found;
  }

  /* The same of tuned components that are the best match of none; the base ones beside them were counted. */
  countNew(key, columns, held, seen, said) {
    return (columns?.rank || []).flatMap((rank, i) => {
      const words = held(columns.words_tuned[i]), tuned = this.where(words, said("tuned", rank));
      for (const id of words) seen.add(id);
      return tuned ? [{ key, rank: `new${rank}`, base: "", tuned }] : [];
    });
  }

  /* In words what of a side has the word; "" if nothing. */
  where(words, description) {
    if (!this.isSaid(description)) return words.length ? "yes" : "";
    return words.length ? "yes, and described" : "described";
  }

  sum(found) {
    const networks = new Set(found.map(({ key }) => key)).size, having = (role) => found.filter((hit) => hit[role]).length;
    const where = `${networks} of ${this.grid.cells.length} networks`;
    return `in ${found.length} component${found.length === 1 ? "" : "s"} of ${where}, ${having("base")} in base and ${having("tuned")} in tuned.`;
  }

  nameOf({ key, rank }) {
    const [, isNew, number] = /^(new)?(\d+)$/.exec(rank);
    return `${this.grid.lines(this.grid.byKey.get(key))[0]}, ${isNew ? "tuned " : ""}component ${number}`;
  }

  values({ base, tuned }) { return [base, tuned].map((where) => where || "–"); }

  target({ key, rank }) { return { key, rank }; }

  async open({ key, rank }) {
    await this.grid.open(key);
    this.grid.detail.reveal(String(rank));
  }
}
