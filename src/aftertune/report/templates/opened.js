/* What one opened cell of a grid shows of both models; words in lists, marked as gained or lost. */

import { control, element } from "./basics.js";

export const CHANGES = { gained: "+ gained", lost: "− lost" };
export const ROLES = ["base", "tuned"];

/* A word in isolation, so that one written from right to left leaves its line as it is. */
export function wordElement(text) { return element("bdi", "word", text || "◦"); }

export class OpenedCell {
  constructor(grid, models) {
    Object.assign(this, { grid, models, root: control(`${grid.name}-detail`), wanted: null, fits: null });
    this.root.addEventListener("keydown", (event) => { if (event.key === "Escape") grid.close(); });
  }

  /* `parts` gives what stands below the title; where another cell is opened meanwhile, it is not shown. */
  async open(cell, key, quietly) {
    this.wanted = cell;
    this.root.hidden = false;
    const parts = await this.parts(cell);
    if (this.wanted !== cell) return;
    this.root.replaceChildren(this.title(cell), this.facts(cell), this.onlyChanged(), ...parts);
    this.root.dataset.drawn = key;
    this.highlight(this.fits);
    if (quietly) return;
    this.root.querySelector("h4").focus({ preventScroll: true });
    this.root.scrollIntoView({ block: "nearest" });
  }

  /* What a reload finds again, and how. */
  kept() { return { onlyChanged: this.root.classList.contains("changed-only") }; }

  again({ onlyChanged }) {
    this.root.classList.toggle("changed-only", onlyChanged);
    const tick = this.root.querySelector(".only-changed");
    if (tick) tick.checked = onlyChanged;
  }

  close() {
    this.wanted = null;
    this.root.hidden = true;
    this.root.replaceChildren();
    delete this.root.dataset.drawn;
  }

  title(cell) {
    const line = element("div", "card-head"), name = element("h4", "", this.grid.lines(cell)[0]);
    const close = element("button", "close", "Close");
    Object.assign(name, { id: `${this.grid.name}-detail-title`, tabIndex: -1 });
    close.type = "button";
    close.addEventListener("click", () => this.grid.close());
    line.append(name, close);
    return line;
  }

  facts(cell) { return element("p", "facts", this.grid.lines(cell).slice(1).join(" · ")); }

  onlyChanged() {
    const label = element("label", "tick"), tick = element("input");
    tick.type = "checkbox";
    tick.className = "only-changed";
    tick.checked = this.root.classList.contains("changed-only");
    tick.addEventListener("change", () => this.root.classList.toggle("changed-only", tick.checked));
    label.append(tick, " only what changed");
    return label;
  }

  /* Words that are searched for stand out; null lets all of them rest. */
  highlight(fits) {
    this.fits = fits;
    for (const word of this.root.querySelectorAll(".word")) word.classList.toggle("found", Boolean(fits && fits(word.textContent.toLowerCase())));
  }
}
