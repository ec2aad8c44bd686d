"""Which concepts do the feed-forward layers write?  (Paper 5.2, appendices D and E.)

`read_concepts` reads a model into memory; `ConceptWork` reads it into a run folder, a layer at a time, and goes on
where it was interrupted.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import polars as pl

from aftertune.explainers.concepts.cost import NOISE_STEP, remaining, remaining_pair
from aftertune.explainers.concepts.layer import nearest_by_chance, read_layer
from aftertune.explainers.concepts.pair_parts import (
    NOISE_PARTS,
    NOISE_SHOWN,
    is_change_of,
    noise_role,
    without_noise,
    write_change,
)
from aftertune.explainers.concepts.result import (
    CONCEPTS,
    ConceptReading,
    chance_part,
    has_chance,
    reading_of,
    write_chance,
)
from aftertune.explainers.concepts.settings import ConceptSettings
from aftertune.explainers.concepts.weight_change import ChangedWeights
from aftertune.explainers.explainer import Work
from aftertune.models.cost import Remaining
from aftertune.models.loaded import Checkpoint
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.models.vocabulary import WordEmbeddings
from aftertune.models.weight_noise import WeightNoise, change_norms
from aftertune.models.weights import attention_shape, shape_of
from aftertune.runs.reuse import Reusable
from aftertune.runs.roles import MODEL, Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress, silent, told_of_all
from aftertune.runs.turns import Tell
from aftertune.words import Words, WordSource, load_words


def read_concepts(
    model: Checkpoint,
    words: WordSource = None,
    n_components: int = 300,
    n_words: int = 15,
    *,
    layers: str | None = None,
    progress: StepProgress = silent,
) -> ConceptReading:
    """Read every feed-forward layer of a model as components with words (paper 5.2).

    The components are the ``n_components`` first principal components of the down projection's rows; each gets the
    ``n_words`` words whose output embeddings have the largest |cosine| with it. ``words`` is what
    `aftertune.load_words` returns or takes, by default the most frequent English words; ``layers`` is "0-7" or
    "0,4,8-11", by default all. ``progress(step, done, total)`` is called after each layer. The model is left as it was.

    Raises `WordError` for words that can't be used, `AttributionError` for numbers and layers that can't be.
    """
    settings = ConceptSettings(words=words, n_components=n_components, n_words=n_words, layers=layers)
    vocabulary, chosen = load_words(words), settings.chosen_layers(attention_shape(model).n_layers)
    embeddings = _embeddings(model, vocabulary)
    read, found = _reader(model, vocabulary, settings, lambda: embeddings), []
    for done, layer in enumerate(chosen):
        progress(CONCEPTS.kind, done, len(chosen))
        found.append(read(layer))
    progress(CONCEPTS.kind, len(chosen), len(chosen))
    known = {"words": vocabulary.words, "settings": what_parts_depend_on(vocabulary, settings)} | _about(model, chosen)
    return reading_of(found, nearest_by_chance(model, embeddings), **known)


@dataclass(frozen=True)
class ConceptWork(Work):
    """The feed-forward layers of any number of models, to be read with the same ``settings`` and ``words``."""

    settings: ConceptSettings
    words: Words
    saved_settings = CONCEPTS.settings
    is_shared = True
    reusable = (
        Reusable(
            (
                *CONCEPTS.places("{role}"),
                "concepts/chance/{role}/*",
                *NOISE_PARTS.places("{base}-{tuned}-[0-9][0-9][0-9]"),
                "change-concepts/{base}-{tuned}/*",
                "change-concepts-{base}-{tuned}.json",
            )
        ),
    )

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        return what_parts_depend_on(self.words, self.settings)

    def must_fit(self, configs: Sequence[Any], run: RunFolder) -> None:
        """Raise `AttributionError` for layers that a model lacks, `RunError` for concepts that were read otherwise."""
        for config in configs:
            if config is not None:
                self.settings.chosen_layers(shape_of(config).n_layers)
        CONCEPTS.must_agree(run, what_parts_depend_on(self.words, self.settings))

    def chosen(self) -> Sequence[tuple[str, str]]:
        """The words, and what is read."""
        layers, n_components = self.settings.layers or "all", self.settings.n_components
        return [
            ("words", f"{len(self.words):,} of {self.words.source}"),
            ("concepts", f"{layers} layers, {n_components} components of each"),
        ]

    def remaining(self, run: RunFolder, role: str, size: ModelSize, machine: Machine) -> Remaining:
        """The layers of the model of a role that are not read yet."""
        del machine
        return remaining(self.settings, len(self.words), run, role, size)

    def is_measured(self, run: RunFolder, role: str) -> bool:
        """Whether the words, all layers asked for and the random directions lie in the run."""
        return CONCEPTS.are_measured(run, role, self.settings) and has_chance(run, role)

    def measure(self, checkpoint: Checkpoint, role: str, run: RunFolder, progress: StepProgress) -> None:
        """Read a model's concepts into a run folder under ``role``, the layers that are not there yet.

        Raises `AttributionError` for layers that are not there, and `RunError` if the folder holds concepts that were
        read otherwise, or a part can't be written.
        """
        layers = self.settings.chosen_layers(attention_shape(checkpoint).n_layers)
        run.claim(CONCEPTS.settings, what_parts_depend_on(self.words, self.settings), {})
        if not run.exists(*CONCEPTS.words):
            run.write_frame(CONCEPTS.words, pl.DataFrame({"word": self.words.words}))
        CONCEPTS.remember(run, role, _about(checkpoint, layers))
        embeddings = cache(lambda: _embeddings(checkpoint, self.words))  # only for who has something to read
        for part in run.missing([chance_part(role)], lambda part: [part], wait=False):
            write_chance(run, part, nearest_by_chance(checkpoint, embeddings()))
        CONCEPTS.fill(run, role, layers, _reader(checkpoint, self.words, self.settings, embeddings), progress)

    def remaining_pair(self, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:
        """The change of weights and the noise of its size, as far as they are not read yet."""
        del machine
        return remaining_pair(self.settings, len(self.words), run, pair, size)

    def is_pair_measured(self, run: RunFolder, pair: Pair) -> bool:
        """Whether what the change writes and reads, and all draws of noise that can be drawn, lie in the run."""
        layers = CONCEPTS.layers_of(run, pair.base, self.settings)
        return bool(layers) and is_change_of(run, pair, layers) and not self._missing(run, pair, layers)

    def measure_pair(
        self, base: Checkpoint, tuned: Checkpoint, pair: Pair, run: RunFolder, progress: StepProgress
    ) -> None:
        """Read what the change of weights writes and reads, and the base with noise of its size; what is not there yet.

        Both models are left as they were. Raises `RunError` if a part can't be written.
        """
        layers = CONCEPTS.layers_of(run, pair.base, self.settings)
        if not is_change_of(run, pair, layers) and run.turns.is_mine(f"change-concepts/{'-'.join(pair)}"):
            write_change(run, pair, layers, ChangedWeights(base, tuned, layers).frames(progress))
        n_draws = 0 if run.exists(without_noise(pair)) else self.settings.noise_models
        norms = change_norms(base, tuned) if n_draws else None
        if n_draws and (norms is None or not any(norms.values())):
            run.remember(without_noise(pair), {"has_same_tensors": norms is not None})
            return
        for draw in range(n_draws):
            assert norms is not None
            noise, role = WeightNoise(base, norms, draw), noise_role(pair, draw)
            self._read_noise(noise, base, role, run, layers, told_of_all(partial(progress, NOISE_STEP), draw, n_draws))

    def _read_noise(
        self,
        noise: WeightNoise,
        base: Checkpoint,
        role: str,
        run: RunFolder,
        layers: Sequence[int],
        tell: Tell,
    ) -> None:
        with ExitStack() as stack:  # noise is put in by who has a layer to read

            @cache
            def embeddings() -> WordEmbeddings:
                stack.enter_context(noise.outside_layers())
                return _embeddings(base, self.words)

            read = _reader(base, self.words, self.settings, embeddings)

            def noisy(layer: int) -> dict[str, pl.DataFrame]:
                embeddings()
                with noise.in_layer(layer):
                    return read(layer)

            NOISE_PARTS.fill(run, role, layers, noisy, lambda _, done, total: tell(done, total))

    def _missing(self, run: RunFolder, pair: Pair, layers: Sequence[int]) -> list[int]:
        if run.exists(without_noise(pair)):
            return []
        draws, is_there = range(self.settings.noise_models), partial(NOISE_PARTS.is_written, run)
        return [n for n in draws if not all(is_there(noise_role(pair, n), layer) for layer in layers)]

    def finish(self, run: RunFolder, role: str) -> None:
        """Let the run show the layers and draws of noise that were asked for this time."""
        CONCEPTS.show(run, role, self.settings)
        if role != MODEL:
            run.remember(NOISE_SHOWN, {"noise_models": self.settings.noise_models})


def what_parts_depend_on(words: Words, settings: ConceptSettings) -> dict[str, Any]:
    """What must be the same for two readings to be compared, and for a run to go on; layers may be more."""
    source = {"source": words.source, "n": len(words), "sha256": words.digest}
    return settings.of("parts") | {"words": source}


def _embeddings(checkpoint: Checkpoint, words: Words) -> WordEmbeddings:
    return WordEmbeddings(checkpoint, words.words, "output", unit=True)


def _reader(
    checkpoint: Checkpoint, words: Words, settings: ConceptSettings, embeddings: Callable[[], WordEmbeddings]
) -> Callable[[int], dict[str, pl.DataFrame]]:
    spelled = pl.Series(words.words, dtype=pl.String)
    return lambda layer: read_layer(checkpoint, layer, settings, spelled, embeddings())


def _about(checkpoint: Checkpoint, layers: tuple[int, ...]) -> dict[str, Any]:
    n_layers, d_model = attention_shape(checkpoint).n_layers, checkpoint.model.config.hidden_size
    return {"model": checkpoint.provenance.name, "layers": layers, "n_layers": n_layers, "d_model": d_model}
