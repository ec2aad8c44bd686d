"""A report as large as a 7B or 70B model's, made of random numbers: what a page has to stay light with.

1. `attribution`: prompts under two models, each map with levels that fall off as those of real maps do; every eighth
   prompt is in Chinese or Arabic.
2. `heads` and `concepts`: lists of words for every head and component, most of them kept.
3. `stages_report`: the page on many models, of the same changes without maps and lists, which it does not show.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers import explainers
from aftertune.explainers.attribution.change import AttributionChange, InstanceRow
from aftertune.explainers.attribution.density_comparison import Paired, Table2Row
from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.sentence_position import Figure6Row
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.explained_variance import Figure8Row
from aftertune.explainers.concepts.network_rotation import NETWORKS, RotationTrend
from aftertune.explainers.heads.change import AS_READ, HEAD_LEVEL, NEURON_LEVEL, DepthTrend, Figure2Row, HeadChange
from aftertune.report.page import Report
from aftertune.runs.roles import Pair, pairs_of
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.spread import Spread

Generator = np.random.Generator
MODELS = ("base-model", "tuned-model")
OF_MODELS = Pair(*MODELS)
DATASETS = ("selfinstruct", "liberal", "mtbench")
ALPHABETS = ("abcdefghijklmnopqrstuvwxyz", "的一是不了人我在有他这中大来上个国说们", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي")
N_KEPT, N_PAIRS, N_NEAREST, N_NEURONS, N_OF_NEURON = 0.7, 100, 15, 3, 20
SPREAD, INTERVAL = Spread(300, 0.9, 0.4), (0.1, 0.3)


def changes_of_two(
    n_prompts: int, n_prompt: int, n_response: int, n_layers: int, n_heads: int, n_components: int
) -> Mapping[str, Any]:
    """What changed, by explainer, from a fixed seed."""
    generator = np.random.default_rng(0)
    words = [word(generator, ALPHABETS[0]) for _ in range(20_000)]
    return {
        "attribution": attribution(generator, n_prompts, n_prompt, n_response),
        "heads": heads(generator, words, n_layers, n_heads),
        "concepts": concepts(generator, words, n_layers, n_components),
    }


def report(changes: Mapping[str, Any]) -> Report:
    """The report on them."""
    sections = [explainers()[name].section(change) for name, change in changes.items()]
    findings = [Finding("synthetic", "Random", "All is random.", Verdict.NOT_TESTED)] * 6
    return Report("A synthetic run", MODELS, ["All is random."], findings, sections)


def changes_of_stages(n_stages: int, n_prompts: int, n_layers: int, n_heads: int) -> Mapping[str, Sequence[Any]]:
    """What changed between so many models, each compared with its predecessor and with the first."""
    generator = np.random.default_rng(0)
    pairs = pairs_of([f"stage-{number}" for number in range(n_stages)])
    return {
        "attribution": [without_maps(generator, pair, n_prompts) for pair in pairs],
        "heads": [without_lists(generator, pair, n_layers, n_heads) for pair in pairs],
        "concepts": [without_components(generator, pair, n_layers) for pair in pairs],
    }


def stages_report(changes: Mapping[str, Sequence[Any]]) -> Report:
    """The page on all models."""
    pairs = [Pair(one.base, one.tuned) for one in changes["attribution"]]
    names = (pairs[0].base, *(pair.tuned for pair in pairs if pair.base == pairs[0].base))
    sections = [explainers()[name].stages(own, names) for name, own in changes.items()]
    told = [f"From {pair.base} to {pair.tuned}: changed. All is random." for pair in pairs]
    findings = [Finding("synthetic", one, "All is random.", Verdict.NOT_TESTED) for one in told for _ in range(3)]
    reports = [(f"{pair.base} → {pair.tuned}", f"pairs/{pair.base}-{pair.tuned}/report.html") for pair in pairs]
    return Report("A synthetic run of many stages", names, told, findings, sections, reports=reports)


def without_maps(generator: Generator, pair: Pair, n_prompts: int) -> AttributionChange:
    scores = generator.exponential(size=(n_prompts, 2)).tolist()
    return AttributionChange(
        *pair,
        table1=(),
        table2=tuple(table2_row(name) for name in DATASETS),
        table2_answered=(),
        figure6=tuple(Figure6Row(name, model, (0.3, 0.2, 0.2, 0.3), 200) for name in DATASETS for model in pair),
        instances=tuple(scored_row(f"prompt/{n}", DATASETS[n % len(DATASETS)], *own) for n, own in enumerate(scores)),
        maps=(),
    )


def without_lists(generator: Generator, pair: Pair, n_layers: int, n_heads: int) -> HeadChange:
    places = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    nothing = pl.DataFrame()
    return head_change(pair, n_layers, n_heads, head_rows(generator, places), (nothing, nothing, nothing, nothing), 1)


def without_components(generator: Generator, pair: Pair, n_layers: int) -> ConceptChange:
    words = [word(generator, ALPHABETS[0]) for _ in range(100)]
    return concepts(generator, words, n_layers, 30, pair)


def word(generator: Generator, alphabet: str) -> str:
    return "".join(generator.choice(list(alphabet), generator.integers(2, 8)))


def attribution(generator: Generator, n_prompts: int, n_prompt: int, n_response: int) -> AttributionChange:
    vocabularies = [[" " + word(generator, alphabet) for _ in range(4_000)] for alphabet in ALPHABETS]
    pairs = []
    for number in range(n_prompts):
        vocabulary = vocabularies[0 if number % 8 else 1 + number // 8 % 2]
        prompt = tuple(str(piece) for piece in generator.choice(vocabulary, n_prompt))
        responses = [tuple(map(str, generator.choice(vocabulary, n_response))) for _ in MODELS]
        pairs.append([make_map(generator, number, *own, prompt) for own in zip(MODELS, responses, strict=True)])
    return AttributionChange(
        *MODELS,
        table1=(),
        table2=tuple(table2_row(name) for name in DATASETS),
        table2_answered=(),
        figure6=tuple(Figure6Row(name, model, (0.3, 0.2, 0.2, 0.3), 200) for name in DATASETS for model in MODELS),
        instances=tuple(instance_row(*pair) for pair in pairs),
        maps=tuple(one for pair in pairs for one in pair),
    )


def make_map(
    generator: Generator, number: int, model: str, response: tuple[str, ...], prompt: tuple[str, ...]
) -> SalientMap:
    ends = np.cumsum([len(piece) for piece in prompt])
    scores = generator.exponential(size=(len(prompt), len(response))) ** 2
    place = np.arange(len(prompt))
    return SalientMap(
        id=f"prompt/{number}",
        dataset=DATASETS[number % len(DATASETS)],
        model=model,
        text="".join(prompt),
        prompt_tokens=prompt,
        response_tokens=response,
        offsets=np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1),
        is_user=place > 2,
        is_instruction=(place > 2) & (place < 20),
        levels=np.ceil(10 * (scores / scores.max(axis=0))).astype(np.uint8),
        helpfulness=int(generator.integers(1, 5)) if number % 2 else None,
    )


def instance_row(base: SalientMap, tuned: SalientMap) -> InstanceRow:
    return scored_row(base.id, base.dataset, base.score(), tuned.score())


def scored_row(id: str, dataset: str, base: float, tuned: float) -> InstanceRow:
    scores = {"score_base": base, "score_tuned": tuned, "difference": tuned - base}
    marks = {"repetitive_base": id.endswith("7"), "repetitive_tuned": False}
    known = {"id": id, "dataset": dataset, "copied_share_base": 0.1, "copied_share_tuned": 0.05}
    unknown: dict[str, Any] = dict.fromkeys(InstanceRow.__dataclass_fields__)
    return InstanceRow(**unknown | known | scores | marks)


def table2_row(dataset: str) -> Table2Row:
    paired = Paired(200, 120, 70, 0.2, INTERVAL, 0.5, 0.02, 0.03)
    return Table2Row(dataset, SPREAD, SPREAD, 0.2, INTERVAL, 0.01, 0.03, 0.4, paired)


def heads(generator: Generator, words: list[str], n_layers: int, n_heads: int) -> HeadChange:
    places = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    lists = pl.concat([word_pairs(generator, words, *place) for place in places])
    both = [lists_of_neurons(generator, words, places) for _ in MODELS]
    frames = (lists, neuron_rows(both[0]), *both)
    return head_change(OF_MODELS, n_layers, n_heads, head_rows(generator, places), frames, len(words))


def head_change(
    pair: Pair, n_layers: int, n_heads: int, rows: pl.DataFrame, frames: Sequence[pl.DataFrame], n_words: int
) -> HeadChange:
    """``frames`` are the pairs of all heads, the changes of neuron pairs, and the lists of these by model."""
    return HeadChange(
        *pair,
        verbs_name="instruction verbs",
        layers=tuple(range(n_layers)),
        n_heads=n_heads,
        d_head=128,
        n_words=n_words,
        n_with_vector=n_words,
        verbs_present=(),
        verbs_missing=(),
        n_general_missing=0,
        settings={"words": {"source": "random letters"}, "vectors": {"source": "random numbers"}},
        heads=rows,
        pairs=frames[0],
        neurons=frames[1],
        verbs=pl.DataFrame(),
        figure2=tuple(
            Figure2Row(level, f"{first}-{first + 7}", False, AS_READ, SPREAD, INTERVAL)
            for level in (HEAD_LEVEL, NEURON_LEVEL)
            for first in range(0, n_layers, 8)
        ),
        depth=DepthTrend(n_layers, rows.height, None, None, ()),
        table3=(),
        neurons_base=frames[2],
        neurons_tuned=frames[3],
    )


def head_rows(generator: Generator, places: list[tuple[int, int]]) -> pl.DataFrame:
    counts = {"n_base": N_PAIRS, "n_tuned": N_PAIRS, "n_gained": 30, "n_lost": 30, "verbs_gained": 2, "verbs_lost": 1}
    names = pl.DataFrame(places, schema=["layer", "head"], orient="row")
    distances = pl.DataFrame(generator.random((len(places), 2)), schema=["distance", "neuron_distance"])
    return names.hstack(distances).with_columns(pl.lit(n).alias(name) for name, n in counts.items())


def drawn(generator: Generator, words: list[str], n: int) -> list[str]:
    """Words as frequent as in a language: a few of them in many lists."""
    return [words[place] for place in generator.zipf(1.3, n) % len(words)]


def word_pairs(generator: Generator, words: list[str], layer: int, head: int) -> pl.DataFrame:
    """A head's list: kept pairs first, then those lost, then those gained."""
    n_kept = int(N_KEPT * N_PAIRS)
    n_moved = N_PAIRS - n_kept
    own, none = list(range(1, N_PAIRS + 1)), [None] * n_moved
    base, tuned = [*own, *none], [*own[:n_kept], *none, *own[n_kept:]]
    columns = {
        "word_a": drawn(generator, words, len(base)),
        "word_b": drawn(generator, words, len(base)),
        "change": ["kept"] * n_kept + ["lost"] * n_moved + ["gained"] * n_moved,
        **{"rank_base": base, "rank_tuned": tuned, "n_neurons_base": base, "n_neurons_tuned": tuned},
    }
    return pl.DataFrame(columns).select(pl.lit(layer).alias("layer"), pl.lit(head).alias("head"), pl.all())


