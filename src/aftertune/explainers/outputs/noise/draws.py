"""What do draws of noise of like effect do to the probabilities of words?  The parts with noise of one pair.

The base is read with noise in its weights, as `noise` draws it: largest scores and coherence of each draw.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, partial

import polars as pl

from aftertune.explainers.outputs import result
from aftertune.explainers.outputs.coherence import belonging, coherence
from aftertune.explainers.outputs.noise.like_effect import Noise, scale_of_like_effect
from aftertune.explainers.outputs.noise.subjects import subject_directions
from aftertune.explainers.outputs.probabilities import Predictions, mean_predictions
from aftertune.explainers.outputs.result import HALVES, LOG_HALVES, SIDES, WITH_NOISE, Makes, OutputParts, draw_name
from aftertune.explainers.outputs.rises import rise_scores, rises, top_words
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.explainers.outputs.texts import texts_of
from aftertune.explainers.outputs.words import DIRECTIONS, Array, largest_scores, of_text, total_variation
from aftertune.models.loaded import Checkpoint
from aftertune.models.products.digits import are_faster_ones_rougher, fast_products
from aftertune.models.weight_noise import Norms
from aftertune.runs.turns import Tell

SEEDS_OF_DRAWS = 2**20
DECIMALS = 9


@dataclass(frozen=True, eq=False)
class _Plain:
    """Of the base without noise: predictions by context, and the directions of subjects."""

    predictions: Mapping[str, Predictions]
    directions: Array


@dataclass(frozen=True)
class NoiseDraws:
    """The base of a pair with noise of the norms of its change."""

    base: Checkpoint
    norms: Norms
    parts: OutputParts
    settings: OutputSettings
    searched: dict[str, tuple[float, Predictions]] = field(
        default_factory=dict
    )  # by context, of draw 0, the last scale

    def measure(self, progress: Tell) -> None:
        """Noise of like effect in the base's weights, where a draw is missing."""
        names = [draw_name(number) for number in range(self.settings.noise_draws)]
        if not names:
            return
        with ExitStack() as stack:  # noise is put in by who has a draw to make
            noise = Noise(self.base, self.norms)

            directions = cache(self._directions)

            @cache
            def plain() -> _Plain:
                subjects = directions()  # before there is noise in them
                stack.enter_context(fast_products())
                found = _Plain({one: self._without_noise(one) for one in self._contexts_with_noise()}, subjects)
                stack.enter_context(noise)
                return found

            draws = [{name: partial(self._draw, noise, plain, number)} for number, name in enumerate(names)]
            search = {result.SCALES: lambda: self._scales(noise, plain().predictions)} | draws[0]
            coherence: Makes = [{result.COHERENCE: lambda: self._coherence(directions())}]
            self.parts.keep_each([*coherence, search])
            self.parts.keep_each(draws, progress, wait=False)

    def _coherence(self, directions: Array) -> pl.DataFrame:
        """How the words that rose most belong together, in each context and direction."""
        rows: list[tuple[str, str, int, float, float]] = []
        for context in self._contexts_with_noise():
            base, tuned = (self.parts.log_probabilities(context, side) for side in SIDES)
            for direction, (tokens, rise) in self._rose(base, tuned).items():
                found = belonging(tokens, directions)
                rows += [
                    (context, direction, token, round(float(rise[token]), DECIMALS), round(cosine, DECIMALS))
                    for token, cosine in found.items()
                ]
        return pl.DataFrame(rows, schema=result.BELONGING, orient="row")

    def _coherences(self, base: Array, other: Array, directions: Array) -> list[float]:
        found = (coherence(tokens, directions) for tokens, _ in self._rose(base, other).values())
        return [round(value, DECIMALS) for value in found]  # the last digits differ from run to run

    def _rose(self, base: Array, other: Array) -> dict[str, tuple[list[int], Array]]:
        """By direction the words that rose, or fell, most, and the score of each token."""
        found = rises(base, other, self.parts.flags("is_word"))
        texts, scores = self.parts.texts_of_tokens, {one: rise_scores(found, one) for one in DIRECTIONS}
        return {one: (top_words(own, texts), own) for one, own in scores.items()}

    def _directions(self) -> Array:
        weight = self.base.model.get_output_embeddings().weight[: self._n_tokens]
        return subject_directions(weight.detach())

    def _scales(self, noise: Noise, plain: Mapping[str, Predictions]) -> pl.DataFrame:
        """For each context the scale at which noise moves as much probability as tuning did."""
        rows, scale = [], 1.0
        for context, without in plain.items():
            base, tuned = (self.parts.probabilities(context, side) for side in SIDES)
            effect = partial(self._effect, noise, self._of_text(without), context)
            noise.draw(self._seed(0))
            scale = scale_of_like_effect(effect, total_variation(base, tuned), scale or 1.0)
            rows.append((context, scale))
        return pl.DataFrame(rows, schema=result.SCALE, orient="row")

    def _effect(self, noise: Noise, without: Array, context: str, scale: float) -> float:
        noise.put(scale)
        found = self._predicted(context)
        self.searched[context] = scale, found
        return total_variation(without, self._of_text(found))

    def _draw(self, noise: Noise, make_plain: Callable[[], _Plain], number: int) -> pl.DataFrame:
        """One model with noise: its total variation, the largest scores, and the coherence of its words."""
        rows, plain = [], make_plain()
        noise.draw(self._seed(number))
        for context, scale in self.parts.frame(result.SCALES).iter_rows():
            without, other = plain.predictions[context], self._predicted_with(noise, number, context, scale)
            base, found = self._of_text(without), self._of_text(other)
            together = self._coherences(without.log_p, other.log_p, plain.directions)
            rows.append((context, scale, total_variation(base, found), *largest_scores(base, found), *together))
        return pl.DataFrame(rows, schema=result.DRAW, orient="row")

    def _predicted_with(self, noise: Noise, number: int, context: str, scale: float) -> Predictions:
        """What the base predicts with the noise of a draw; the search for the scale has read the first."""
        known = self.searched.get(context) if number == 0 else None
        if known is not None and known[0] == scale:
            return known[1]
        noise.put(scale)
        return self._predicted(context)

    def _without_noise(self, context: str) -> Predictions:
        """What the base predicts, as precisely as with noise: as it was read before, where products are no rougher."""
        if are_faster_ones_rougher(self.base.model.get_output_embeddings().weight):
            return self._predicted(context)
        frame = self.parts.frame(f"{context}-base")
        return Predictions(*(frame.select(halves).to_numpy().T for halves in (HALVES, LOG_HALVES)))

    def _predicted(self, context: str) -> Predictions:
        """What the base as it is now predicts, with noise or without."""
        return mean_predictions(self.base, texts_of(self.parts, context), self._n_tokens)

    def _of_text(self, found: Predictions) -> Array:
        """Mean probabilities of tokens of text."""
        return of_text(found.p, self.parts.flags("is_special"))

    def _contexts_with_noise(self) -> list[str]:
        return [context for context in WITH_NOISE if self.parts.has(f"{context}-base")]

    def _seed(self, number: int) -> int:
        return self.settings.seed * SEEDS_OF_DRAWS + number

    @property
    def _n_tokens(self) -> int:
        return len(self.parts.flags("is_word"))
