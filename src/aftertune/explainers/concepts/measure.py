"""Which concepts do the feed-forward layers write?  (Paper 5.2, appendices D and E; METHOD 3.)

`read_concepts` reads a model into memory; `measure_concepts` reads it into a run folder, a layer at a time, and goes
on where it was interrupted.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import polars as pl

from aftertune.explainers.concepts.layer import read_layer
from aftertune.explainers.concepts.parts import CONCEPTS, has_chance, reading_of, write_chance
from aftertune.explainers.concepts.random_directions import nearest_by_chance
from aftertune.explainers.concepts.result import ConceptReading
from aftertune.explainers.concepts.settings import ConceptPlan
from aftertune.models.checkpoint import Checkpoint
from aftertune.models.vocabulary import WordEmbeddings
from aftertune.models.weights import attention_shape
from aftertune.runs.run import RunFolder
from aftertune.words import Words, WordSource, load_words

Progress = Callable[[str, float, float], None]


def read_concepts(
    model: Checkpoint,
    words: WordSource = None,
    n_components: int = 300,
    n_words: int = 15,
    *,
    layers: str | None = None,
    progress: Progress | None = None,
) -> ConceptReading:
    """Read every feed-forward layer of a model as directions with words (section 5.2, METHOD 3).

    The directions are the ``n_components`` first principal components of the down projection's rows; each gets the
    ``n_words`` words whose output embeddings have the largest |cosine| with it. ``words`` is what
    `aftertune.load_words` returns or takes, by default the most frequent English words; ``layers`` is "0-7" or
    "0,4,8-11", by default all. ``progress(what, done, total)`` is called after each layer. The model is left as it was.

    Raises `WordError` for words that can't be used, `AttributionError` for numbers and layers that can't be.
    """
    plan, vocabulary = ConceptPlan(n_components, n_words, layers), load_words(words)
    chosen = plan.chosen_layers(attention_shape(model).n_layers)
    embeddings, tell = _embeddings(model, vocabulary), progress or (lambda *_: None)
    read, found = _reader(model, vocabulary, plan, embeddings), []
    for done, layer in enumerate(chosen):
        tell("concepts", done, len(chosen))
        found.append(read(layer))
    tell("concepts", len(chosen), len(chosen))
    known = {"words": vocabulary.words, "settings": concept_settings(vocabulary, plan)} | _about(model, chosen)
    return reading_of(found, nearest_by_chance(model, embeddings), **known)


def measure_concepts(
    checkpoint: Checkpoint, role: str, words: Words, plan: ConceptPlan, run: RunFolder, progress: Progress
) -> None:
    """Read a model's concepts into a run folder under ``role``, the layers that are not there yet.

    Raises `AttributionError` for layers that are not there, and `RunError` if the folder holds concepts that were read
    otherwise, or a part can't be written.
    """
    layers = plan.chosen_layers(attention_shape(checkpoint).n_layers)
    run.claim(CONCEPTS.settings, concept_settings(words, plan), {})
    if not run.exists(*CONCEPTS.words):
        run.write_frame(CONCEPTS.words, pl.DataFrame({"word": words.words}))
    CONCEPTS.remember(run, role, _about(checkpoint, layers))
    embeddings = _embeddings(checkpoint, words)
    if not has_chance(run, role):
        write_chance(run, role, nearest_by_chance(checkpoint, embeddings))
    CONCEPTS.fill(run, role, layers, _reader(checkpoint, words, plan, embeddings), progress)


def concept_settings(words: Words, plan: ConceptPlan) -> dict[str, Any]:
    """What must be the same for two readings to be compared, and for a run to go on."""
    numbers = asdict(plan)
    del numbers["layers"]  # a run may go on with more layers
    return {"words": {"source": words.source, "n": len(words), "sha256": words.digest}, "plan": numbers}


def _embeddings(checkpoint: Checkpoint, words: Words) -> WordEmbeddings:
    return WordEmbeddings(checkpoint, words.words, "output", unit=True)


def _reader(
    checkpoint: Checkpoint, words: Words, plan: ConceptPlan, embeddings: WordEmbeddings
) -> Callable[[int], dict[str, pl.DataFrame]]:
    spelled = pl.Series(words.words, dtype=pl.String)
    return lambda layer: read_layer(checkpoint, layer, plan, spelled, embeddings)


def _about(checkpoint: Checkpoint, layers: tuple[int, ...]) -> dict[str, Any]:
    n_layers, d_model = attention_shape(checkpoint).n_layers, checkpoint.model.config.hidden_size
    return {"model": checkpoint.provenance.name, "layers": layers, "n_layers": n_layers, "d_model": d_model}
