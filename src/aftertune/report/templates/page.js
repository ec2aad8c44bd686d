/* What every part of the report uses: elements, blocks of data, downloads of tables and figures. */

const control = (id) => document.getElementById(id);

function parsed(id) { return JSON.parse(control(id).textContent); }

/* A block of data that was compressed (JSON inside base64), opened once, when it is first asked for. */
const opened = new Map();
function unpacked(id) {
  if (!opened.has(id)) opened.set(id, inflate(parsed(id)).then((bytes) => JSON.parse(new TextDecoder().decode(bytes))));
  return opened.get(id);
}

/* A figure is saved on white with its own dark text, whatever the page's colours are. What is no SVG in the page is
   drawn when it is saved, by the function that `drawings` has for it. */
const drawings = {};
function figureText(name) {
  if (drawings[name]) return drawings[name]();
  return new XMLSerializer().serializeToString(document.querySelector(`#${name} svg`));
}

function saveFigure(name, suffix) {
  const text = figureText(name);
  if (suffix === "svg") return saveText(text, `${name}.svg`, "image/svg+xml");
  const image = new Image(), canvas = document.createElement("canvas");
  image.onload = () => {
    [canvas.width, canvas.height] = [3 * image.width, 3 * image.height];
    const paint = canvas.getContext("2d");
    paint.fillStyle = "white";
    paint.fillRect(0, 0, canvas.width, canvas.height);
    paint.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => saveBlob(blob, `${name}.png`));
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
}

const TYPES = { csv: "text/csv", tex: "application/x-tex", md: "text/markdown" };
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-suffix]");
  if (!button) return;
  const { table, figure, suffix } = button.dataset;
  if (figure) saveFigure(figure, suffix);
  else saveText(parsed("texts")[table][suffix], `${table}.${suffix}`, TYPES[suffix]);
});
