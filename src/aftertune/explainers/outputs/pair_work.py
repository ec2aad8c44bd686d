"""The outputs of two models, part by part, into the run folder.

1. The texts: our own, and prompts with the base's own greedy answers.
2. Mean probabilities and log probabilities of each model over them; of the base nothing else is kept.
3. Noise of like effect: its scale, then each draw.
4. The tuned model's answers, and every answer read by both models.
5. Free samples of the tuned model, read by both.
Beside its greedy answers a model writes others, sampled from its own probabilities, and answers to prompts without
their marked instruction.
What has its part already is not computed again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl
from torch import Tensor

from aftertune.errors import AttributionError
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.outputs import result
from aftertune.explainers.outputs.free_samples import free_samples
from aftertune.explainers.outputs.noise.draws import NoiseDraws
from aftertune.explainers.outputs.probabilities import (
    added_share,
    common_vocabulary,
    compare_positions,
    final_states,
    finite_texts,
    mean_predictions,
)
from aftertune.explainers.outputs.result import (
    ANSWERED,
    CONTEXTS,
    GENERIC,
    SIDES,
    UNINSTRUCTED,
    OutputParts,
    answers_name,
    own_name,
    sampled_name,
)
from aftertune.explainers.outputs.rises import is_word
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.explainers.outputs.texts import (
    Text,
    answered,
    asked,
    generic_texts,
    instructions,
    text_frame,
    texts_of,
    uninstructed,
)
from aftertune.models.generation import GREEDY
from aftertune.models.loaded import Checkpoint
from aftertune.prompts.encoding import show_tokens
from aftertune.runs.stage import StepProgress
from aftertune.runs.turns import Tell

READING, NOISE, ANSWERING, FREE = ("texts", "noise", "answers", "free samples")


@dataclass(frozen=True, eq=False)
class PairWork:
    """The parts of one pair, in their order."""

    settings: OutputSettings
    inputs: Inputs
    base: Checkpoint
    tuned: Checkpoint
    parts: OutputParts
    norms: dict[str, float] | None
    progress: StepProgress
    read: dict[tuple[str, str], Tensor] = field(default_factory=dict)  # final states by side and texts
    written: dict[str, dict[int | None, dict[str, list[Text]]]] = field(default_factory=dict)  # answers, by side

    def measure(self) -> None:
        """Make the parts that are not there yet."""
        self.parts.keep(result.ABOUT, lambda: pl.DataFrame([{"has_same_tensors": self.norms is not None}]))
        self.parts.keep(result.VOCABULARY, self._vocabulary)
        self._read(partial(self.progress, READING))
        if self._has_added:
            self.parts.keep_each([{result.ADDED: self._added}])
        if self.norms is not None:
            noise = NoiseDraws(self.base, self.norms, self.parts, self.settings)
            noise.measure(partial(self.progress, NOISE))
        self._answer(partial(self.progress, ANSWERING))
        samples = partial(free_samples, self.base, self.tuned, self.settings, self.inputs.template, self._n)
        self.parts.keep_each([{result.SAMPLES: samples}], partial(self.progress, FREE), wait=False)

    def _vocabulary(self) -> pl.DataFrame:
        texts, special = show_tokens(self._tokenizer, range(self._n)), set(self._tokenizer.all_special_ids)
        flags = {"is_special": [token in special for token in range(self._n)], "is_word": is_word(texts)}
        return pl.DataFrame({"text": texts} | flags)

    def _read(self, tell: Tell) -> None:
        """The texts of all contexts, answers written together, and the mean probabilities of both models over them."""
        units = [{f"{GENERIC}-texts": self._generic_part}, self._answers_of("base")]
        self.parts.keep_each(units, lambda _done, _total: tell(0.0, 1.0))
        full = [one for one in CONTEXTS if texts_of(self.parts, one)]
        names = [(side, one) for one in full for side in SIDES]
        self.parts.keep_each([{f"{one}-{side}": partial(self._predictions, side, one)} for side, one in names], tell)

    def _generic_part(self) -> pl.DataFrame:
        return text_frame(self._finite(generic_texts(self._tokenizer), GENERIC), self._tokenizer)

    def _answers_of(self, side: str) -> Mapping[str, Callable[[], pl.DataFrame]]:
        """The parts of a model's answers: greedy and sampled, which are written together, and without instructions."""
        greedy = {answers_name(one, side): partial(self._answers_part, one, side) for one in ANSWERED}
        numbers = range(self.settings.sampled_answers)
        sampled = {sampled_name(number, side): partial(self._sampled_part, number, side) for number in numbers}
        bare = {answers_name(UNINSTRUCTED, side): partial(self._bare_part, side)}
        return greedy | sampled | (bare if uninstructed(self.inputs) else {})

    def _bare_part(self, side: str) -> pl.DataFrame:
        asked, most = {UNINSTRUCTED: self._asked(UNINSTRUCTED)}, self.settings.answer_tokens
        found = text_frame(answered(self._checkpoint(side), asked, most, self._n)[0][UNINSTRUCTED], self._tokenizer)
        return found.with_columns(pl.col("id").replace_strict(instructions(self.inputs)).alias("instruction"))

    def _answers_part(self, context: str, side: str) -> pl.DataFrame:
        answers = self._written(side)[GREEDY][context]
        return text_frame(self._finite(answers, own_name(context, side)), self._tokenizer)

    def _sampled_part(self, number: int, side: str) -> pl.DataFrame:
        written = self._written(side)[number]
        frames = [
            text_frame(texts, self._tokenizer).select(pl.lit(context).alias("context"), pl.all())
            for context, texts in written.items()
        ]
        return pl.concat(frames)

    @property
    def _has_added(self) -> bool:
        """Whether one of the tokenizers has tokens that the other embeddings have no row for."""
        return any(len(one.tokenizer) > self._n for one in (self.base, self.tuned))

    def _added(self) -> pl.DataFrame:
        """How much of its probability each model gives to tokens that only it has, by context."""
        rows = [
            (context, side, added_share(self._checkpoint(side), self._states(side, context), self._n))
            for context in CONTEXTS
            for side in SIDES
            if texts_of(self.parts, context)
        ]
        return pl.DataFrame(rows, schema=result.ADDED_SHARES, orient="row")

    def _predictions(self, side: str, context: str) -> pl.DataFrame:
        texts, states = texts_of(self.parts, context), self._states(side, context)
        found = mean_predictions(self._checkpoint(side), texts, self._n, states)
        return result.prediction_frame(found.p, found.log_p)

    def _states(self, side: str, name: str) -> Tensor:
        """Final states of a part's texts, read once."""
        if (side, name) not in self.read:
            self.read[side, name] = final_states(self._checkpoint(side), texts_of(self.parts, name))
        return self.read[side, name]

    def _finite(self, texts: list[Text], name: str) -> list[Text]:
        """Texts whose logits are finite under both models; the others can't be compared."""
        if not texts:
            return texts
        both = {side: final_states(self._checkpoint(side), texts) for side in SIDES}
        each = [finite_texts(self._checkpoint(side), texts, states) for side, states in both.items()]
        finite = [all(one) for one in zip(*each, strict=True)]
        if name == GENERIC and not any(finite):
            raise AttributionError(
                "The outputs can't be compared: on every text of ours the logits of a model are NaN or infinite. Load "
                "the models in float32, or leave outputs out (skip)."
            )
        if all(finite):  # else they are read again, as a run that goes on would do it
            self.read.update({(side, name): states for side, states in both.items()})
        return [one for one, is_finite in zip(texts, finite, strict=True) if is_finite]

    def _checkpoint(self, side: str) -> Checkpoint:
        return self.base if side == "base" else self.tuned

    def _written(self, side: str) -> dict[int | None, dict[str, list[Text]]]:
        """A model's greedy answers and those of each number, where the run has not their parts yet; written once."""
        if side not in self.written:
            names = {number: [sampled_name(number, side)] for number in range(self.settings.sampled_answers)}
            greedy = [answers_name(one, side) for one in ANSWERED]
            missing = [one for one, own in ({GREEDY: greedy} | names).items() if not all(map(self.parts.has, own))]
            seeds = [GREEDY if one is GREEDY else self.settings.seed + one for one in missing]
            asked = {context: self._asked(context) for context in ANSWERED}
            found = answered(self._checkpoint(side), asked, self.settings.answer_tokens, self._n, seeds)
            self.written[side] = dict(zip(missing, found, strict=True))
        return self.written[side]

    def _answer(self, tell: Tell) -> None:
        """The tuned model's own answers, and every token of either model's answers as both models see it."""
        self.parts.keep_each([self._answers_of("tuned")], lambda _done, _total: tell(0.0, 1.0))
        self.parts.keep_each(
            [{f"{one}-positions": partial(self._positions, one)} for one in ANSWERED], tell, wait=False
        )

    def _positions(self, context: str) -> pl.DataFrame:
        frames = [pl.DataFrame(schema=result.POSITIONS)]
        for side in SIDES:
            name = own_name(context, side)
            texts = texts_of(self.parts, name)
            states = [self._states(one, name) for one in SIDES] if texts else None
            before, after, kl = compare_positions(self.base, self.tuned, texts, states)
            places = [(one.id, side, n) for one in texts for n in range(len(one.answer))]
            tokens = [token for one in texts for token in show_tokens(self._tokenizer, one.answer)]
            ids, sides, numbers = zip(*places, strict=True) if places else ((), (), ())
            columns = (ids, sides, numbers, tokens, before, after, kl)
            frames.append(pl.DataFrame(dict(zip(result.POSITIONS, columns, strict=True)), schema=result.POSITIONS))
        return pl.concat(frames)

    @property
    def _tokenizer(self) -> Any:
        return self.base.tokenizer

    @property
    def _n(self) -> int:
        return common_vocabulary(self.base, self.tuned)

    def _asked(self, context: str) -> dict[str, Any]:
        return asked(context, [self.base.tokenizer, self.tuned.tokenizer], self.inputs)
