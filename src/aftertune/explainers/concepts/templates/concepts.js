/* The strip of networks: layers across, their experts down, where there are any. */
import { parsed } from "aftertune/basics.js";
import { registerFigure } from "aftertune/downloads.js";
import { CellGrid, degrees, gridPage, percent, rowsOf } from "aftertune/grid.js";
import { registerPage } from "aftertune/pages.js";
import { ConceptDetail } from "./concept_detail.js";
import { ConceptSearch } from "./concept_search.js";

const changed = (kept) => (kept === null ? null : 1 - kept);

/* What a network's numbers say, in lines: for the tooltip, and joined for who cannot see the colour. */
function networkLines(network, hasExperts) {
  const name = `Layer ${network.layer}${hasExperts ? `, expert ${network.expert}` : ""}`;
  const say = (key, write, text) => (network[key] === null ? [] : [text(write(network[key]))]);
  const lines = [
    ...say("mean_principal_angle", degrees, (angle) => `angle of the spaces ${angle}`),
    ...say("mean_component_angle", degrees, (angle) => `of all components ${angle}`),
    ...say("mean_separated_angle", degrees, (angle) => `of well separated ones ${angle}`),
    ...say("words_kept", percent, (share) => `${share} of words kept`),
    ...say("kept_in_order", percent, (share) => `${share} of components keep their rank`),
    ...say("variance_kept", percent, (share) => `${share} of variance kept`),
  ];
  return [name, ...(lines.length ? lines : ["no component in either model"])];
}

function drawConcepts() {
  const data = parsed("concept-strip"), { experts, layers, models } = data, hasExperts = experts.length > 1;
  const grid = new CellGrid("concept", {
    cells: rowsOf(data).map((network) => ({ ...network, words_changed: changed(network.words_kept), order_changed: changed(network.kept_in_order) })),
    rows: experts,
    columns: layers,
    place: (network) => [network.expert, network.layer],
    lines: (network) => networkLines(network, hasExperts),
    rowName: (expert) => (hasExperts ? `expert ${expert}` : ""),
    noun: "network",
    corner: "layer",
    label: "Feed-forward networks by layer",
    measures: {
      mean_principal_angle: { name: "angle of the spaces", write: degrees },
      mean_separated_angle: { name: "angle of well separated components", write: degrees },
      mean_component_angle: { name: "angle of all components", write: degrees },
      words_changed: { name: "share of words not kept", write: percent },
      order_changed: { name: "share of components with another rank", write: percent },
    },
  });
  grid.table.classList.toggle("strip", !hasExperts);
  grid.detail = new ConceptDetail(grid, models);
  new ConceptSearch(grid, layers).listen();
  return grid;
}

const page = gridPage("concept", drawConcepts);
registerPage("concepts", page);
registerFigure("networks", page.toSvg);
