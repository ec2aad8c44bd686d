"""Whole runs on two models that are drawn from one process, so that nothing tells them apart but chance.

They are meant to be hard: scores are skewed and often 0, samples small and uneven, data sets unlike one another in
scores and in ratings, word vectors crowded, concepts of a model alike, annotators steady or careless.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.explainers.annotation.result import LEVELS, SCENARIOS
from aftertune.explainers.attribution.instruction.effect import BothFalls
from aftertune.explainers.attribution.result import InstructionFall, SalientMap
from aftertune.explainers.concepts.result import ConceptReading
from aftertune.explainers.heads.result import HeadReading
from annotated_samples import Answer, make_annotations
from concept_samples import make_concepts, orthonormal
from head_samples import Pair, make_reading

Generator = np.random.Generator
Graph = npt.NDArray[np.bool_]

N_LAYERS, N_HEADS, N_NEURONS, N_TOP, N_PAIRS = 8, 4, 8, 10, 20
N_WORDS, N_ASKED, BAND = 120, 12, 20
WORDS = tuple(f"w{number}" for number in range(N_WORDS))
ASKED, GENERAL = WORDS[3 : 3 + 2 * N_ASKED : 2], WORDS[60:]
D_MODEL, N_COMPONENTS = 12, 5
N_CONCEPTS, N_REPEATS = 16, 5


def null_maps(generator: Generator, n_prompts: int | None = None, growth: float = 1.0) -> list[SalientMap]:
    """Maps of "base" and "tuned": one to three data sets, which differ in scores and in how often responses follow.

    With ``growth`` the instruction's weights under "tuned" are so many times what they are by chance.
    """
    return [
        salient
        for dataset in range(generator.integers(1, 4))
        for salient in _dataset(f"set {dataset}", n_prompts or generator.integers(6, 30), growth, generator)
    ]


def _dataset(name: str, n_prompts: int, growth: float, generator: Generator) -> list[SalientMap]:
    spread, follows, silence = generator.uniform(0.3, 2.5), generator.uniform(0.3, 0.95), generator.uniform(0, 0.3)
    found = []
    for number in range(n_prompts):
        weights, length = generator.lognormal(0, spread, generator.integers(3, 12)), generator.lognormal(2.5, 0.7)
        for model in ("base", "tuned"):
            n_response = 0 if generator.random() < silence else 5 + int(generator.poisson(length))
            rating = int(generator.integers(2, 5)) if generator.random() < follows else 1
            grown = np.where(np.arange(len(weights)) < (len(weights) + 1) // 2, growth if model == "tuned" else 1, 1)
            found.append(_map(f"{number}", name, model, _levels(grown * weights, n_response, generator), rating))
    return found


def null_falls(
    generator: Generator, n_prompts: int | None = None, growth: float = 1.0, length: float = 1.0
) -> list[BothFalls]:
    """Falls without the instruction and without other words: of a prompt alike in both models, skewed, some below 0.

    Under "tuned" the instruction's are ``growth`` times what they are by chance, and both ``length`` times.
    """
    found = []
    for dataset in range(generator.integers(1, 4)):
        for number in range(n_prompts or generator.integers(6, 30)):
            scale = generator.lognormal(0.5, 1, 2)
            own, other = (scale * generator.lognormal(0, 0.7, 2) - generator.exponential(0.5, 2) for _ in range(2))
            base = InstructionFall(float(own[0]), float(own[1]), 4)
            tuned = InstructionFall(float(other[0] * growth * length), float(other[1] * length), 4)
            found.append(BothFalls(f"set {dataset}", f"{dataset} {number}", base, tuned))
    return found


def _levels(weights: npt.NDArray[np.float64], n_response: int, generator: Generator) -> npt.NDArray[np.uint8]:
    importance = weights[:, None] * generator.exponential(1, (len(weights), n_response))
    return np.asarray(np.ceil(10 * importance / importance.max(axis=0, initial=1e-9)), dtype=np.uint8)


def _map(id: str, dataset: str, model: str, levels: npt.NDArray[np.uint8], rating: int) -> SalientMap:
    n_prompt, n_response = levels.shape
    places = np.arange(n_prompt)
    return SalientMap(
        id=id,
        dataset=dataset,
        model=model,
        text="go " * n_prompt,
        prompt_tokens=("▁go",) * n_prompt,
        response_tokens=tuple(f"▁{number}" for number in range(n_response)),
        offsets=np.stack([3 * places, 3 * places + 2], axis=1),
        is_user=np.ones(n_prompt, dtype=np.bool_),
        is_instruction=places < (n_prompt + 1) // 2,
        levels=levels,
        helpfulness=rating,
    )


def null_heads(
    generator: Generator, noise: float = 0.3, parted: float = 0.0
) -> tuple[HeadReading, HeadReading, HeadReading]:
    """Heads whose neurons take up words alike but for noise; which words have like vectors is a matter of chance.

    "noise" differs from "base" as "tuned" does. With ``parted`` that share of pairs is no longer made by the heads of
    "tuned", whichever words they take up.
    """
    liking = generator.normal(0, 1, N_WORDS)  # some words are taken up by many neurons
    shape = (N_LAYERS, N_HEADS, 2, N_NEURONS, N_WORDS)
    common = liking + generator.normal(0, 1, shape)
    graph = _alike(generator)
    order = {"permuted": generator.permutation(N_WORDS), "frequency-matched": _within_bands(generator)}
    graphs = {name: graph[np.ix_(permuted, permuted)] for name, permuted in order.items()}
    made = {"base": graph, "tuned": graph & (generator.random(graph.shape) >= parted), "noise": graph}
    base, tuned, noisy = (
        _reading(name, common + generator.normal(0, noise, shape), made[name], graphs) for name in made
    )
    return base, tuned, noisy


def _alike(generator: Generator) -> Graph:
    """Which words have like vectors: some have many such neighbours, most few."""
    vectors = generator.normal(0, 1, (N_WORDS, 6)) + generator.exponential(0.7, (N_WORDS, 1))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.triu(vectors @ vectors.T > 0.75, 1))


def _within_bands(generator: Generator) -> npt.NDArray[np.int64]:
    return np.concatenate([start + generator.permutation(BAND) for start in range(0, N_WORDS, BAND)])


def _reading(model: str, scores: npt.NDArray[np.float64], graph: Graph, graphs: Mapping[str, Graph]) -> HeadReading:
    taken = scores >= np.partition(scores, -N_TOP, axis=-1)[..., -N_TOP, None]
    together = np.einsum("lhnv,lhnw->lhvw", *np.moveaxis(taken.astype(np.float32), 2, 0))
    held = together + np.swapaxes(together, 2, 3)
    shape: dict[str, Any] = {"layers": range(N_LAYERS), "n_heads": N_HEADS, "words": WORDS, "without_vector": ()}
    controls = {(name, 0): _lists(held, own | own.T) for name, own in graphs.items()}
    return make_reading(model, _lists(held, graph), controls=controls, **shape)


def _lists(held: npt.NDArray[np.float32], graph: Graph) -> dict[tuple[int, int], list[Pair]]:
    counts = np.where(np.triu(graph, 1), held, 0)
    return {place: _strongest(counts[place]) for place in np.ndindex(N_LAYERS, N_HEADS)}  # type: ignore[misc]


def _strongest(counts: npt.NDArray[np.float32]) -> list[Pair]:
    order = np.argsort(-counts, axis=None, kind="stable")[:N_PAIRS]
    return [(WORDS[a], WORDS[b]) for a, b in zip(*np.unravel_index(order, counts.shape), strict=True) if counts[a, b]]


def null_concepts(
    generator: Generator, noise: float = 0.1, growth: float = 0.0
) -> tuple[ConceptReading, ConceptReading]:
    """Components that both models turn by noise of the same size in every layer, or by more with ``growth``."""
    places = [(layer, 0) for layer in range(N_LAYERS)]
    common = {place: orthonormal(N_COMPONENTS, D_MODEL, int(generator.integers(1 << 30))) for place in places}
    base, tuned = (
        make_concepts(
            name,
            {place: _shaken(rows, noise + growth * place[0], generator) for place, rows in common.items()},
            n_layers=N_LAYERS,
        )
        for name in ("base", "tuned")
    )
    return base, tuned


def _shaken(rows: npt.NDArray[np.float64], noise: float, generator: Generator) -> npt.NDArray[np.float64]:
    return np.asarray(np.linalg.qr((rows + generator.normal(0, noise, rows.shape)).T)[0].T)


def null_annotations(generator: Generator, carelessness: float) -> pl.DataFrame:
    """Annotations of two lots of concepts, most places alike in both, by an annotator who errs so often."""
    rates = {name: generator.beta(1, 3) for name in SCENARIOS}
    levels = generator.dirichlet(np.ones(len(LEVELS)))
    described, alike = generator.uniform(0.5, 1), generator.uniform(0, 0.9)
    base, tuned = {}, {}
    for rank in range(1, N_CONCEPTS + 1):
        before, other = (_concept(rates, levels, described, generator) for _ in range(2))
        after = before if generator.random() < alike else other
        for answers, concept in ((base, before), (tuned, after)):
            answers[0, rank] = [_judged(concept, carelessness, generator) for _ in range(N_REPEATS)]
    return make_annotations(base, tuned)


def _concept(rates: Mapping[str, float], levels: Any, described: float, generator: Generator) -> Answer:
    if generator.random() > described:
        return None, None, None, []
    return (
        "words",
        [name for name in SCENARIOS if generator.random() < rates[name]],
        str(generator.choice(LEVELS, p=levels)),
        [],
    )


def _judged(concept: Answer, carelessness: float, generator: Generator) -> Answer:
    description, scenarios, level, _ = concept
    if generator.random() < carelessness:
        description = None if description else "words"
    if description is None:
        return None, None, None, []
    marked = [name for name in SCENARIOS if (name in (scenarios or [])) != (generator.random() < carelessness)]
    said = level if level and generator.random() > carelessness else str(generator.choice(LEVELS))
    return description, marked, said, []