def lists_of_neurons(generator: Generator, words: list[str], places: list[tuple[int, int]]) -> pl.DataFrame:
    """One model's word pairs of three neuron pairs of each head."""
    neurons = [(*place, neuron) for place in places for neuron in (3, 40, 77)[:N_NEURONS] for _ in range(N_OF_NEURON)]
    own = pl.DataFrame(neurons, schema=["layer", "head", "neuron"], orient="row")
    columns = {
        "query_word": drawn(generator, words, len(neurons)),
        "key_word": drawn(generator, words, len(neurons)),
        "cosine": generator.random(len(neurons)),
    }
    return own.with_columns(pl.Series(name, values) for name, values in columns.items()).unique(
        ["layer", "head", "neuron", "query_word", "key_word"], maintain_order=True
    )


def neuron_rows(lists: pl.DataFrame) -> pl.DataFrame:
    """The changes of the neuron pairs whose lists there are."""
    counts = {name: N_OF_NEURON for name in ("n_base", "n_tuned", "n_gained", "n_lost")}
    own = lists.select("layer", "head", "neuron").unique(maintain_order=True)
    return own.with_columns(distance=0.9, **{name: pl.lit(n) for name, n in counts.items()})


def concepts(
    generator: Generator, words: list[str], n_layers: int, n_components: int, pair: Pair = OF_MODELS
) -> ConceptChange:
    components = pl.concat([components_of(generator, words, layer, n_components) for layer in range(n_layers)])
    angles = generator.random(n_layers).tolist()
    return ConceptChange(
        *pair,
        layers=tuple(range(n_layers)),
        n_networks=n_layers,
        n_components=n_components,
        d_model=4096,
        n_words=len(words),
        settings={"words": {"source": "random letters"}},
        networks=pl.DataFrame([network_row(layer, share) for layer, share in enumerate(angles)], schema=NETWORKS),
        components=components,
        # Of the mirror a tenth is the best match of none, so new.
        tuned_components=components.with_columns(rank=pl.col("rank") + n_components // 10),
        components_base=pl.DataFrame(),
        components_tuned=pl.DataFrame(),
        rotation=(),
        figure8=tuple(
            Figure8Row(model, rank, Spread(n_layers, rank / n_components, 0.1))
            for model in pair
            for rank in range(1, n_components, 10)
        ),
        chance=(),
        trend=RotationTrend(n_layers, n_layers, None, None, None, None),
    )


def components_of(generator: Generator, words: list[str], layer: int, n: int) -> pl.DataFrame:
    base = [drawn(generator, words, N_NEAREST) for _ in range(n)]
    n_kept = int(N_KEPT * N_NEAREST)
    ranks, shares = list(range(1, n + 1)), (1 / np.arange(1, n + 1)).tolist()
    columns = {
        **{"rank": ranks, "match_rank": ranks, "angle": (60 * generator.random(n)).tolist()},
        **{"gap": generator.random(n).tolist(), "variance_share_base": shares, "variance_share_tuned": shares},
        **{"words_kept": [N_KEPT] * n, "words_base": base},
        "words_tuned": [own[:n_kept] + drawn(generator, words, N_NEAREST - n_kept) for own in base],
        **{"p_chance_base": generator.random(n).tolist(), "p_chance_tuned": generator.random(n).tolist()},
        **{"beyond_chance_base": [False] * n, "beyond_chance_tuned": [False] * n},
    }
    return pl.DataFrame(columns).select(pl.lit(layer).alias("layer"), pl.lit(0).alias("expert"), pl.all())


def network_row(layer: int, share: float) -> dict[str, Any]:
    """Angles up to 60 degrees, and shares."""
    known = {"layer": layer, "expert": 0, "n_separated": 20}
    return {name: 60 * share if name.endswith("angle") else share for name in NETWORKS} | known
