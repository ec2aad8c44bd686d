"""Which prompts does the report list, and what does the page need to draw one?

1. `pair_maps` puts the two models' maps of one prompt together, in the order of the maps, with the comparison's row.
2. `side_of` is one map as plain JSON data: readable tokens, the text between them, marks, densities, and the levels
   row by row, a sign each ("a" is 10), which becomes small when it is compressed.
3. `to_script_json` writes such data so that nothing in it can end a script element.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.errors import RunError
from aftertune.explainers.attribution.maps import SalientMap
from aftertune.report.contents import ReportContents
from aftertune.runs.readable import readable, visible

Row = Mapping[str, Any]
LEVEL_SIGNS = "0123456789a"
LEAST_FOLLOWED = 2
SCRIPT_SIGNS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


@dataclass(frozen=True, eq=False)
class PromptPair:
    """One prompt under both models; a map that was not computed is None, and so is a row that is not there."""

    id: str
    dataset: str
    base: SalientMap | None
    tuned: SalientMap | None
    row: Row | None

    @property
    def text(self) -> str:
        """The prompt as the user wrote it, with the template's own text left out."""
        salient = self.tuned or self.base
        return user_text(salient) if salient else ""


def rating_in_words(salient: SalientMap | None) -> str:
    """Whether a person found the instruction followed: rated at least `LEAST_FOLLOWED`, as in table 1."""
    if salient is None or salient.helpfulness is None:
        return "unrated"
    return "followed" if salient.helpfulness >= LEAST_FOLLOWED else "not followed"


def pair_maps(contents: ReportContents) -> list[PromptPair]:
    """The prompts in the order of the maps; raises `RunError` if one model has two maps of the same prompt."""
    found: dict[tuple[str, str], dict[str, SalientMap]] = {}
    for salient in contents.maps:
        models = found.setdefault((salient.dataset, salient.id), {})
        if salient.model in models:
            raise RunError(
                f"There are two maps of prompt {salient.id!r} ({salient.dataset}) of model {salient.model!r}. "
                "Give each prompt of a data set its own id."
            )
        models[salient.model] = salient
    rows = {(row["dataset"], row["id"]): row for row in contents.rows("instances")}
    return [
        PromptPair(key[1], key[0], models.get(contents.base), models.get(contents.tuned), rows.get(key))
        for key, models in found.items()
    ]


def prompt_texts(salient: SalientMap) -> list[str]:
    """What each prompt token shows: its characters of the text that no token before it has shown."""
    cursor, texts = 0, []
    pieces = readable(salient.prompt_tokens)
    for (start, end), piece in zip(salient.offsets.tolist(), pieces, strict=True):
        # A token without characters was put in by a template or tokenizer (as <s>); it shows its own name.
        texts.append(visible(salient.text[max(start, cursor) : end] if end > start else piece))
        cursor = max(cursor, end)
    return texts


def response_texts(salient: SalientMap) -> list[str]:
    """What each response token shows."""
    return [visible(text) for text in readable(salient.response_tokens)]


def gaps(salient: SalientMap) -> dict[str, str]:
    """Text between tokens, by the number of the token that it precedes (n_prompt for what follows the last)."""
    cursor, found = 0, {}
    ends = [*salient.offsets.tolist(), [len(salient.text), len(salient.text)]]
    for number, (start, end) in enumerate(ends):
        last = number == salient.n_prompt
        if (end > start or last) and start > cursor:
            found[str(number)] = visible(salient.text[cursor:start])
        cursor = max(cursor, end) if end > start or last else cursor
    return found


def user_text(salient: SalientMap) -> str:
    """The characters that the user wrote: those of the user's tokens, and what lies between two of them."""
    marked = salient.offsets[salient.is_user & (salient.offsets[:, 1] > salient.offsets[:, 0])]
    return salient.text[int(marked[:, 0].min()) : int(marked[:, 1].max())] if len(marked) else salient.text


def side_of(salient: SalientMap) -> dict[str, Any]:
    """One model's map of one prompt as JSON data."""
    return {
        "model": salient.model,
        "prompt": prompt_texts(salient),
        "gaps": gaps(salient),
        "response": response_texts(salient),
        "user": _bits(salient.is_user),
        "instruction": _bits(salient.is_instruction),
        "density": [round(value, 2) for value in salient.density().tolist()],
        "levels": "".join(LEVEL_SIGNS[level] for level in salient.levels.reshape(-1).tolist()),
    }


def to_script_json(data: Any) -> str:
    """JSON in which nothing can end a script element or start a comment in it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(SCRIPT_SIGNS)


def _bits(marks: Sequence[bool] | npt.NDArray[np.bool_]) -> str:
    return "".join("1" if mark else "0" for mark in marks)
