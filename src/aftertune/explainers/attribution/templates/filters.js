/* Which prompts are listed? Every control leaves some out; what is left empty leaves out none. */

import { control, parsed } from "aftertune/basics.js";

const form = document.querySelector("#prompts .filters");
const FILTERS = ["dataset", "rated", "bigger", "scored", "lowest", "highest", "repetitive"];
let searchable = null;

function wanted() {
  const words = control("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) searchable ??= parsed("index");
  return { words, ...Object.fromEntries(FILTERS.map((id) => [id, control(id)?.value ?? ""])) };
}

/* `marks` are what the list says of a prompt, as texts. */
function fits(marks, wants) {
  return (!wants.dataset || marks.dataset === wants.dataset)
    && (!wants.rated || isRated(marks, ...wants.rated.split(": ")))
    && (!wants.bigger || (wants.bigger === "tuned" ? Number(marks.difference) > 0 : Number(marks.difference) < 0))
    && (!(wants.lowest || wants.highest) || isDense(marks, wants))
    && (!wants.repetitive || isRepetitive(marks.repetitive, wants.repetitive))
    && wants.words.every((word) => searchable[marks.number].includes(word));
}

function isRated(marks, role, rating) { return (role === "base" ? marks.ratedBase : marks.ratedTuned) === rating; }

/* Whether a score of the model asked for, or of either of them, lies in the range, ends included. */
function isDense(marks, { scored, lowest, highest }) {
  const scores = (scored ? [marks[scored]] : [marks.base, marks.tuned]).filter((text) => text !== "").map(Number);
  return scores.some((score) => (lowest === "" || score >= Number(lowest)) && (highest === "" || score <= Number(highest)));
}

function isRepetitive(roles, wants) {
  return wants === "neither" ? !roles : wants === "either" ? Boolean(roles) : roles.split(" ").includes(wants);
}

/* Hides the rows of prompts that do not fit, and with each what `detailOf` gives below it. */
export function filter(items, detailOf) {
  const wants = wanted();
  let shown = 0;
  for (const item of items) {
    item.hidden = !fits(item.dataset, wants);
    const detail = detailOf(item);
    if (detail) detail.hidden = item.hidden;
    shown += item.hidden ? 0 : 1;
  }
  control("shown").textContent = `${shown} of ${items.length}`;
  control("nothing").hidden = shown > 0;
}

/* Calls `refilter` whenever a control has another value. */
export function onFilters(refilter) {
  form.addEventListener("input", refilter);
  form.addEventListener("reset", () => setTimeout(refilter));
  form.addEventListener("submit", (event) => event.preventDefault());
}

export function clearFilters() { form.reset(); }
