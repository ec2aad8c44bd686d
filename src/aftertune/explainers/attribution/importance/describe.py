"""From numbers to a result: whose tokens they are, what the units read, and which belong to the instruction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.errors import AttributionError
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.units import Unit
from aftertune.prompts.encoding import EncodedPrompt, show_tokens
from aftertune.runs.provenance import Provenance


@dataclass(frozen=True, eq=False)
class Computed:
    """Importance (n_units, n_response) and probability (n_response,), by a ``route``, for units of a kind.

    ``is_divided`` (n_units,) marks units that share the importance of their group.
    """

    importance: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]
    is_divided: npt.NDArray[np.bool_]
    route: str
    unit: str


def describe(
    computed: Computed, encoded: EncodedPrompt, units: Sequence[Unit], tokenizer: Any, provenance: Provenance
) -> Attribution:
    """The attribution of an encoded prompt with its response, as a tokenizer reads it."""
    offsets, unit = _unit_offsets(encoded, units), computed.unit
    tokens = encoded.tokens if unit == "token" else tuple(encoded.text[start:end] for start, end in offsets)
    ids = response_of(encoded).tolist()
    contrast = () if encoded.contrast_ids is None else show_tokens(tokenizer, encoded.contrast_ids.tolist())
    return Attribution(
        importance=computed.importance,
        probability=computed.probability,
        prompt_tokens=tuple(tokens),
        response_tokens=show_tokens(tokenizer, ids),
        text=encoded.text,
        response=tokenizer.decode(ids),
        offsets=offsets,
        is_user=_majority(encoded.is_user, units),
        is_instruction=_majority(encoded.is_instruction, units),
        unit=unit,
        route=computed.route,
        is_divided=computed.is_divided,
        provenance=provenance,
        contrast_tokens=contrast,
    )


def respond(encoded: EncodedPrompt, response_ids: Sequence[int]) -> EncodedPrompt:
    """The encoded prompt with a response in token ids, as a model generated it."""
    return replace(encoded, response_ids=np.asarray(response_ids, dtype=np.int64))


def response_of(encoded: EncodedPrompt) -> npt.NDArray[np.int64]:
    """The response's token ids; raises `AttributionError` if there is no response yet."""
    if encoded.response_ids is None:
        raise AttributionError("This prompt has no response yet. Generate one, or give it.")
    return encoded.response_ids


def _unit_offsets(encoded: EncodedPrompt, units: Sequence[Unit]) -> npt.NDArray[np.int64]:
    ranges = [(encoded.offsets[unit[0], 0], encoded.offsets[unit[-1], 1]) for unit in units]
    return np.array(ranges, dtype=np.int64).reshape(-1, 2)


def _majority(marked: npt.NDArray[np.bool_], units: Sequence[Unit]) -> npt.NDArray[np.bool_]:
    return np.array([2 * marked[list(unit)].sum() >= len(unit) for unit in units], dtype=bool)
