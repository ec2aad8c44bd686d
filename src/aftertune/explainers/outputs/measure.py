"""The outputs of two models, part by part, into the run folder.

1. The texts: our own, and prompts with the base's own greedy answers.
2. Mean probabilities of each model over them; of the base nothing else is kept.
3. Noise of like effect: its scale, then each draw.
4. The tuned model's answers, and every answer read by both models.
5. Free samples of the tuned model, read by both.
What has its part already is not computed again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import polars as pl

from aftertune.explainers.explainer import Inputs, Work
from aftertune.explainers.outputs import result
from aftertune.explainers.outputs.coherence import belonging, coherence, is_word, subject_directions
from aftertune.explainers.outputs.cost import remaining
from aftertune.explainers.outputs.noise import Noise, fast_products, scale_of_like_effect
from aftertune.explainers.outputs.probabilities import common_vocabulary, compare_positions, mean_probabilities
from aftertune.explainers.outputs.result import ANSWERED, CONTEXTS, GENERIC, WITH_NOISE, OutputParts, draw_name
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.explainers.outputs.texts import (
    Text,
    answered,
    asked,
    beginnings,
    can_answer,
    digest,
    generic_texts,
)
from aftertune.explainers.outputs.words import DIRECTIONS, Array, largest_scores, of_text, scores, total_variation
from aftertune.models.cost import Remaining
from aftertune.models.generation import sample
from aftertune.models.loaded import Checkpoint
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.models.weight_noise import change_norms
from aftertune.prompts.encoding import show_tokens
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress

READING, NOISE, ANSWERING, SAMPLING = STEPS = ("texts", "noise", "answers", "samples")
SEEDS_OF_DRAWS = 2**20
DECIMALS = 9


@dataclass(frozen=True)
class OutputWork(Work):
    """The outputs of pairs of models, to be compared in a run."""

    settings: OutputSettings
    inputs: Inputs

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        return self.settings.of("parts") | self.inputs.identity | {"texts": {"sha256": digest()}}

    def must_fit(self, configs: Sequence[Any], run: RunFolder) -> None:  # noqa: ARG002
        """Raise `RunError` for a run whose outputs were compared otherwise."""
        if run.exists(result.SETTINGS):
            run.claim(result.SETTINGS, self.identity, {})

    def chosen(self) -> Sequence[tuple[str, str]]:
        """How many draws of noise words are compared with."""
        draws = self.settings.noise_draws
        return [("outputs", f"{draws} draws of noise" if draws else "no noise, so that no word is claimed")]

    def remaining_pair(self, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:  # noqa: ARG002
        """What is left of a pair of models of a size."""
        return Remaining() if self.is_pair_measured(run, pair) else remaining(self.settings, self.inputs, size)

    def is_pair_measured(self, run: RunFolder, pair: Pair) -> bool:
        """Whether all parts of a pair are there."""
        parts = OutputParts(run, pair)
        if not parts.has(result.ABOUT):
            return False
        names = [draw_name(number) for number in range(self.settings.noise_draws)]
        has_draws = not parts.has_same_tensors or all(parts.has(name) for name in names)
        return has_draws and parts.has(result.SAMPLES)

    def measure_pair(
        self, base: Checkpoint, tuned: Checkpoint, pair: Pair, run: RunFolder, progress: StepProgress
    ) -> None:
        """Compare the outputs of two models, the parts that are not there yet. Both are left as they were.

        Raises `RunError` if the folder holds outputs that were compared otherwise, or a part can't be written.
        """
        run.claim(result.SETTINGS, self.identity, {})
        norms = change_norms(base, tuned)
        _PairWork(self, base, tuned, OutputParts(run, pair), norms, progress).measure()

    def finish(self, run: RunFolder, role: str) -> None:  # noqa: ARG002
        """Let the run show as many draws as were asked for this time."""
        run.remember(result.SHOWN, {"noise_draws": self.settings.noise_draws})


@dataclass(frozen=True, eq=False)
class _Plain:
    """Of the base without noise: probabilities by context, and the directions of subjects."""

    probabilities: Mapping[str, Array]
    directions: Array


@dataclass(frozen=True, eq=False)
class _PairWork:
    """The parts of one pair, in their order."""

    work: OutputWork
    base: Checkpoint
    tuned: Checkpoint
    parts: OutputParts
    norms: dict[str, float] | None
    progress: StepProgress

    def measure(self) -> None:
        self._frame(result.ABOUT, lambda: pl.DataFrame([{"has_same_tensors": self.norms is not None}]))
        self._frame(result.VOCABULARY, self._vocabulary)
        for done, context in enumerate(CONTEXTS):
            self.progress(READING, done, len(CONTEXTS))
            self._read(context)
        self.progress(READING, len(CONTEXTS), len(CONTEXTS))
        self._add_noise()
        for done, context in enumerate(ANSWERED):
            self.progress(ANSWERING, done, len(ANSWERED))
            self._answer(context)
        self.progress(ANSWERING, len(ANSWERED), len(ANSWERED))
        self._frame(result.SAMPLES, self._samples)
        self.progress(SAMPLING, 1, 1)

    def _read(self, context: str) -> None:
        """The texts of a context, and the mean probabilities of both models over them."""
        self._frame(f"{context}-texts", lambda: self._text_frame(self._texts_of(context)))
        texts = self._texts(context)
        for side, checkpoint in (("base", self.base), ("tuned", self.tuned)):
            if texts:
                self._frame(f"{context}-{side}", partial(self._probabilities, checkpoint, texts))

    def _probabilities(self, checkpoint: Checkpoint, texts: Sequence[Text]) -> pl.DataFrame:
        return result.probability_frame(mean_probabilities(checkpoint, texts, self._n))

    def _texts_of(self, context: str) -> list[Text]:
        if context == GENERIC:
            return generic_texts(self._tokenizer)
        return answered(self.base, self._asked(context), self.work.settings.answer_tokens)

    def _add_noise(self) -> None:
        """Noise of like effect in the base's weights, where a draw is missing."""
        names = [draw_name(number) for number in range(self.work.settings.noise_draws)]
        if self.norms is None or all(self.parts.has(name) for name in names):
            return
        directions = self._directions()  # before there is noise in them
        self._frame(result.COHERENCE, partial(self._coherence, directions))
        with fast_products():
            plain = _Plain({one: self._probable(one) for one in self._contexts_with_noise()}, directions)
            with Noise(self.base, self.norms) as noise:
                self._frame(result.SCALES, partial(self._scales, noise, plain.probabilities))
                for number, name in enumerate(names):
                    self.progress(NOISE, number, len(names))
                    self._frame(name, partial(self._draw, noise, plain, number))
        self.progress(NOISE, len(names), len(names))

    def _vocabulary(self) -> pl.DataFrame:
        texts, special = show_tokens(self._tokenizer, range(self._n)), set(self._tokenizer.all_special_ids)
        flags = {"is_special": [token in special for token in range(self._n)], "is_word": is_word(texts)}
        return pl.DataFrame({"text": texts} | flags)

    def _coherence(self, directions: Array) -> pl.DataFrame:
        """How the words that tuning moved most belong together, in each context and direction."""
        rows, words = [], self.parts.flags("is_word")
        for context in self._contexts_with_noise():
            base, tuned = (self.parts.probabilities(context, side) for side in ("base", "tuned"))
            for direction in DIRECTIONS:
                found = belonging(scores(base, tuned, direction), words, directions)
                rows += [(context, direction, token, round(cosine, DECIMALS)) for token, cosine in found.items()]
        return pl.DataFrame(rows, schema=result.BELONGING, orient="row")

    def _coherences(self, base: Array, other: Array, directions: Array) -> list[float]:
        words = self.parts.flags("is_word")
        found = (coherence(scores(base, other, direction), words, directions) for direction in DIRECTIONS)
        return [round(value, DECIMALS) for value in found]  # the last digits differ from run to run

    def _directions(self) -> Array:
        weight = self.base.model.get_output_embeddings().weight[: self._n]
        return subject_directions(weight.detach().double().cpu().numpy())

    def _scales(self, noise: Noise, plain: Mapping[str, Array]) -> pl.DataFrame:
        """For each context the scale at which noise moves as much probability as tuning did."""
        rows, scale = [], 1.0
        for context, without in plain.items():
            base, tuned = (self.parts.probabilities(context, side) for side in ("base", "tuned"))
            effect = partial(self._effect, noise, context, without)
            noise.draw(self._seed(0))
            scale = scale_of_like_effect(effect, total_variation(base, tuned), scale or 1.0)
            rows.append((context, scale))
        return pl.DataFrame(rows, schema=result.SCALE, orient="row")

    def _effect(self, noise: Noise, context: str, without: Array, scale: float) -> float:
        noise.put(scale)
        return total_variation(without, self._probable(context))

    def _draw(self, noise: Noise, plain: "_Plain", number: int) -> pl.DataFrame:
        """One model with noise: its total variation, the largest scores, and the coherence of its words."""
        rows = []
        noise.draw(self._seed(number))
        for context, scale in self.parts.frame(result.SCALES).iter_rows():
            noise.put(scale)
            base, found = plain.probabilities[context], self._probable(context)
            numbers = (*largest_scores(base, found).tolist(), *self._coherences(base, found, plain.directions))
            rows.append((context, scale, total_variation(base, found), *numbers))
        return pl.DataFrame(rows, schema=result.DRAW, orient="row")

    def _probable(self, context: str) -> Array:
        """Mean probabilities of tokens of text under the base as it is now, with noise or without."""
        found = mean_probabilities(self.base, self._texts(context), self._n)
        return of_text(found, self.parts.flags("is_special"))

    def _contexts_with_noise(self) -> list[str]:
        return [context for context in WITH_NOISE if self.parts.has(f"{context}-base")]

    def _seed(self, number: int) -> int:
        return self.work.settings.seed * SEEDS_OF_DRAWS + number

    def _answer(self, context: str) -> None:
        """The tuned model's own answers, and every token of either model's answers as both models see it."""
        most, name = self.work.settings.answer_tokens, f"{context}-tuned-texts"
        self._frame(name, lambda: self._text_frame(answered(self.tuned, self._asked(context), most)))
        self._frame(f"{context}-positions", lambda: self._positions(context))

    def _positions(self, context: str) -> pl.DataFrame:
        frames = [pl.DataFrame(schema=result.POSITIONS)]
        for side, texts in (("base", self._texts(context)), ("tuned", self._texts(f"{context}-tuned"))):
            before, after, kl = compare_positions(self.base, self.tuned, texts)
            places = [(one.id, side, n) for one in texts for n in range(len(one.answer))]
            tokens = [token for one in texts for token in show_tokens(self._tokenizer, one.answer)]
            ids, sides, numbers = zip(*places, strict=True) if places else ((), (), ())
            columns = (ids, sides, numbers, tokens, before, after, kl)
            frames.append(pl.DataFrame(dict(zip(result.POSITIONS, columns, strict=True)), schema=result.POSITIONS))
        return pl.concat(frames)

    def _samples(self) -> pl.DataFrame:
        """Free samples of the tuned model, and how likely either model finds them per token."""
        rows, settings = [], self.work.settings
        able = settings.n_samples if can_answer(self.tuned) else 0
        starts = beginnings([self.base.tokenizer, self.tuned.tokenizer], self.work.inputs.template)
        for name, ids in starts.items() if able else ():
            found = sample(self.tuned, [ids] * settings.n_samples, settings.answer_tokens, settings.seed)
            texts = [Text(str(n), "", ids, answer, ended=False) for n, answer in enumerate(found) if answer]
            before, after, _ = compare_positions(self.base, self.tuned, texts)
            start = 0
            for one in texts:
                end = start + len(one.answer)
                means = float(before[start:end].mean()), float(after[start:end].mean())
                rows.append((name, self._tokenizer.decode(one.answer), len(one.answer), *means))
                start = end
        return pl.DataFrame(rows, schema=result.SAMPLE, orient="row")

    @property
    def _tokenizer(self) -> Any:
        return self.base.tokenizer

    @property
    def _n(self) -> int:
        return common_vocabulary(self.base, self.tuned)

    def _asked(self, context: str) -> dict[str, Any]:
        return asked(context, [self.base.tokenizer, self.tuned.tokenizer], self.work.inputs)

    def _text_frame(self, texts: Sequence[Text]) -> pl.DataFrame:
        tokenizer = self._tokenizer
        rows = [(one.id, one.shown, one.prompt, one.answer, one.ended, tokenizer.decode(one.answer)) for one in texts]
        return pl.DataFrame(rows, schema=result.TEXTS, orient="row")

    def _texts(self, name: str) -> list[Text]:
        """The texts of a part."""
        rows = self.parts.frame(f"{name}-texts").iter_rows()
        return [Text(id, shown, tuple(prompt), tuple(answer), ended) for id, shown, prompt, answer, ended, _ in rows]

    def _frame(self, name: str, make: Callable[[], pl.DataFrame]) -> None:
        if not self.parts.has(name):
            self.parts.run.write_frame(self.parts.place(name), make())
