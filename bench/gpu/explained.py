"""Outputs, location, heads and concepts of the pair, by the works that a study runs, into a run folder of its own."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aftertune.explainers.concepts.measure import ConceptWork
from aftertune.explainers.concepts.settings import ConceptSettings
from aftertune.explainers.explainer import Inputs, Work
from aftertune.explainers.heads.measure import HeadWork, make_lexicon
from aftertune.explainers.heads.settings import HeadSettings
from aftertune.explainers.location.measure import LocationWork
from aftertune.explainers.location.settings import LocationSettings
from aftertune.explainers.outputs.measure import OutputWork
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.prompts.prompt import Prompt
from aftertune.runs import roles
from aftertune.runs.run import RunFolder
from aftertune.study.rows import read_rows
from aftertune.words import Words, load_words
from bench.gpu.clock import Steps, peak_gib, seconds
from bench.gpu.kept import Kept
from bench.gpu.shapes import Pair, Shape

OF_PAIR = roles.Pair("base", "tuned")
D_VECTOR, N_LIKE = 100, 25  # numbers of a word vector, words that are alike
N_OF_STUDY = 12


def outputs(pair: Pair, kept: Kept) -> dict[str, Any]:
    """The whole of it, of twelve prompts, with its controls."""
    return _of_pair(OutputWork(_settings(OutputSettings, pair.shape, "outputs"), inputs(pair)), pair, kept)


def location(pair: Pair, kept: Kept) -> dict[str, Any]:
    """The whole of it, but for heads and directions that are named."""
    return _of_pair(LocationWork(_settings(LocationSettings, pair.shape, "location"), inputs(pair)), pair, kept)


def heads(pair: Pair, kept: Kept) -> dict[str, Any]:
    """A few layers of one model, with controls."""
    return _of_layers(head_work(pair.shape), pair, kept)


def concepts(pair: Pair, kept: Kept) -> dict[str, Any]:
    """A few layers of one model, with random directions."""
    return _of_layers(concept_work(pair.shape), pair, kept)


def heads_of_pair(pair: Pair, kept: Kept) -> dict[str, Any]:
    """A few layers of one draw of noise."""
    return _of_pair_by_layers(head_work(pair.shape), pair, kept)


def concepts_of_pair(pair: Pair, kept: Kept) -> dict[str, Any]:
    """A few layers of one draw of noise, and what their change writes and reads."""
    return _of_pair_by_layers(concept_work(pair.shape), pair, kept)


def head_work(shape: Shape) -> HeadWork:
    words = load_words(None, shape.most_words)
    return HeadWork(make_lexicon(words, made_up_vectors(words), _settings(HeadSettings, shape, "heads")))


def concept_work(shape: Shape) -> ConceptWork:
    return ConceptWork(_settings(ConceptSettings, shape, "concepts"), load_words(None, shape.most_words))


def made_up_vectors(words: Words) -> tuple[Sequence[str], np.ndarray]:
    """Vectors in groups of like words, about as many as real ones have beyond a word's threshold."""
    drawn = np.random.default_rng(0)
    n = len(words)
    centres = drawn.standard_normal((max(2, n // N_LIKE), D_VECTOR))
    own = centres[drawn.integers(len(centres), size=n)] + drawn.standard_normal((n, D_VECTOR))
    return words.words, own.astype(np.float32)


def inputs(pair: Pair) -> Inputs:
    prompts: list[Prompt] = list(read_rows(None, N_OF_STUDY).prompts)
    lengths = [len(pair.tokenizer(one.text).input_ids) for one in prompts]
    dtype = pair.base.provenance.dtype
    return Inputs(prompts, "raw", pair.shape.n_response, pair.device, dtype, lengths)


def _settings(kind: Any, shape: Shape, name: str) -> Any:
    layers = {"layers": f"0-{shape.n_layers_read - 1}"} if name in ("heads", "concepts") else {}
    return kind(**layers, **shape.fewer.get(name, {}))


def _of_pair(work: Work, pair: Pair, kept: Kept) -> dict[str, Any]:
    run, steps = _run(kept), Steps(pair.device)
    base, tuned = pair.base, pair.tuned
    _forget_peak(pair.device)
    taken, _ = seconds(pair.device, lambda: (work.measure_pair(base, tuned, OF_PAIR, run, steps), steps.end()))
    return {"seconds": taken, "steps": steps.seconds, "peak_gib": peak_gib(pair.device)}


def _of_layers(work: Work, pair: Pair, kept: Kept) -> dict[str, Any]:
    """After a try that does not count: words are made ready once for all layers."""
    base, steps = pair.base, Steps(pair.device)
    work.measure(base, "base", _run(kept), steps)
    _forget_peak(pair.device)
    run = _run(kept)
    taken, _ = seconds(pair.device, lambda: work.measure(base, "base", run, steps))
    return _by_layer(taken, pair)


def _of_pair_by_layers(work: Work, pair: Pair, kept: Kept) -> dict[str, Any]:
    run, steps = _run(kept), Steps(pair.device)
    base, tuned = pair.base, pair.tuned
    for role, one in (("base", base), ("tuned", tuned)):
        work.measure(one, role, run, steps)
    _forget_peak(pair.device)
    taken, _ = seconds(pair.device, lambda: work.measure_pair(base, tuned, OF_PAIR, run, steps))
    return _by_layer(taken, pair)


def _by_layer(taken: float, pair: Pair) -> dict[str, Any]:
    each = taken / pair.shape.n_layers_read
    n = pair.shape.size.n_layers
    return {"seconds": each * n, "seconds_a_layer": each, "peak_gib": peak_gib(pair.device)}


def _run(kept: Kept) -> RunFolder:
    """A new run folder in place of that of the last measurement."""
    place: Path = kept.folder / "run"
    shutil.rmtree(place, ignore_errors=True)
    return RunFolder.start(place, {"base": {}, "tuned": {}}, {})


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
