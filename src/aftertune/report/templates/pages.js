/* One page at a time: the part of the address after # says which one, and what to open on it.

   1. A page is drawn when it is first shown. `registerPage` takes how, each script for its own page.
   2. The browser's history keeps the place, what the filters say and what is open, so that reload and back find it. */
import { control, hideTip } from "./basics.js";

const pages = [...document.querySelectorAll(".page")], reportTitle = document.title;
const scripts = new Map(), drawnPages = new Set();
const PAUSE = 100;
const keptPages = history.state?.pages ?? {};
let currentPage = null;

/* What the script of the page with this id does, each where it is needed: draw(), before the page is first shown;
   shown(), whenever it is; opens, a pattern of addresses, and open(address); kept(), what a reload is to find again,
   as JSON, and again(kept). To be called as soon as that script runs. */
export function registerPage(id, script) { scripts.set(id, script); }

const scriptOf = (page) => scripts.get(page.id) ?? {};
const headingOf = (page) => page.querySelector("h2");

function wantedAddress() {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return location.hash.slice(1); }
}

/* The page that an address is on; null for one that is nowhere. */
function pageOf(address) {
  const opening = pages.find((page) => scriptOf(page).opens?.test(address));
  return opening ?? control(address)?.closest(".page") ?? null;
}

async function showPage(page) {
  currentPage = page;
  for (const each of pages) each.classList.toggle("current", each === page);
  for (const link of document.querySelectorAll(".bar a")) {
    if (link.hash === `#${page.id}`) markCurrent(link);
    else link.removeAttribute("aria-current");
  }
  document.title = `${headingOf(page).textContent} · ${reportTitle}`;
  hideTip();
  await drawPage(page);
  scriptOf(page).shown?.();
}

/* On a narrow screen the bar scrolls: the current page's name stands in its middle. */
function markCurrent(link) {
  link.setAttribute("aria-current", "page");
  const bar = link.parentElement;
  bar.scrollLeft = link.offsetLeft - (bar.clientWidth - link.offsetWidth) / 2;
}

async function drawPage(page) {
  if (drawnPages.has(page)) return;
  drawnPages.add(page);
  const script = scriptOf(page), kept = keptPages[page.id];
  script.draw?.();
  if (!kept) return;
  restoreControls(kept.controls);
  await script.again?.(kept.part);
}

const controlsOf = (page) => [...page.querySelectorAll(".filters :is(input, select)[id]")];

function keptControls(page) {
  return Object.fromEntries(controlsOf(page).map((each) => [each.id, each.type === "checkbox" ? each.checked : each.value]));
}

function restoreControls(kept) {
  for (const [id, value] of Object.entries(kept)) {
    const found = control(id), key = typeof value === "boolean" ? "checked" : "value";
    if (!found || found[key] === value) continue;
    found[key] = value;
    for (const kind of ["input", "change"]) found.dispatchEvent(new Event(kind, { bubbles: true }));
  }
}

/* Shows what the address says. A place that was seen before is scrolled to where it was left. */
async function follow() {
  const address = wantedAddress(), seen = history.state, page = address ? pageOf(address) : pages[0];
  if (!page && currentPage) return;
  const arrives = page !== currentPage && currentPage !== null;
  await showPage(page ?? pages[0]);
  if (address !== wantedAddress()) return;
  if (seen) returnTo(seen.scroll, arrives);
  else if (page && scriptOf(page).opens?.test(address)) await scriptOf(page).open(address);
  else if (address && page) bring(control(address), page);
  keep();
}

function returnTo(scroll, arrives) {
  if (arrives) focusOn(headingOf(currentPage));
  else document.activeElement.blur();
  window.scrollTo(0, scroll);
}

function bring(target, page) {
  focusOn(target === page ? headingOf(page) : target);
  if (target === page) window.scrollTo(0, 0);
  else target.scrollIntoView();
}

function focusOn(target) {
  if (!target.hasAttribute("tabindex")) target.tabIndex = -1;
  target.focus({ preventScroll: true });
}

let keeping = 0;
function keepSoon() { clearTimeout(keeping); keeping = setTimeout(keep, PAUSE); }

function keep() {
  clearTimeout(keeping);
  for (const page of drawnPages) keptPages[page.id] = { controls: keptControls(page), part: scriptOf(page).kept?.() };
  history.replaceState({ scroll: window.scrollY, pages: keptPages }, "");
}

function start() {
  history.scrollRestoration = "manual";
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); focusOn(headingOf(currentPage)); });
  window.addEventListener("hashchange", follow);
  // From here on clicks are answered; bench/report.py asks when that was.
  performance.mark("answers");
  window.addEventListener("beforeprint", () => pages.forEach(drawPage));
  for (const kind of ["input", "change", "click", "keyup", "scroll"]) document.addEventListener(kind, keepSoon, { passive: true });
  return follow();
}

// A microtask runs when all of the bundle has, so when every page is registered, but before the data that stands at
// the end of the page is read.
queueMicrotask(start);
