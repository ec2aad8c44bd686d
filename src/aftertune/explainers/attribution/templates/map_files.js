/* A salient map as files: a picture on white in the colours of a light page, and every level as a table. */

import { cut, printColours, shortText } from "aftertune/basics.js";
import { downloadButtons, savePicture, saveText, xml } from "aftertune/downloads.js";
import { toCsv } from "aftertune/table_text.js";

const MAP_CELL = 9, MOST_LABELLED = 120, LONGEST_LABEL = 20;

/* What stands beside each token: its text, or every tenth place where there are too many. */
function mapLabels(texts) {
  if (texts.length <= MOST_LABELLED) return texts.map((text) => xml(cut(shortText(text), LONGEST_LABEL)));
  return texts.map((_, index) => ((index + 1) % 10 ? "" : String(index + 1)));
}

function mapText(x, y, words, more) { return words ? `<text x="${x}" y="${y}" ${more}>${words}</text>` : ""; }

function mapSvg({ side, levels, width: across }) {
  const down = side.prompt.length, colours = printColours(), left = 120, top = across <= MOST_LABELLED ? 130 : 44;
  const parts = [mapText(4, 14, xml(cut(`${side.model} · ${side.id}`, 90)), 'font-size="12"')];
  mapLabels(side.prompt).forEach((label, n) => parts.push(mapText(left - 5, top + (n + 0.8) * MAP_CELL, label, 'text-anchor="end"')));
  mapLabels(side.response).forEach((label, m) => {
    const x = left + (m + 0.8) * MAP_CELL, turned = `transform="rotate(-90 ${x} ${top - 5})"`;
    parts.push(mapText(x, top - 5, label, across <= MOST_LABELLED ? turned : 'text-anchor="end"'));
  });
  for (let n = 0; n < down; n++) {
    for (let m = 0; m < across; m++) {
      const level = levels[n * across + m];
      if (level) parts.push(`<rect x="${left + m * MAP_CELL}" y="${top + n * MAP_CELL}" width="${MAP_CELL - 1}" height="${MAP_CELL - 1}" fill="${colours[level]}"/>`);
    }
  }
  const [width, height] = [Math.max(420, left + across * MAP_CELL + 6), top + down * MAP_CELL + 6];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="Arial, sans-serif" font-size="8">${parts.join("")}</svg>`;
}

/* A row for each prompt token and response token, as `SalientMap.to_polars` has them. */
function mapTable({ side, levels, importance, width }) {
  const columns = ["prompt_index", "response_index", "prompt_token", "response_token", "is_instruction", "level"];
  const rows = [];
  for (let at = 0; at < levels.length; at++) {
    const n = Math.floor(at / width), m = at % width;
    const row = [n, m, side.prompt[n], side.response[m], side.instruction[n] === "1", levels[at]];
    rows.push(importance ? [...row, importance[at]] : row);
  }
  return { columns: importance ? [...columns, "importance"] : columns, rows };
}

export function mapButtons(owner) {
  const name = `salient-map-${owner.side.id.replace(/[^A-Za-z0-9._-]+/g, "_").slice(0, 60)}-${owner.side.role}`;
  return downloadButtons("Download this map", { svg: "SVG", png: "PNG", csv: "CSV" }, (suffix) => {
    if (suffix === "csv") saveText(toCsv(mapTable(owner)), name, suffix);
    else savePicture(mapSvg(owner), name, suffix);
  });
}
