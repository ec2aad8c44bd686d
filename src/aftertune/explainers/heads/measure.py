"""Which word pairs does each attention head connect?  (Paper 5.1 and appendix F; METHOD 2.)

`read_heads` reads a model into memory; `measure_heads` reads it into a run folder, a layer at a time, and goes on
where it was interrupted.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import polars as pl

from aftertune.errors import WordError
from aftertune.explainers.heads.layer import Lexicon, read_layer
from aftertune.explainers.heads.parts import HEADS, join_layers
from aftertune.explainers.heads.result import HeadReading
from aftertune.explainers.heads.settings import HeadPlan
from aftertune.models.checkpoint import Checkpoint
from aftertune.models.vocabulary import WordEmbeddings
from aftertune.models.weights import attending, attention_shape
from aftertune.runs.run import RunFolder
from aftertune.words import WordSource, load_vectors, load_words

LEAST_WORDS = 2
Progress = Callable[[str, float, float], None]


def read_heads(
    model: Checkpoint,
    words: WordSource = None,
    vectors: Any = None,
    plan: HeadPlan | None = None,
    *,
    progress: Progress | None = None,
) -> HeadReading:
    """Read every attention head of a model as word pairs (section 5.1, METHOD 2).

    ``words`` and ``vectors`` are what `aftertune.load_words` and `aftertune.load_vectors` return or take, by default
    the most frequent English words and the vectors of an installed spaCy package; ``plan`` says what is read.
    ``progress(what, done, total)`` is called after each layer. The model is left as it was.

    Raises `WordError` for words or vectors that can't be used, `AttributionError` for layers that are not there.
    """
    lexicon = make_lexicon(words, vectors, plan)
    layers = attending(model, lexicon.plan.chosen_layers(attention_shape(model).n_layers))
    embeddings, found, tell = WordEmbeddings(model, lexicon.words.words), [], progress or (lambda *_: None)
    for done, layer in enumerate(layers):
        tell("heads", done, len(layers))
        found.append(read_layer(model, layer, lexicon, embeddings))
    tell("heads", len(layers), len(layers))
    return HeadReading(
        words=lexicon.words.words,
        has_vector=lexicon.co_occurrence.has_vector,
        settings=head_settings(lexicon),
        **_about(model, layers),
        **join_layers(found),
    )


def make_lexicon(words: WordSource, vectors: Any, plan: HeadPlan | None) -> Lexicon:
    """Words, vectors and plan made ready for any number of models; raises what `read_heads` raises for them."""
    loaded = load_words(words)
    lexicon = Lexicon(loaded, load_vectors(vectors, loaded), plan or HeadPlan())
    _must_cover(lexicon)
    return lexicon


def _must_cover(lexicon: Lexicon) -> None:
    """Raise `WordError` if too few words have a vector: a word without one forms no pair."""
    words, vectors, least = lexicon.words, lexicon.vectors, lexicon.plan.min_coverage
    able = [word for word, row in zip(words.words, vectors.rows_of(words.words), strict=True) if row >= 0]
    n_with, n_types = len(able), len({word.lower() for word in able})
    if n_types < LEAST_WORDS or n_with < least * len(words):
        needed = f"{least:.0%} of them" if n_types >= LEAST_WORDS else f"{LEAST_WORDS} that differ"
        raise WordError(
            f"{n_with:,} of the {len(words):,} words of {words.source} have a vector in {vectors.source}; {needed} "
            "must. Give vectors of more of the words, other words, or a lower minimal coverage (--min-coverage)."
        )


def measure_heads(checkpoint: Checkpoint, role: str, lexicon: Lexicon, run: RunFolder, progress: Progress) -> None:
    """Read a model's heads into a run folder under ``role``, the layers that are not there yet.

    Raises `AttributionError` for layers that are not there, and `RunError` if the folder holds heads that were read
    otherwise, or of a model with other layers and heads, or a part can't be written.
    """
    layers = attending(checkpoint, lexicon.plan.chosen_layers(attention_shape(checkpoint).n_layers))
    run.claim(HEADS.settings, head_settings(lexicon), {})
    if not run.exists(*HEADS.words):
        has_vector = lexicon.co_occurrence.has_vector
        run.write_frame(HEADS.words, pl.DataFrame({"word": lexicon.spelled, "has_vector": has_vector}))
    HEADS.remember(run, role, _about(checkpoint, layers))
    embeddings = WordEmbeddings(checkpoint, lexicon.words.words)
    HEADS.fill(run, role, layers, lambda layer: read_layer(checkpoint, layer, lexicon, embeddings), progress)


def head_settings(lexicon: Lexicon) -> dict[str, Any]:
    """What must be the same for two readings to be compared, and for a run to go on."""
    words, vectors, plan = lexicon.words, lexicon.vectors, asdict(lexicon.plan)
    del plan["layers"], plan["min_coverage"]  # a run may go on with more layers; coverage is asked before
    return {
        "words": {"source": words.source, "n": len(words), "sha256": words.digest},
        "vectors": {"source": vectors.source, "sha256": vectors.digest},
        "plan": plan,
    }


def _about(checkpoint: Checkpoint, layers: tuple[int, ...]) -> dict[str, Any]:
    shape = attention_shape(checkpoint)
    about = {"model": checkpoint.provenance.name, "layers": layers, "n_layers": shape.n_layers}
    return about | {"n_heads": shape.n_heads, "d_head": shape.d_head}
