"""Which word pairs does each attention head connect?  (Paper 5.1 and appendix F.)

`read_heads` reads a model into memory; `HeadWork` reads it into a run folder, a layer at a time, and goes on where it
was interrupted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import polars as pl

from aftertune.errors import RunError, WordError
from aftertune.explainers.explainer import Work
from aftertune.explainers.heads.cooccurrence import Lexicon
from aftertune.explainers.heads.cost import STEP, remaining, remaining_noise
from aftertune.explainers.heads.layer import read_layer
from aftertune.explainers.heads.noise import NoisyHeads
from aftertune.explainers.heads.result import (
    HEADS,
    NOISE_PARTS,
    NOISE_SHOWN,
    HeadReading,
    OfWords,
    join_layers,
    noise_role,
    without_noise,
)
from aftertune.explainers.heads.settings import HeadSettings
from aftertune.explainers.heads.verbs import INSTRUCTION_VERBS, VERBS_NAME, among, lowered, must_form_pairs
from aftertune.models.cost import Remaining
from aftertune.models.loaded import Checkpoint
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.models.vocabulary import WordEmbeddings
from aftertune.models.weight_noise import change_norms
from aftertune.models.weights import attending, attention_shape, shape_of
from aftertune.runs.records import identity_of
from aftertune.runs.reuse import Reusable
from aftertune.runs.roles import MODEL, Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress, silent, told_of_all
from aftertune.words import Words, WordSource, load_vectors, load_words

LEAST_WORDS = 2
JOINED = ", and "  # before what joined a vocabulary, in its source


def read_heads(
    model: Checkpoint,
    words: WordSource = None,
    vectors: Any = None,
    settings: HeadSettings | None = None,
    *,
    progress: StepProgress = silent,
) -> HeadReading:
    """Read every attention head of a model as word pairs (section 5.1).

    ``words`` and ``vectors`` are what `aftertune.load_words` and `aftertune.load_vectors` return or take, by default
    those of ``settings``, which say what is read. ``progress(step, done, total)`` is called after each layer. The model
    is left as it was.

    Raises `WordError` for words or vectors that can't be used, `AttributionError` for layers that are not there.
    """
    lexicon = make_lexicon(words, vectors, settings)
    layers = attending(model, lexicon.settings.chosen_layers(attention_shape(model).n_layers))
    embeddings, found = WordEmbeddings(model, lexicon.words.words), []
    for done, layer in enumerate(layers):
        progress(HEADS.kind, done, len(layers))
        found.append(read_layer(model, layer, lexicon, embeddings))
    progress(HEADS.kind, len(layers), len(layers))
    return HeadReading(
        words=lexicon.words.words,
        has_vector=lexicon.co_occurrence.has_vector,
        settings=settings_of_parts(lexicon),
        **_about(model, layers),
        **join_layers(found),
    )


def make_lexicon(words: WordSource, vectors: Any, settings: HeadSettings | None = None) -> Lexicon:
    """Words, vectors and settings made ready for any number of models; None stands for those of the settings.

    Raises `WordError` for those that can't be used.
    """
    settings = settings or HeadSettings()
    given = settings.words if words is None else words
    loaded = load_words(given)
    if given is None:  # a list of one's own is taken to the word
        loaded = loaded.with_words(INSTRUCTION_VERBS, VERBS_NAME).with_words(
            settings.chosen_verbs[0] or (), "asked about"
        )
    lexicon = Lexicon(loaded, load_vectors(settings.vectors if vectors is None else vectors, loaded), settings)
    _must_cover(lexicon)
    return lexicon


@dataclass(frozen=True, eq=False)
class HeadWork(Work):
    """The heads of any number of models, to be read into a run with one lexicon."""

    lexicon: Lexicon
    saved_settings = HEADS.settings
    is_shared = True
    reusable = (Reusable((*HEADS.places("{role}"), *NOISE_PARTS.places("{base}-{tuned}-[0-9][0-9][0-9]"))),)

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        return settings_of_parts(self.lexicon)

    @classmethod
    def of(cls, settings: HeadSettings) -> "HeadWork":
        """What the settings ask for; raises `WordError` for words, vectors and verbs that can't be used."""
        lexicon, (verbs, _) = make_lexicon(None, None, settings), settings.chosen_verbs
        must_form_pairs(verbs, lexicon.words.words, lexicon.co_occurrence.has_vector)
        return cls(lexicon)

    def must_fit(self, configs: Sequence[Any], run: RunFolder) -> None:
        """Raise `AttributionError` for layers that are not there, `RunError` for a run of heads read otherwise."""
        for config in configs:
            if config is not None:
                self.lexicon.settings.chosen_layers(shape_of(config).n_layers)
        self._must_have_these_words(run)
        HEADS.must_agree(run, settings_of_parts(self.lexicon))

    def _must_have_these_words(self, run: RunFolder) -> None:
        """Raise `RunError` where other words that were asked about have joined the default vocabulary of a run."""
        held = identity_of(run, HEADS.settings, OfWords)["words"] if run.exists(HEADS.settings) else None
        own = about_words(self.lexicon.words)
        if held is None or held["source"] == own["source"]:
            return  # if they are other words all the same, the settings differ, which the claim says
        if held["source"].split(JOINED)[0] != own["source"].split(JOINED)[0]:
            return
        raise RunError(
            f"The heads in {run.address} were read with {held['source']}; now it would be {own['source']}, since words "
            "that are asked about join the vocabulary when heads are read. Ask about others of those that are there "
            f"(aftertune report {run.address} --verbs FILE), or give another folder."
        )

    def chosen(self) -> Sequence[tuple[str, str]]:
        """The vocabulary, whose vectors, and which layers."""
        words, vectors, layers = self.lexicon.words, self.lexicon.vectors, self.lexicon.settings.layers
        share = self.lexicon.co_occurrence.has_vector.mean()
        verbs, name = self.lexicon.settings.chosen_verbs
        asked = lowered(verbs or ())
        lacking = sorted(set(asked) - set(among(asked, lowered(words.words))))
        missing = [("asked about", f"{name}, without {', '.join(lacking)}: add them to --words")] if lacking else []
        return (
            *missing,
            ("words", f"{len(words):,} of {words.source}"),
            ("vectors", f"{vectors.source}; {share:.0%} of the words have one"),
            ("heads", f"layers {layers}" if layers else "all layers"),
        )

    def remaining(self, run: RunFolder, role: str, size: ModelSize, machine: Machine) -> Remaining:
        """The layers that are not read yet."""
        return remaining(self.lexicon, run, role, size, machine)

    def is_measured(self, run: RunFolder, role: str) -> bool:
        """Whether the words and all layers lie in the run."""
        return HEADS.are_measured(run, role, self.lexicon.settings)

    def measure(self, checkpoint: Checkpoint, role: str, run: RunFolder, progress: StepProgress) -> None:
        """Read the layers that are not there yet.

        Raises `AttributionError` for layers that the model lacks, and `RunError` if the folder holds heads that were
        read otherwise, or a part can't be written.
        """
        lexicon = self.lexicon
        n_layers = attention_shape(checkpoint).n_layers
        layers, able = (
            attending(checkpoint, some) for some in (lexicon.settings.chosen_layers(n_layers), range(n_layers))
        )
        run.claim(HEADS.settings, settings_of_parts(lexicon), {})
        if not run.exists(*HEADS.words):
            has_vector = lexicon.co_occurrence.has_vector
            run.write_frame(HEADS.words, pl.DataFrame({"word": lexicon.spelled, "has_vector": has_vector}))
        if len(able) < n_layers:
            HEADS.restrict(run, role, able)
        HEADS.remember(run, role, _about(checkpoint, layers))
        embeddings = cache(lambda: WordEmbeddings(checkpoint, lexicon.words.words))  # only for who has a layer to read
        HEADS.fill(run, role, layers, lambda layer: read_layer(checkpoint, layer, lexicon, embeddings()), progress)

    def remaining_pair(self, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:
        """The noise of the size of the change that is not read yet."""
        return remaining_noise(self.lexicon, run, pair, size, machine)

    def is_pair_measured(self, run: RunFolder, pair: Pair) -> bool:
        """Whether all draws of noise lie in the run, or none can be drawn."""
        if not self.lexicon.settings.noise_models or run.exists(without_noise(pair)):
            return True
        layers = HEADS.layers_of(run, pair.base, self.lexicon.settings)
        return bool(layers) and not self._missing(run, pair, layers)

    def measure_pair(
        self, base: Checkpoint, tuned: Checkpoint, pair: Pair, run: RunFolder, progress: StepProgress
    ) -> None:
        """Read the base with noise of the size of the change, the layers that are not there yet.

        Nothing is read where no weight changed, or the models have not the same tensors.
        """
        norms, layers = change_norms(base, tuned), HEADS.layers_of(run, pair.base, self.lexicon.settings)
        if norms is None or not any(norms.values()):
            run.remember(without_noise(pair), {"has_same_tensors": norms is not None})
            return
        noisy = NoisyHeads(base, tuned, pair, self.lexicon, norms, run, layers)
        n_draws = self.lexicon.settings.noise_models
        for draw in range(n_draws):
            noisy.fill(draw, told_of_all(partial(progress, STEP), draw, n_draws))

    def _missing(self, run: RunFolder, pair: Pair, layers: Sequence[int]) -> list[int]:
        draws, is_there = range(self.lexicon.settings.noise_models), partial(NOISE_PARTS.is_written, run)
        return [n for n in draws if not all(is_there(noise_role(pair, n), layer) for layer in layers)]

    def finish(self, run: RunFolder, role: str) -> None:
        """Let the run show the layers and draws of noise that were asked for this time."""
        HEADS.show(run, role, self.lexicon.settings)
        if role != MODEL:
            run.remember(NOISE_SHOWN, {"noise_models": self.lexicon.settings.noise_models})


def settings_of_parts(lexicon: Lexicon) -> dict[str, Any]:
    """What must be the same for two readings to be compared, and for a run to go on."""
    words, vectors = lexicon.words, lexicon.vectors
    numbers = {name: value for name, value in lexicon.settings.of("parts").items() if name not in ("words", "vectors")}
    return {
        "words": about_words(words),
        "vectors": {"source": vectors.source, "sha256": vectors.digest},
        "plan": numbers,
    }


def about_words(words: Words) -> dict[str, Any]:
    """What says that two vocabularies are the same."""
    return {"source": words.source, "n": len(words), "sha256": words.digest}


def _must_cover(lexicon: Lexicon) -> None:
    """Raise `WordError` if too few words have a vector: a word without one forms no pair."""
    words, vectors, least = lexicon.words, lexicon.vectors, lexicon.settings.min_coverage
    able = [word for word, row in zip(words.words, vectors.rows_of(words.words), strict=True) if row >= 0]
    n_with, n_types = len(able), len({word.lower() for word in able})
    if n_types < LEAST_WORDS or n_with < least * len(words):
        needed = f"{least:.0%} of them" if n_types >= LEAST_WORDS else f"{LEAST_WORDS} that differ"
        raise WordError(
            f"{n_with:,} of the {len(words):,} words of {words.source} have a vector in {vectors.source}; {needed} "
            "must. Give vectors of more of the words, other words, or a lower minimal coverage."
        )


def _about(checkpoint: Checkpoint, layers: tuple[int, ...]) -> dict[str, Any]:
    shape = attention_shape(checkpoint)
    about = {"model": checkpoint.provenance.name, "layers": layers, "n_layers": shape.n_layers}
    return about | {"n_heads": shape.n_heads, "d_head": shape.d_head}
