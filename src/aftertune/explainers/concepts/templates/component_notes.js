/* What an annotator wrote of single components, where one was asked: descriptions by model, layer, expert and rank. */
import { unpackedIfAny } from "aftertune/basics.js";

/* Parts a description into its words, which come at odd places, and what stands between them. */
const LETTERS = /([\p{L}\p{M}\p{N}]+)/u;

/* Null where nobody was asked about any component. */
export function componentNotes() { return unpackedIfAny("component-notes"); }

/* The description of the component of a model at a rank: "" where it could not be described, null where nobody was
   asked about this one. */
export function descriptionOf(notes, role, { layer, expert }, rank) {
  return notes?.[role]?.[layer]?.[expert]?.[rank] ?? null;
}

export function splitWords(text) { return text.split(LETTERS); }
