"""Which prompts does the report list, and what does the page need to draw one?

1. `pair_maps` puts the two models' maps of one prompt together, in the order of the instances.
2. `listed_prompts` are the rows of the list, `payload` what is drawn when one is opened.
3. `side_of` is one map as plain JSON data: readable tokens, the text between them, marks, densities, and the levels
   row by row, a sign each ("a" is 10), which becomes small when it is compressed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aftertune.explainers.attribution.density_comparison import FOLLOWED
from aftertune.explainers.attribution.result import SalientMap
from aftertune.report.chart_style import shorten
from aftertune.report.formats import PLAIN
from aftertune.runs.readable import readable, visible

if TYPE_CHECKING:
    from aftertune.explainers.attribution.change import AttributionChange, InstanceRow
    from aftertune.explainers.attribution.difference import AttributionDifference

TEMPLATES = Path(__file__).parent / "templates"
LEVEL_SIGNS = np.frombuffer(b"0123456789a", np.uint8)
SNIPPET = 150
LONGEST_FILE_ID = 80
ROLES = ("base", "tuned")


@dataclass(frozen=True, eq=False)
class PromptPair:
    """One prompt under both models, ``number`` in the list; a map that was not computed is None.

    ``difference`` is both models on the tuned model's response.
    """

    number: int
    row: InstanceRow
    base: SalientMap | None
    tuned: SalientMap | None
    difference: AttributionDifference | None = None

    @property
    def maps(self) -> dict[str, SalientMap | None]:
        """Both maps by role."""
        return {"base": self.base, "tuned": self.tuned}

    @property
    def text(self) -> str:
        """The prompt as the user wrote it, with the template's own text left out."""
        salient = self.tuned or self.base
        return user_text(salient) if salient else ""

    @property
    def file_id(self) -> str:
        """The prompt's id as part of a file name: changed or long ids carry a digest, so that no two are the same."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", self.row.id)[:LONGEST_FILE_ID]
        if plain == self.row.id:
            return plain
        whole = f"{self.row.dataset}/{self.row.id}".encode("utf-8", "replace")
        return f"{plain}-{hashlib.sha256(whole).hexdigest()[:8]}"


@dataclass(frozen=True)
class ListedPrompt:
    """A row of the page's list; ``ratings`` and ``followed`` are by role, ``repetitive`` names the roles that are."""

    number: int
    row: InstanceRow
    snippet: str
    repetitive: tuple[str, ...]
    ratings: dict[str, int | None]
    followed: dict[str, str]


def pair_maps(change: AttributionChange) -> list[PromptPair]:
    """The prompts in the order of the instances, each with the maps of both models."""
    of = {(one.dataset, one.id, one.model): one for one in change.maps}
    differences = {(one.dataset, one.id): one.found for one in change.differences}
    pairs = []
    for number, row in enumerate(change.instances):
        base, tuned = (of.get((row.dataset, row.id, name)) for name in (change.base, change.tuned))
        pairs.append(PromptPair(number, row, base, tuned, differences.get((row.dataset, row.id))))
    return pairs


def listed_prompt(pair: PromptPair) -> ListedPrompt:
    """What the list shows of a prompt."""
    return ListedPrompt(
        number=pair.number,
        row=pair.row,
        snippet=shorten(visible(" ".join(pair.text.split())), SNIPPET),
        repetitive=tuple(role for role in ROLES if getattr(pair.row, f"repetitive_{role}")),
        ratings={role: one.helpfulness if one is not None else None for role, one in pair.maps.items()},
        followed={role: rating_in_words(one) for role, one in pair.maps.items()},
    )


def rating_in_words(salient: SalientMap | None) -> str:
    """Whether a person found the instruction followed, as in table 1."""
    if salient is None or salient.helpfulness is None:
        return "unrated"
    return "followed" if salient.helpfulness in FOLLOWED else "not followed"


def payload(pair: PromptPair) -> dict[str, Any]:
    """What is drawn when a prompt is opened, as plain JSON data."""
    sides = [_side(pair.row, role, salient) for role, salient in pair.maps.items()]
    return {"id": pair.row.id, "sides": [*sides, *_shared_sides(pair)]}


def _shared_sides(pair: PromptPair) -> Iterator[dict[str, Any]]:
    """The base on the tuned model's response, on one scale with the tuned model, and what the difference depends on."""
    if pair.difference is None or pair.tuned is None:
        return
    base, _ = pair.difference.levels_of_models()
    name = pair.base.model if pair.base is not None else pair.difference.base.provenance.name
    told = (
        (
            "base",
            f"{name}, reading the response of {pair.tuned.model}",
            base,
            "Levels are tenths of the largest fall of log p, of either model.",
        ),
        (
            "difference",
            "The difference",
            pair.difference.levels(),
            "How far log p of the tuned model less log p of the base falls without each token of the prompt.",
        ),
    )
    for role, title, levels, note in told:
        salient = replace(pair.tuned, levels=levels, model=title, helpfulness=None)
        facts = {"score": PLAIN["number"](salient.score()), "copied": None, "repetitive": False, "helpfulness": None}
        yield {"role": role, "note": note, **side_of(salient), **facts}


def _side(row: InstanceRow, role: str, salient: SalientMap | None) -> dict[str, Any]:
    if salient is None:
        return {"role": role, "missing": True}
    facts = {
        "score": PLAIN["number"](getattr(row, f"score_{role}")),
        "copied": getattr(row, f"copied_share_{role}"),
        "repetitive": bool(getattr(row, f"repetitive_{role}")),
        "helpfulness": salient.helpfulness,
    }
    return {"role": role, **side_of(salient), **facts}


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
        "levels": LEVEL_SIGNS[salient.levels.reshape(-1)].tobytes().decode("ascii"),
    }


def _bits(marks: Sequence[bool] | npt.NDArray[np.bool_]) -> str:
    return "".join("1" if mark else "0" for mark in marks)
