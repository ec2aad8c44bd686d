/* The strip of networks: layers across, their experts down, where there are any. */

const conceptData = parsed("concept-strip");
let conceptGrid = null, conceptSearch = null;
const conceptExperts = conceptData.experts.length > 1;
const degrees = (value) => `${value.toFixed(2)}°`, percent = (value) => `${(100 * value).toFixed(1)}%`;
/* Parts a description into its words, which come at odd places, and what stands between them. */
const LETTERS = /([\p{L}\p{M}\p{N}]+)/u;
const changed = (kept) => (kept === null ? null : 1 - kept);

function networkName({ layer, expert }) { return `Layer ${layer}${conceptExperts ? `, expert ${expert}` : ""}`; }

/* What a network's numbers say, in lines: for the tooltip, and joined for who cannot see the colour. */
function networkLines(network) {
  const say = (key, write, text) => (network[key] === null ? [] : [text(write(network[key]))]);
  const lines = [
    ...say("mean_principal_angle", degrees, (angle) => `angle of the spaces ${angle}`),
    ...say("mean_component_angle", degrees, (angle) => `of all components ${angle}`),
    ...say("mean_separated_angle", degrees, (angle) => `of well separated ones ${angle}`),
    ...say("words_kept", percent, (share) => `${share} of words kept`),
    ...say("kept_in_order", percent, (share) => `${share} of components keep their rank`),
    ...say("variance_kept", percent, (share) => `${share} of variance kept`),
  ];
  return [networkName(network), ...(lines.length ? lines : ["no component in either model"])];
}

function drawConcepts() {
  conceptGrid = new CellGrid("concept", {
    cells: rowsOf(conceptData).map((network) => ({ ...network, words_changed: changed(network.words_kept), order_changed: changed(network.kept_in_order) })),
    rows: conceptData.experts,
    columns: conceptData.layers,
    place: (network) => [network.expert, network.layer],
    lines: networkLines,
    rowName: (expert) => (conceptExperts ? `expert ${expert}` : ""),
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
  conceptGrid.table.classList.toggle("strip", !conceptExperts);
  new ConceptDetail(conceptGrid, conceptData.models);
  conceptSearch = new ConceptSearch(conceptGrid, conceptData.layers);
}

drawings.networks = () => conceptGrid.toSvg();
parts.concepts = gridPart("concept", drawConcepts, () => conceptGrid);
