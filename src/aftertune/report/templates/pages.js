/* One page at a time: the part of the address after # says which one, and what to open on it.

   1. A page is drawn when it is first shown. `parts` says how, by the page's id: draw(); opens, a pattern of addresses,
      and open(address); kept(), what a reload is to find again, and again(kept).
   2. The browser's history keeps the place, what the filters say and what is open, so that reload and back find it. */

const pages = [...document.querySelectorAll(".page")], reportTitle = document.title;
const parts = {}, drawnPages = new Set();
const PAUSE = 100;
let currentPage = null, keptPages = history.state?.pages ?? {};

const headingOf = (page) => page.querySelector("h2");

function wantedAddress() {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return location.hash.slice(1); }
}

/* The page that an address is on; null for one that is nowhere. */
function pageOf(address) {
  const opening = pages.find((page) => parts[page.id]?.opens?.test(address));
  return opening ?? control(address)?.closest(".page") ?? null;
}

async function showPage(page) {
  currentPage = page;
  for (const each of pages) each.classList.toggle("current", each === page);
  for (const link of document.querySelectorAll(".bar a")) {
    if (link.hash === `#${page.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${headingOf(page).textContent} · ${reportTitle}`;
  hideTip();
  await drawPage(page);
  redraw();
}

async function drawPage(page) {
  if (drawnPages.has(page)) return;
  drawnPages.add(page);
  const part = parts[page.id], kept = keptPages[page.id];
  part?.draw?.();
  if (!kept) return;
  restoreControls(kept.controls);
  await part?.again?.(kept.part);
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
  else if (parts[page?.id]?.opens?.test(address)) await parts[page.id].open(address);
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
  for (const page of drawnPages) keptPages[page.id] = { controls: keptControls(page), part: parts[page.id]?.kept?.() };
  history.replaceState({ scroll: window.scrollY, pages: keptPages }, "");
}

/* Called when all parts are there. */
function startPages() {
  history.scrollRestoration = "manual";
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); focusOn(headingOf(currentPage)); });
  window.addEventListener("hashchange", follow);
  // From here on clicks are answered; bench/report.py asks when that was.
  performance.mark("answers");
  window.addEventListener("beforeprint", () => pages.forEach(drawPage));
  for (const kind of ["input", "change", "click", "keyup", "scroll"]) document.addEventListener(kind, keepSoon, { passive: true });
  return follow();
}
