/* Which heads have a word in their lists, and in how many pairs? */

import { WordSearch } from "aftertune/word_search.js";

export class HeadSearch extends WordSearch {
  columns = ["head", "pairs in base", "pairs in tuned", "difference"];
  plural = "heads";

  /* The number of pairs with a wanted word in each head, most first; `seen` takes up which words those are. */
  count(layers, wanted, seen) {
    const found = [];
    layers.forEach((layer, row) => {
      for (const [head, pairs] of Object.entries(layer.pairs)) {
        const counts = { key: `${this.layers[row]}-${head}`, base: 0, tuned: 0 };
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
    return found.toSorted((a, b) => b.base + b.tuned - a.base - a.tuned);
  }

  sum(found) {
    const sum = (role) => found.reduce((total, counts) => total + counts[role], 0);
    return `in ${found.length} of ${this.grid.cells.length} heads, ${sum("base")} pairs in base and ${sum("tuned")} in tuned.`;
  }

  nameOf(counts) { return this.grid.lines(this.grid.byKey.get(counts.key))[0]; }

  values({ base, tuned }) {
    const change = tuned - base;
    return [base, tuned, change > 0 ? `+${change}` : change < 0 ? `−${-change}` : "0"];
  }
}
