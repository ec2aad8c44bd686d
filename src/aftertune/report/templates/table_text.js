/* A table that a script drew, as text: {title, columns, rows}, null where there is no value.
   Signs are written out as in the tables that stand in the page from the beginning. */

import { element } from "./basics.js";
import { downloadButtons, saveText } from "./downloads.js";

const LATEX_SIGNS = {
  "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}",
  ">": "\\textgreater{}", "|": "\\textbar{}", "–": "--",
  ...Object.fromEntries([..."&%$#_{}"].map((sign) => [sign, `\\${sign}`])),
};
const written = (value) => (value === null || value === undefined ? "–" : String(value).replace(/\r?\n/g, " "));

/* A text that a spreadsheet would take for a formula is marked as text, as `spreadsheet.py` does; numbers stay numbers. */
const FORMULA = /^[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/, NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const asText = (text) => (FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text);

export function toCsv({ columns, rows }) {
  const cell = (value) => { const text = asText(String(value ?? "")); return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text; };
  return [columns, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function toMarkdown({ columns, rows }) {
  const line = (row) => `| ${row.map((value) => written(value).replace(/[\\`*_[\]<>|&~#]/g, "\\$&")).join(" | ")} |\n`;
  return line(columns) + `| ${columns.map(() => "---").join(" | ")} |\n` + rows.map(line).join("");
}

function toLatex({ title, columns, rows }) {
  const text = (value) => [...written(value)].map((sign) => LATEX_SIGNS[sign] ?? sign).join("");
  const line = (row) => `${row.map(text).join(" & ")} \\\\`;
  const head = ["\\begin{table}", "\\centering", `\\caption{${text(title)}}`, `\\begin{tabular}{${"l".repeat(columns.length)}}`];
  const body = ["\\toprule", line(columns), "\\midrule", ...rows.map(line), "\\bottomrule", "\\end{tabular}", "\\end{table}"];
  return `${[...head, ...body].join("\n")}\n`;
}

const TABLE_WRITERS = { csv: toCsv, tex: toLatex, md: toMarkdown };

/* The three buttons of a table; `table` makes it when it is asked for. */
export function tableButtons(name, table) {
  const names = { csv: "CSV", tex: "LaTeX", md: "Markdown" };
  return downloadButtons("Download this table", names, (suffix) => saveText(TABLE_WRITERS[suffix](table()), name, suffix));
}

/* A line with a heading on the left and a table's buttons on the right. */
export function headed(heading, ...more) {
  const line = element("div", "card-head");
  line.append(heading, ...more);
  return line;
}
