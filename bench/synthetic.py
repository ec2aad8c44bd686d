"""A report as large as a 7B model's, made of random numbers: what a page has to stay light with.

1. `prompts_and_maps`: prompts under two models, each map with levels that fall off as those of real maps do; every
   eighth prompt is in Chinese or Arabic.
2. `heads` and `concepts`: lists of words for every head and component, most of them kept.
"""

from typing import Any

import numpy as np
import polars as pl
from aftertune.report.contents import ReportContents

from aftertune.explainers.attribution.result import SalientMap

Generator = np.random.Generator
MODELS = ("base-model", "tuned-model")
DATASETS = ("selfinstruct", "liberal", "mtbench")
ALPHABETS = ("abcdefghijklmnopqrstuvwxyz", "的一是不了人我在有他这中大来上个国说们", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي")
N_KEPT, N_PAIRS, N_NEAREST = 0.7, 100, 15
SPREAD = {"n": 300, "mean": 0.9, "std": 0.4}
INTERVAL = (0.1, 0.3)
LEVELS = ("head", "neuron pair")


def contents(
    n_prompts: int, n_prompt: int, n_response: int, n_layers: int, n_heads: int, n_components: int
) -> ReportContents:
    """Contents from a fixed seed."""
    generator = np.random.default_rng(0)
    maps, instances = prompts_and_maps(generator, n_prompts, n_prompt, n_response)
    words = [word(generator, ALPHABETS[0]) for _ in range(20_000)]
    return ReportContents(
        title="A synthetic run",
        base=MODELS[0],
        tuned=MODELS[1],
        findings=[{"headline": "Random", "sentence": "All is random.", "significant": None, "evidence": {}}] * 6,
        comparison={"instances": instances, "table1": [], "table2": [table2_row(name) for name in DATASETS]}
        | {"figure6": [figure6_row(name, model) for name in DATASETS for model in MODELS]},
        maps=maps,
        heads=heads(generator, words, n_layers, n_heads),
        concepts=concepts(generator, words, n_layers, n_components),
    )


def word(generator: Generator, alphabet: str) -> str:
    return "".join(generator.choice(list(alphabet), generator.integers(2, 8)))


def prompts_and_maps(
    generator: Generator, n_prompts: int, n_prompt: int, n_response: int
) -> tuple[list[SalientMap], list[dict[str, Any]]]:
    maps, rows = [], []
    vocabularies = [[" " + word(generator, alphabet) for _ in range(4_000)] for alphabet in ALPHABETS]
    for number in range(n_prompts):
        vocabulary = vocabularies[0 if number % 8 else 1 + number // 8 % 2]
        prompt = tuple(str(piece) for piece in generator.choice(vocabulary, n_prompt))
        pair = [
            make_map(generator, number, model, prompt, tuple(map(str, generator.choice(vocabulary, n_response))))
            for model in MODELS
        ]
        maps += pair
        rows.append(instance_row(*pair))
    return maps, rows


def make_map(
    generator: Generator, number: int, model: str, prompt: tuple[str, ...], response: tuple[str, ...]
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


def instance_row(base: SalientMap, tuned: SalientMap) -> dict[str, Any]:
    scores = {"score_base": base.score(), "score_tuned": tuned.score()}
    copied = {"copied_share_base": 0.1, "copied_share_tuned": 0.05}
    marks = {"repetitive_base": base.id.endswith("7"), "repetitive_tuned": False}
    names = {"id": base.id, "dataset": base.dataset}
    return names | scores | {"difference": tuned.score() - base.score()} | copied | marks


def table2_row(dataset: str) -> dict[str, Any]:
    tests = {"difference": 0.2, "difference_interval": INTERVAL, "p_value": 0.01, "p_value_holm": 0.03}
    return {"dataset": dataset, "base": SPREAD, "tuned": SPREAD, "effect_size_g": 0.4, "paired": None} | tests


def figure6_row(dataset: str, model: str) -> dict[str, Any]:
    return {"dataset": dataset, "model": model, "quarters": [0.3, 0.2, 0.2, 0.3]}


def heads(generator: Generator, words: list[str], n_layers: int, n_heads: int) -> dict[str, Any]:
    places = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    measures = generator.random((len(places), 2)).tolist()
    return {
        "heads": [head_row(*place, *found) for place, found in zip(places, measures, strict=True)],
        "pairs": pl.concat([pairs_of(generator, words, *place) for place in places]),
        "neurons": pl.concat([neurons_of(generator, words, *place) for place in places]),
        "figure2": [figure2_row(level, f"{first}-{first + 7}") for level in LEVELS for first in range(0, n_layers, 8)],
        "table3": [],
        **{"asked": "instruction verbs", "verbs_missing": [], "depth": None, "n_words": len(words)},
        **{"n_with_vector": len(words), "words_source": "random letters", "vectors_source": "random numbers"},
        **{"layers": tuple(range(n_layers)), "n_heads": n_heads, "settings": {}},
    }


def figure2_row(level: str, layers: str) -> dict[str, Any]:
    return {"level": level, "layers": layers, "distance": SPREAD, "interval": INTERVAL, "controls": []}


def head_row(layer: int, head: int, distance: float, neuron_distance: float) -> dict[str, Any]:
    counts = {"n_base": N_PAIRS, "n_tuned": N_PAIRS, "n_gained": 30, "n_lost": 30, "verbs_gained": 2, "verbs_lost": 1}
    return {"layer": layer, "head": head, "distance": distance, "neuron_distance": neuron_distance} | counts


def drawn(generator: Generator, words: list[str], n: int) -> list[str]:
    """Words as frequent as in a language: a few of them in many lists."""
    return [words[place] for place in generator.zipf(1.3, n) % len(words)]


def pairs_of(generator: Generator, words: list[str], layer: int, head: int) -> pl.DataFrame:
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


def neurons_of(generator: Generator, words: list[str], layer: int, head: int) -> pl.DataFrame:
    """Three neuron pairs with twenty changed word pairs each."""
    columns = {
        "neuron": np.repeat([3, 40, 77], 20).tolist(),
        "distance": [0.9] * 60,
        "query_word": drawn(generator, words, 60),
        "key_word": drawn(generator, words, 60),
        "change": ["gained", "lost"] * 30,
        "cosine": generator.random(60).tolist(),
    }
    return pl.DataFrame(columns).select(pl.lit(layer).alias("layer"), pl.lit(head).alias("head"), pl.all())


def concepts(generator: Generator, words: list[str], n_layers: int, n_components: int) -> dict[str, Any]:
    components = pl.concat([components_of(generator, words, layer, n_components) for layer in range(n_layers)])
    return {
        "rotation": [],
        "chance": [],
        "figure8": [
            {"model": model, "rank": rank, "accumulated": SPREAD | {"mean": rank / n_components}}
            for model in MODELS
            for rank in range(1, n_components, 10)
        ],
        "networks": [network_row(layer, angle) for layer, angle in enumerate(generator.random(n_layers).tolist())],
        "components": components,
        **{"new_components": components.filter(pl.col("rank") > 0.9 * n_components), "lost_components": components[:0]},
        **{"n_words": len(words), "words_source": "random letters", "layers": tuple(range(n_layers))},
        **{"n_components": n_components, "settings": {}},
    }


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
    angles = ("mean_principal_angle", "largest_principal_angle", "mean_component_angle", "mean_separated_angle")
    shares = ("kept_in_order", "variance_kept", "variance_lost", "share_base", "share_tuned", "words_kept")
    return {"layer": layer, "expert": 0} | dict.fromkeys(angles, 60 * share) | dict.fromkeys(shares, share)
