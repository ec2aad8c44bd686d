/* One prompt, both models side by side: text, response and salient map of each. */

import { element, inflate } from "aftertune/basics.js";
import { keepDrawn } from "./map.js";
import { Side } from "./side.js";

/* Resolves to the sides that are drawn, null for one that is missing. Maps are drawn last, for they measure the page,
   which costs most where a text is long. */
export async function drawPrompt(stage, data) {
  const sides = [];
  for (const [number, side] of data.sides.entries()) sides.push(await drawSide(stage, { ...side, id: data.id }, number));
  const maps = sides.flatMap((side) => (side ? [side.map] : []));
  for (const map of maps) Object.assign(map, { together: maps }).draw();
  stage.dataset.drawn = "1";
  return sides;
}

async function drawSide(stage, side, number) {
  const root = element("section", `side ${side.role}`);
  root.setAttribute("aria-label", side.missing ? side.role : side.model);
  stage.append(root);
  if (side.missing) {
    root.append(element("p", "none", `There is no map of the ${side.role} model for this prompt.`));
    return null;
  }
  const levels = Uint8Array.from(side.levels, (sign) => parseInt(sign, 16));
  const importance = side.importance ? new Float32Array((await inflate(side.importance)).buffer) : null;
  const made = new Side(root, side, levels, importance, `${stage.id}-${number}`);
  keepDrawn(made.map);
  return made;
}
