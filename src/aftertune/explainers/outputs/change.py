"""What was found between the outputs of two models.

A number that is not defined for its data is None, never NaN. Log probabilities and KL divergences are in nats. A
``context`` is "generic" (texts of our own), "answers" (prompts of our own with the base's answers) or "prompts" (the
user's, likewise).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from aftertune.explainers.outputs.behaviour import BehaviourRow
from aftertune.explainers.outputs.instruction.effect import InstructedRow
from aftertune.explainers.outputs.openings import OpeningRow
from aftertune.explainers.outputs.response_words import ResponseWordRow
from aftertune.explainers.outputs.sampled import SampledRow
from aftertune.runs.result import Result


@dataclass(frozen=True)
class WordRow:
    """A vocabulary token whose probability moved.

    ``score`` is the smaller log-ratio of both halves of the texts, in the ``direction`` ("likelier", "less likely");
    ``p_base`` and ``p_tuned`` are mean probabilities. ``limit`` is the largest score of any token in any draw of noise,
    and ``shown`` whether the token's exceeds it (beyond noise); both are None where no noise was drawn. Whether that is
    more than chance, for all tokens and all that a report asks, is for the findings to say.
    """

    context: str
    direction: str
    token: int
    text: str
    score: float
    p_base: float
    p_tuned: float
    limit: float | None
    shown: bool | None

    @property
    def times(self) -> float | None:
        """How many times as likely the token became; None where the base gives it no probability."""
        return self.p_tuned / self.p_base if self.p_base > 0 else None


@dataclass(frozen=True)
class RisingWordRow:
    """A word that rose, or fell, most in all texts, whatever they are about (`rises`).

    ``rise`` is how much more its mean log probability moved in the ``direction`` than that of words as likely, the
    smaller of both halves of the texts, in nats; ``cosine`` the mean cosine with the other words of the context and
    direction; ``p_base`` and ``p_tuned`` are mean probabilities.
    """

    context: str
    direction: str
    token: int
    text: str
    rise: float
    cosine: float
    p_base: float
    p_tuned: float


@dataclass(frozen=True)
class NoiseRow:
    """The largest score of a context and direction beside that of models with noise of like effect.

    ``total_variation`` is the share of the next token's probability that moved, ``noise_total_variation`` its mean over
    the ``n_draws`` draws, and ``scale`` the norm of their weight changes over that of tuning. ``limit`` is the largest
    score of any draw, and ``n_beyond`` the number of tokens whose score exceeds it. ``p_value`` is the test's
    (`words.noise_p_value`), ``p_value_rank`` that of the rank alone. ``coherence`` is the mean cosine between the words
    that rose, or fell, most (`coherence.coherence`), beside the mean over the draws, ``noise_coherence``, and the
    largest of them. All of noise is None without draws.
    """

    context: str
    direction: str
    largest: float
    n_beyond: int | None
    total_variation: float
    noise_total_variation: float | None
    scale: float | None
    n_draws: int
    limit: float | None
    p_value: float | None
    p_value_rank: float | None
    coherence: float | None
    noise_coherence: float | None
    coherence_limit: float | None
    p_value_coherence: float | None


@dataclass(frozen=True)
class FirstTokenRow:
    """How many of the answers of each model begin with a token."""

    text: str
    n_base: int
    n_tuned: int
    difference: int


@dataclass(frozen=True)
class SampleRow:
    """A free sample of the tuned model; ``gap`` is how much likelier it finds a token of it than the base, on average.

    ``beginning`` is what the sample follows: nothing, or the template up to what the user says.
    """

    beginning: str
    text: str
    n_tokens: int
    gap: float
    log_p_base: float
    log_p_tuned: float


@dataclass(frozen=True)
class TokenRow:
    """A token of an answer: ``log_ratio`` is log p_tuned - log p_base, ``kl`` KL(tuned || base) of its prediction."""

    token: str
    log_ratio: float
    kl: float


@dataclass(frozen=True)
class AnswerRow:
    """Both models' greedy answers to a prompt, by token and as they read.

    They differ where a character has several tokens. ``parts_at`` is the first token that differs between the models,
    None if all are equal.
    """

    context: str
    id: str
    prompt: str
    base: tuple[TokenRow, ...]
    tuned: tuple[TokenRow, ...]
    base_text: str
    tuned_text: str
    parts_at: int | None

    @property
    def log_ratio(self) -> float | None:
        """The mean log-ratio of the tuned model's answer: how much the base is surprised by it."""
        return sum(one.log_ratio for one in self.tuned) / len(self.tuned) if self.tuned else None


@dataclass(frozen=True, eq=False, repr=False)
class OutputChange(Result):
    """What the model named ``tuned`` says that ``base`` did not.

    ``words`` are the tokens that moved most and all beyond noise, ``rising_words`` those that rose or fell most in
    all texts, the most typical of them first, ``noise`` the tests of each context and direction.
    ``response_words`` are the words of the answers, with ``response_words_p_value``; ``openings`` how the tuned model's
    answers begin and end, with ``openings_p_value``, ``first_tokens`` the first token alone. ``behaviour`` has a row
    for each behaviour of answers, ``sampled`` for each trait of answers that were sampled, ``instructed`` for each of
    answers with and without the prompts' marked instruction, with ``instructed_p_value``; ``answers`` are both models'
    answers token by token, ``samples`` the tuned model's free samples, the largest gap first. ``n_left_out`` of the
    user's prompts were too long to be answered, or gave logits that are not finite. ``added_share`` of its probability
    the tuned model gives to tokens that only it has (None where there are none). ``settings`` say how it was measured.
    """

    base: str
    tuned: str
    words: tuple[WordRow, ...] = ()
    rising_words: tuple[RisingWordRow, ...] = ()
    noise: tuple[NoiseRow, ...] = ()
    response_words: tuple[ResponseWordRow, ...] = ()
    response_words_p_value: float | None = None
    openings: tuple[OpeningRow, ...] = ()
    openings_p_value: float | None = None
    first_tokens: tuple[FirstTokenRow, ...] = ()
    behaviour: tuple[BehaviourRow, ...] = ()
    sampled: tuple[SampledRow, ...] = ()
    instructed: tuple[InstructedRow, ...] = ()
    instructed_p_value: float | None = None
    answers: tuple[AnswerRow, ...] = ()
    samples: tuple[SampleRow, ...] = ()
    n_left_out: int = 0
    added_share: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def moved(self) -> float | None:
        """The share of the next token's probability that moved, the mean over contexts."""
        found = {row.context: row.total_variation for row in self.noise}
        return sum(found.values()) / len(found) if found else None

    def beyond_noise(self, direction: str, contexts: tuple[str, ...] | None = None) -> tuple[WordRow, ...]:
        """The tokens of a direction that moved more than noise moves any, of all contexts or those named."""
        own = [row for row in self.words if row.direction == direction and row.shown]
        return tuple(row for row in own if contexts is None or row.context in contexts)

    def to_polars(self) -> pl.DataFrame:
        """The words, a row for each token, context and direction; `tables` has the others."""
        return self.tables()["output_words"]

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables by name: words and their tests, what answers are like (greedy and sampled), positions, samples."""
        return {table.name: table.frame for table in self._show().tables(self)}

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return found

    def _facts(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "tuned": self.tuned,
            "n_beyond_noise": sum(bool(row.shown) for row in self.words),
        }
