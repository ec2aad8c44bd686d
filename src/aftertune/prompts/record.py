"""A prompt as a run keeps it beside its measurements, as plain JSON data, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aftertune.prompts.prompt import Message, Prompt


def to_record(prompt: Prompt) -> dict[str, Any]:
    """The prompt as plain data; ``marked`` says whether its instruction was."""
    # A rating without a model's name is of the response that the prompt carries, so it needs that response.
    ratings = {name: rating for name, rating in prompt.ratings.items() if name or prompt.response is not None}
    return asdict(prompt) | {"marked": prompt.spans is not None, "ratings": ratings}


def from_record(record: Mapping[str, Any]) -> Prompt:
    """The prompt that `to_record` made plain data of."""
    spans = record["spans"]
    return Prompt(
        id=record["id"],
        messages=tuple(Message(**one) for one in record["messages"]),
        dataset=record["dataset"],
        spans=None if spans is None else tuple((start, end, message) for start, end, message in spans),
        context=record["context"],
        response=record["response"],
        ratings=record["ratings"],
    )
