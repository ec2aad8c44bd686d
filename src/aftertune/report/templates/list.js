/* The list of prompts: filter, sort, open. */

const body = document.getElementById("list"), filters = document.querySelector("#prompts .filters");
const items = [...body.querySelectorAll("tr.item")];
let searchable = null;
let order = { key: "number", down: false };

function fits(item) {
  const { dataset, difference, repetitive, number } = item.dataset;
  const words = control("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) searchable = searchable || parsed("index");
  const bigger = control("bigger").value, change = difference === "" ? 0 : Number(difference);
  return (!control("dataset").value || dataset === control("dataset").value)
    && (!bigger || (bigger === "tuned" ? change > 0 : change < 0))
    && (!control("repetitive").checked || repetitive === "1")
    && words.every((word) => searchable[number].includes(word));
}

function filter() {
  let shown = 0;
  for (const item of items) {
    item.hidden = !fits(item);
    if (detailOf(item)) detailOf(item).hidden = item.hidden;
    shown += item.hidden ? 0 : 1;
  }
  control("shown").textContent = `${shown} of ${items.length}`;
  control("nothing").hidden = shown > 0;
}

function sortBy(key) {
  const first = key === "difference" || key === "base" || key === "tuned";
  order = { key, down: order.key === key ? !order.down : first };
  const value = (item) => (key === "dataset" ? item.dataset.dataset : item.dataset[key] === "" ? -Infinity : Number(item.dataset[key]));
  const sorted = [...items].sort((a, b) => {
    const [x, y] = [value(a), value(b)], ahead = x < y ? -1 : x > y ? 1 : 0;
    return (order.down ? -ahead : ahead) || Number(a.dataset.number) - Number(b.dataset.number);
  });
  body.append(...sorted.flatMap((item) => (detailOf(item) ? [item, detailOf(item)] : [item])));
  for (const button of document.querySelectorAll("[data-sort]")) {
    const on = button.dataset.sort === key;
    button.closest("th").setAttribute("aria-sort", on ? (order.down ? "descending" : "ascending") : "none");
  }
}

function detailOf(item) { return document.getElementById(`detail-row-${item.dataset.number}`); }

async function openItem(item) {
  const row = element("tr", "detail-row"), cell = element("td"), stage = element("div", "detail");
  row.id = `detail-row-${item.dataset.number}`;
  stage.id = `detail-${item.dataset.number}`;
  cell.colSpan = [...item.cells].filter((each) => each.offsetParent).length || 1;
  cell.append(stage);
  row.append(cell);
  item.after(row);
  item.classList.add("opened");
  item.querySelector(".open").setAttribute("aria-expanded", "true");
  await drawPrompt(stage, parsed(`p${item.dataset.number}`));
}

function closeItem(item) {
  detailOf(item).remove();
  item.classList.remove("opened");
  item.querySelector(".open").setAttribute("aria-expanded", "false");
  hideTip();
}

function toggle(item) { return detailOf(item) ? closeItem(item) : openItem(item); }

async function reveal(item) {
  if (item.hidden) { filters.reset(); filter(); }
  if (!detailOf(item)) await openItem(item);
  item.scrollIntoView({ block: "start" });
}

function openMostChanged() {
  const size = (item) => Math.abs(Number(item.dataset.difference) || 0);
  const seen = items.filter((item) => !item.hidden);
  if (seen.length) reveal(seen.reduce((best, item) => (size(item) > size(best) ? item : best)));
}

filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
document.querySelectorAll("[data-sort]").forEach((button) => button.addEventListener("click", () => sortBy(button.dataset.sort)));
body.addEventListener("click", (event) => {
  const item = event.target.closest("tr.item");
  if (item) toggle(item);
});
control("most").addEventListener("click", openMostChanged);
function revealLinked() {
  const linked = /^#prompt-\d+$/.test(location.hash) && document.querySelector(location.hash);
  if (linked) reveal(linked);
}

window.addEventListener("hashchange", revealLinked);
window.addEventListener("DOMContentLoaded", () => {
  revealLinked();
  filter();
});
