/* The grid of heads: layers down, heads across. */
import { parsed } from "aftertune/basics.js";
import { registerFigure } from "aftertune/downloads.js";
import { CellGrid, fraction, gridPage, rowsOf, whole } from "aftertune/grid.js";
import { registerPage } from "aftertune/pages.js";
import { HeadDetail } from "./head_detail.js";
import { HeadSearch } from "./head_search.js";

/* What a head's numbers say, in lines: for the tooltip, and joined for who cannot see the colour. */
function headLines(head, asked) {
  const lines = [`Layer ${head.layer}, head ${head.head}`];
  if (head.distance === null) return [...lines, "no pair in either model"];
  lines.push(`distance ${fraction(head.distance)}, ${head.n_gained} pairs gained, ${head.n_lost} lost`);
  if (head.neuron_distance !== null) lines.push(`distance of its neuron pairs ${fraction(head.neuron_distance)}`);
  return [...lines, `with ${asked}: ${head.verbs_gained} gained, ${head.verbs_lost} lost`];
}

function drawHeads() {
  const data = parsed("head-grid"), { asked, layers, models } = data;
  const grid = new CellGrid("head", {
    cells: rowsOf(data),
    rows: layers,
    columns: [...Array(data.n_heads).keys()],
    place: (head) => [head.layer, head.head],
    lines: (head) => headLines(head, asked),
    rowName: whole,
    noun: "head",
    corner: "layer",
    label: "Heads: layers down, heads across",
    measures: {
      distance: { name: "distance of the head's list", write: fraction },
      neuron_distance: { name: "mean distance of its neuron pairs", write: fraction },
      verbs_gained: { name: `gained pairs with ${asked}`, write: whole },
      verbs_lost: { name: `lost pairs with ${asked}`, write: whole },
    },
  });
  grid.detail = new HeadDetail(grid, models);
  new HeadSearch(grid, layers).listen();
  return grid;
}

const page = gridPage("head", drawHeads);
registerPage("heads", page);
registerFigure("heads", page.toSvg);
