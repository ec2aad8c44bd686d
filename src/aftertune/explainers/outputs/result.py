"""The parts of outputs in a run folder: what each holds, and how it is read again.  No torch.

Of each pair of models, by the name of the part:
- ``about``: whether both have the same tensors, so that noise can be drawn in the shape of the change.
- ``added-tokens``: where one model has tokens that the other has not, the probability that it gives to them.
- ``vocabulary``: the text of each token, whether it is special (no text), and whether it counts as a word.
- ``CONTEXT-texts``: what both models read; ``CONTEXT-tuned-texts``: the tuned model's own answers to the same prompts.
- ``uninstructed-texts``, ``uninstructed-tuned-texts``: answers to the user's prompts without their marked instruction.
- ``CONTEXT-base``, ``CONTEXT-tuned``: mean probabilities and log probabilities of each token on even and on odd texts.
- ``coherence``: the words that rose most, how far, and the mean cosine of each with the others.
- ``scales``, ``draw-N``: noise of like effect in each context, its total variation, its largest scores and coherence.
- ``CONTEXT-positions``: log probabilities of every answer token under both models.
- ``sampled-N-base``, ``sampled-N-tuned``: an answer of a model to each prompt, sampled at temperature 1.
- ``samples``: what the tuned model writes freely, with log probabilities of both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NotRequired

import polars as pl
from pydantic import ConfigDict
from typing_extensions import TypedDict

from aftertune.explainers.outputs.words import Array, Flags, of_text
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.turns import Tell, nobody

GENERIC, ANSWERS, PROMPTS = CONTEXTS = ("generic", "answers", "prompts")
ANSWERED = (ANSWERS, PROMPTS)
UNINSTRUCTED = "uninstructed"
WITH_NOISE = (GENERIC, ANSWERS)
MOST_PROMPTS = 12
KIND, SETTINGS, SHOWN = "outputs", "outputs.json", "outputs-shown.json"
ABOUT, VOCABULARY, COHERENCE, SAMPLES, SCALES = "about", "vocabulary", "coherence", "samples", "scales"
ADDED = "added-tokens"
ADDED_SHARES: dict[str, Any] = {"context": pl.String, "side": pl.String, "share": pl.Float64}
HALVES, LOG_HALVES = ("even", "odd"), ("log_even", "log_odd")
SIDES = ("base", "tuned")

Makes = Sequence[Mapping[str, Callable[[], pl.DataFrame]]]
"""Units of work: the parts that each makes, by name."""


class Shown(TypedDict):
    """The record of ``outputs-shown.json``."""

    noise_draws: int
    sampled_answers: NotRequired[int]


class Number(TypedDict):
    """How many there are; what else is said of them is let through."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    n: int


