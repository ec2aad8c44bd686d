/* One opened head: the lists of both models side by side, and the neuron pairs that changed most. */

import { columnHead, element, unpacked } from "aftertune/basics.js";
import { fraction } from "aftertune/grid.js";
import { CHANGES, OpenedCell, ROLES, wordElement } from "aftertune/opened.js";
import { headed, tableButtons } from "aftertune/table_text.js";

export class HeadDetail extends OpenedCell {
  async parts(head) {
    const [words, layer] = await Promise.all([unpacked("head-words"), unpacked(`head-layer-${head.layer}`)]);
    const name = `head-${head.layer}-${head.head}`, pairs = this.pairs(layer.pairs[head.head], words);
    const title = headed(element("h5", "", "Word pairs"), tableButtons(`${name}-pairs`, () => this.pairTable(head, pairs)));
    return [title, this.lists(pairs), ...this.examples(head, layer.neurons[head.head], words)];
  }

  pairs(columns, words) {
    if (!columns) return [];
    return columns.word_a.map((a, i) => ({
      words: [words[a], words[columns.word_b[i]]],
      base: { rank: columns.rank_base[i], neurons: columns.n_neurons_base[i] },
      tuned: { rank: columns.rank_tuned[i], neurons: columns.n_neurons_tuned[i] },
    }));
  }

  pairTable(head, pairs) {
    const change = ({ base, tuned }) => (base.rank ? (tuned.rank ? "kept" : "lost") : "gained");
    return {
      title: `Word pairs of layer ${head.layer}, head ${head.head}`,
      columns: ["word_a", "word_b", "change", ...ROLES.map((role) => `rank_${role}`), ...ROLES.map((role) => `neuron_pairs_${role}`)],
      rows: pairs.map((pair) => [...pair.words, change(pair), ...["rank", "neurons"].flatMap((key) => ROLES.map((role) => pair[role][key] || null))]),
    };
  }

  lists(pairs) {
    const both = element("div", "head-lists");
    both.append(...ROLES.map((role, i) => this.list(role, ROLES[1 - i], pairs)));
    return both;
  }

  list(role, other, pairs) {
    const side = element("section", `head-list ${role}`), table = element("table");
    const own = pairs.filter((pair) => pair[role].rank).toSorted((a, b) => a[role].rank - b[role].rank);
    side.append(element("span", `model ${role}`, this.models[role]));
    side.setAttribute("aria-label", `${this.models[role]} (${role})`);
    if (!own.length) { side.append(element("p", "none", "This model has no pair here.")); return side; }
    const head = element("tr"), box = element("div", "head-rows");
    for (const name of ["rank", "pair", "neuron pairs", "change"]) head.append(columnHead(name));
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

  examples(head, neurons, words) {
    if (!neurons || !neurons.length) return [];
    const box = element("div", "neurons");
    box.append(...neurons.map((neuron) => this.example(neuron, words)));
    const note = "Word of the query → word of the key, with the cosine of their word vectors.";
    const buttons = tableButtons(`head-${head.layer}-${head.head}-neuron-pairs`, () => this.exampleTable(head, neurons, words));
    return [headed(element("h5", "", "Neuron pairs that changed most"), buttons), element("p", "facts", note), box];
  }

  exampleTable(head, neurons, words) {
    const rows = neurons.flatMap((neuron) => Object.keys(CHANGES).flatMap((change) =>
      neuron[change].map(([query, key, cosine]) => [neuron.neuron, neuron.distance, change, words[query], words[key], cosine])));
    return {
      title: `Neuron pairs of layer ${head.layer}, head ${head.head}`,
      columns: ["neuron_pair", "distance", "change", "query_word", "key_word", "cosine"],
      rows,
    };
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
}
