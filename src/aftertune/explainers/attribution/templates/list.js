/* The list of prompts: sort, open, and what a reload finds again. */

import { control, element, hideTip, unpacked } from "aftertune/basics.js";
import { registerPage } from "aftertune/pages.js";
import { clearFilters, filter, onFilters } from "./filters.js";
import { redraw } from "./map.js";
import { drawPrompt } from "./prompt.js";

const body = control("list"), items = [...body.querySelectorAll("tr.item")];
/* By the number of each opened prompt its two sides. */
const openedSides = new Map();
let order = { key: "number", down: false };

function sortBy(key) {
  const first = key === "difference" || key === "base" || key === "tuned";
  sortList({ key, down: order.key === key ? !order.down : first });
}

function sortList(wants) {
  order = wants;
  const { key, down } = order;
  const value = (item) => (key === "dataset" ? item.dataset.dataset : item.dataset[key] === "" ? -Infinity : Number(item.dataset[key]));
  const sorted = items.toSorted((a, b) => {
    const [x, y] = [value(a), value(b)], ahead = x < y ? -1 : x > y ? 1 : 0;
    return (down ? -ahead : ahead) || Number(a.dataset.number) - Number(b.dataset.number);
  });
  body.append(...sorted.flatMap((item) => (detailOf(item) ? [item, detailOf(item)] : [item])));
  for (const button of document.querySelectorAll("[data-sort]")) {
    const on = button.dataset.sort === key;
    button.closest("th").setAttribute("aria-sort", on ? (down ? "descending" : "ascending") : "none");
  }
}

function detailOf(item) { return control(`detail-row-${item.dataset.number}`); }

async function openItem(item) {
  const { number } = item.dataset, row = element("tr", "detail-row"), cell = element("td"), stage = element("div", "detail");
  row.id = `detail-row-${number}`;
  stage.id = `detail-${number}`;
  cell.colSpan = [...item.cells].filter((each) => each.offsetParent).length || 1;
  cell.append(stage);
  row.append(cell);
  item.after(row);
  item.classList.add("opened");
  item.querySelector(".open").setAttribute("aria-expanded", "true");
  openedSides.set(number, await drawPrompt(stage, await unpacked(`p${number}`)));
}

function closeItem(item) {
  openedSides.delete(item.dataset.number);
  detailOf(item).remove();
  item.classList.remove("opened");
  item.querySelector(".open").setAttribute("aria-expanded", "false");
  hideTip();
}

function toggle(item) { return detailOf(item) ? closeItem(item) : openItem(item); }

function refilter() { filter(items, detailOf); }

async function reveal(item) {
  if (item.hidden) { clearFilters(); refilter(); }
  if (!detailOf(item)) await openItem(item);
  item.scrollIntoView({ block: "start" });
  item.querySelector(".open").focus({ preventScroll: true });
}

function openMostChanged() {
  const size = (item) => Math.abs(Number(item.dataset.difference) || 0);
  const seen = items.filter((item) => !item.hidden);
  if (seen.length) reveal(seen.reduce((best, item) => (size(item) > size(best) ? item : best)));
}

document.querySelectorAll("[data-sort]").forEach((button) => button.addEventListener("click", () => sortBy(button.dataset.sort)));
body.addEventListener("click", (event) => {
  const item = event.target.closest("tr.item");
  if (item) toggle(item);
});
control("most").addEventListener("click", openMostChanged);
onFilters(refilter);

registerPage("attribution", {
  opens: /^prompt-\d+$/,
  open: (address) => (control(address) ? reveal(control(address)) : undefined),
  draw: refilter,
  // A map measures the page, which has no size while another page is shown.
  shown: redraw,
  kept: () => ({ order, opened: [...openedSides].map(([number, sides]) => [number, sides.map((side) => side?.pinned ?? null)]) }),
  async again(kept) {
    sortList(kept.order);
    for (const [number, pins] of kept.opened) await openAgain(control(`prompt-${number}`), pins);
  },
});

async function openAgain(item, pins) {
  await openItem(item);
  openedSides.get(item.dataset.number).forEach((side, at) => { if (pins[at]) side.pin(pins[at].kind, pins[at].index); });
}