class Asked(TypedDict):
    """The identity of ``outputs.json``, which a report shows whole."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    prompts: Number


TEXTS: dict[str, Any] = {
    "id": pl.String,
    "shown": pl.String,
    "prompt": pl.List(pl.Int64),
    "answer": pl.List(pl.Int64),
    "ended": pl.Boolean,
    "text": pl.String,
}
SAMPLED = {"context": pl.String} | TEXTS
POSITIONS: dict[str, Any] = {
    "id": pl.String,
    "side": pl.String,
    "position": pl.Int32,
    "token": pl.String,
    "log_p_base": pl.Float64,
    "log_p_tuned": pl.Float64,
    "kl": pl.Float64,
}
SCALE: dict[str, Any] = {"context": pl.String, "scale": pl.Float64}
BELONGING: dict[str, Any] = {
    "context": pl.String,
    "direction": pl.String,
    "token": pl.Int64,
    "rise": pl.Float64,
    "cosine": pl.Float64,
}
COHERENT: dict[str, Any] = {"coherence_likelier": pl.Float64, "coherence_less_likely": pl.Float64}
DRAW = SCALE | {"total_variation": pl.Float64, "likelier": pl.Float64, "less_likely": pl.Float64} | COHERENT
SAMPLE: dict[str, Any] = {
    "beginning": pl.String,
    "text": pl.String,
    "n_tokens": pl.Int32,
    "log_p_base": pl.Float64,
    "log_p_tuned": pl.Float64,
}


@dataclass(frozen=True)
class OutputParts:
    """The parts of one pair of models in a run."""

    run: RunFolder
    pair: Pair

    def place(self, name: str) -> tuple[str, str, str]:
        """Where the part of a name lies."""
        return self.run.part(KIND, "-".join(self.pair), name)

    def has(self, name: str) -> bool:
        """Whether it is measured."""
        return self.run.exists(*self.place(name))

    def frame(self, name: str) -> pl.DataFrame:
        """A part that is a data frame; raises `RunError` if it is missing or damaged."""
        return self.run.read_frame(self.place(name))

    def keep(self, name: str, make: Callable[[], pl.DataFrame]) -> None:
        """Make a part that is not there yet, and takes no time to speak of."""
        if not self.has(name):
            self.run.write_frame(self.place(name), make())

    def keep_each(self, units: Makes, tell: Tell = nobody, *, wait: bool = True) -> None:
        """Make the parts that are not there yet; with ``wait``, what comes after needs all of them."""
        for make in self.run.missing(units, lambda make: [self.place(name) for name in make], tell, wait=wait):
            for name, made in make.items():
                self.keep(name, made)

    @property
    def has_same_tensors(self) -> bool:
        """Whether noise can be drawn in the shape of the change."""
        return bool(self.frame(ABOUT)["has_same_tensors"][0])

    def probabilities(self, context: str, side: str) -> Array:
        """Mean probabilities (2, n_vocabulary) of tokens of text on even and on odd texts, special tokens left out."""
        found = self.frame(f"{context}-{side}").select(HALVES).to_numpy().T
        return of_text(found, self.flags("is_special"))

    def log_probabilities(self, context: str, side: str) -> Array:
        """Mean log probabilities (2, n_vocabulary) of tokens on even and on odd texts, in nats."""
        found: Array = self.frame(f"{context}-{side}").select(LOG_HALVES).to_numpy().T
        return found

    @property
    def texts_of_tokens(self) -> list[str]:
        """The text of each token (n_vocabulary)."""
        found: list[str] = self._vocabulary["text"].to_list()
        return found

    def flags(self, name: str) -> Flags:
        """``is_special`` or ``is_word`` of each token (n_vocabulary,)."""
        found: Flags = self._vocabulary[name].to_numpy()
        return found

    @cached_property
    def _vocabulary(self) -> pl.DataFrame:
        return self.frame(VOCABULARY)

    def draws(self, n_draws: int) -> pl.DataFrame:
        """The draws of noise, a row for each context of each; none where noise could not be drawn.

        Of a context in which one of them overflows there are none: those that do not would be too small an effect.
        """
        frames = [self.frame(draw_name(number)) for number in range(n_draws)] if self.has_same_tensors else []
        found = pl.concat([pl.DataFrame(schema=DRAW), *frames])
        overflow = found.filter(~pl.all_horizontal(pl.exclude("context").is_finite()))["context"].unique()
        return found.filter(~pl.col("context").is_in(overflow.to_list()))


def draw_name(number: int) -> str:
    """The name of the part of a draw, counted from 0."""
    return f"draw-{number:03d}"


def own_name(context: str, side: str) -> str:
    """The name of a model's greedy answers to the prompts of a context, as the texts that both models read."""
    return context if side == "base" else f"{context}-tuned"


def answers_name(context: str, side: str) -> str:
    """The name of the part of these answers."""
    return f"{own_name(context, side)}-texts"


def sampled_name(number: int, side: str) -> str:
    """The name of the part of one model's sampled answers, counted from 0."""
    return f"sampled-{number:03d}-{side}"


def prediction_frame(p: Array, log_p: Array) -> pl.DataFrame:
    """Mean probabilities and log probabilities (2, n_vocabulary) as a part."""
    return pl.DataFrame(dict(zip((*HALVES, *LOG_HALVES), (*p, *log_p), strict=True)))
