"""Analyses of weights alone, read layer by layer into a run: attention heads, and concepts of feed-forward layers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aftertune.explainers.concepts.measure import concept_settings, measure_concepts
from aftertune.explainers.concepts.parts import CONCEPTS, are_measured
from aftertune.explainers.concepts.settings import ConceptStudy
from aftertune.explainers.heads.layer import Lexicon
from aftertune.explainers.heads.measure import head_settings, make_lexicon, measure_heads
from aftertune.explainers.heads.parts import HEADS
from aftertune.explainers.heads.settings import HeadStudy
from aftertune.models.checkpoint import Checkpoint
from aftertune.runs.layer_parts import LayerPlan
from aftertune.runs.run import RunFolder
from aftertune.words import load_words

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Layerwise:
    """One such analysis, made ready for any number of models.

    ``must_agree(run)`` raises `RunError` if the run holds the same analysis made otherwise; ``is_measured(run, role)``
    says whether all of it lies there; ``measure(checkpoint, role, run, progress)`` adds what does not;
    ``show_layers(run, role)`` lets the run show the layers that were asked for.
    """

    plan: LayerPlan
    must_agree: Callable[[RunFolder], None]
    is_measured: Callable[[RunFolder, str], bool]
    measure: Callable[[Checkpoint, str, RunFolder, Progress], None]
    show_layers: Callable[[RunFolder, str], None]


def make_lexicon_of(study: HeadStudy | None) -> Lexicon:
    """Words, vectors and plan of a study; raises `WordError` if they can't be used."""
    asked = study or HeadStudy()
    return make_lexicon(asked.words, asked.vectors, asked.plan)


def read_heads_of(lexicon: Lexicon) -> Layerwise:
    """Attention heads as word pairs (section 5.1)."""
    plan = lexicon.plan
    return Layerwise(
        plan=plan,
        must_agree=partial(HEADS.must_agree, settings=head_settings(lexicon)),
        is_measured=partial(HEADS.are_measured, plan=plan),
        measure=lambda checkpoint, role, run, progress: measure_heads(checkpoint, role, lexicon, run, progress),
        show_layers=partial(HEADS.show, plan=plan),
    )


def read_concepts_of(study: ConceptStudy | None) -> Layerwise:
    """Feed-forward layers as directions with words (section 5.2); raises `WordError` if the words can't be used."""
    asked = study or ConceptStudy()
    words, plan = load_words(asked.words), asked.plan
    return Layerwise(
        plan=plan,
        must_agree=partial(CONCEPTS.must_agree, settings=concept_settings(words, plan)),
        is_measured=partial(are_measured, plan=plan),
        measure=lambda checkpoint, role, run, progress: measure_concepts(checkpoint, role, words, plan, run, progress),
        show_layers=partial(CONCEPTS.show, plan=plan),
    )
