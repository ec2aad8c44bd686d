/* Which components have a word, in the base model or in their best match? */

class ConceptSearch extends WordSearch {
  columns = ["component", "in base", "in tuned"];
  plural = "components";

  /* The components with a wanted word on either side, by layer and rank; `seen` takes up which words those are. */
  count(layers, wanted, seen) {
    const found = [], held = (ids) => (ids || []).filter((id) => wanted[id]);
    layers.forEach((networks, at) => {
      for (const [expert, columns] of Object.entries(networks)) {
        columns.rank.forEach((rank, i) => {
          const base = held(columns.words_base[i]), tuned = held(columns.words_tuned[i]);
          for (const id of [...base, ...tuned]) seen.add(id);
          if (base.length || tuned.length) found.push({ key: `${expert}-${this.layers[at]}`, rank, base: base.length > 0, tuned: tuned.length > 0 });
        });
      }
    });
    return found;
  }

  sum(found) {
    const networks = new Set(found.map(({ key }) => key)).size, having = (role) => found.filter((hit) => hit[role]).length;
    const where = `${networks} of ${this.grid.cells.length} networks`;
    return `in ${found.length} component${found.length === 1 ? "" : "s"} of ${where}, ${having("base")} in base and ${having("tuned")} in tuned.`;
  }

  nameOf({ key, rank }) { return `${networkName(this.grid.byKey.get(key))}, component ${rank}`; }

  values({ base, tuned }) { return [base, tuned].map((has) => (has ? "yes" : "–")); }

  target({ key, rank }) { return { key, rank }; }

  async open({ key, rank }) {
    await this.grid.open(key);
    this.grid.detail.reveal(Number(rank));
  }
}

const conceptSearch = new ConceptSearch(conceptGrid, conceptData.layers);
