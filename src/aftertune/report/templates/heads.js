/* The grid of heads: layers down, heads across. */

const headData = parsed("head-grid");
let headGrid = null, headSearch = null;

/* What a head's numbers say, in lines: for the tooltip, and joined for who cannot see the colour. */
function headLines(head) {
  const lines = [`Layer ${head.layer}, head ${head.head}`];
  if (head.distance === null) return [...lines, "no pair in either model"];
  lines.push(`distance ${fraction(head.distance)}, ${head.n_gained} pairs gained, ${head.n_lost} lost`);
  if (head.neuron_distance !== null) lines.push(`distance of its neuron pairs ${fraction(head.neuron_distance)}`);
  return [...lines, `with ${headData.asked}: ${head.verbs_gained} gained, ${head.verbs_lost} lost`];
}

function drawHeads() {
  headGrid = new CellGrid("head", {
    cells: rowsOf(headData),
    rows: headData.layers,
    columns: [...Array(headData.n_heads).keys()],
    place: (head) => [head.layer, head.head],
    lines: headLines,
    rowName: whole,
    noun: "head",
    corner: "layer",
    label: "Heads: layers down, heads across",
    measures: {
      distance: { name: "distance of the head's list", write: fraction },
      neuron_distance: { name: "mean distance of its neuron pairs", write: fraction },
      verbs_gained: { name: `gained pairs with ${headData.asked}`, write: whole },
      verbs_lost: { name: `lost pairs with ${headData.asked}`, write: whole },
    },
  });
  new HeadDetail(headGrid, headData.models);
  headSearch = new HeadSearch(headGrid, headData.layers);
}

drawings.heads = () => headGrid.toSvg();
parts.heads = gridPart("head", drawHeads, () => headGrid);
