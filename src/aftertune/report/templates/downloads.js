/* What a page saves: tables as CSV, LaTeX and Markdown, figures as SVG and PNG. */

import { control, element, parsed } from "./basics.js";

const TYPES = { csv: "text/csv", tex: "application/x-tex", md: "text/markdown", svg: "image/svg+xml" };
const LONGEST_PICTURE = 16000;

function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function saveText(text, name, suffix) { saveBlob(new Blob([text], { type: `${TYPES[suffix]};charset=utf-8` }), `${name}.${suffix}`); }

/* A text inside an SVG that is put together here. */
export const xml = (text) => text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);

const drawers = new Map();
/* A figure that is no SVG in the page is drawn when it is saved: `draw` returns it as the text of an SVG. */
export function registerFigure(name, draw) { drawers.set(name, draw); }

/* A figure is saved on white with its own dark text, whatever the page's colours are. */
function figureText(name) {
  if (drawers.has(name)) return drawers.get(name)();
  return new XMLSerializer().serializeToString(control(name).querySelector("svg"));
}

/* An SVG as it is, or as PNG on white, three dots a unit where that is not too large to draw. */
export function savePicture(text, name, suffix) {
  if (suffix === "svg") return saveText(text, name, suffix);
  const image = new Image(), canvas = document.createElement("canvas");
  image.addEventListener("load", () => {
    const scale = Math.min(3, LONGEST_PICTURE / Math.max(image.width, image.height));
    [canvas.width, canvas.height] = [scale * image.width, scale * image.height];
    const paint = canvas.getContext("2d");
    paint.fillStyle = "white";
    paint.fillRect(0, 0, canvas.width, canvas.height);
    paint.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => saveBlob(blob, `${name}.png`));
  });
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-suffix]");
  if (!button) return;
  const { table, figure, suffix } = button.dataset;
  if (figure) savePicture(figureText(figure), figure, suffix);
  else saveText(parsed("texts")[table][suffix], table, suffix);
});

/* Buttons for what was drawn by a script; `save` gets the suffix of the one that was pressed. */
export function downloadButtons(label, names, save) {
  const box = element("p", "downloads");
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", label);
  for (const [suffix, name] of Object.entries(names)) {
    const button = element("button", "", name);
    button.type = "button";
    button.dataset.save = suffix;
    button.addEventListener("click", () => save(suffix));
    box.append(button);
  }
  return box;
}
