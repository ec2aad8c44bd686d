"""What did tuning change in the attention heads?  Two readings in, one comparison out.  (Paper 5.1.)

1. The words asked about and the general ones, as far as they can form a pair.
2. What each head's list and each neuron pair's list kept, gained and lost (`list_changes`).
3. Figure 2: how far apart the lists are, by group of layers, and how sure that is (`figure2`).
4. Table 3: do heads take up pairs with the words asked about more than with others (`table3`)?
5. Which pairs gained or lost changed most, over noise of the same size (`strengths`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.figure2 import against_noise, depth_trend, figure2, over_words
from aftertune.explainers.heads.list_changes import (
    HEAD,
    control_distances,
    head_distances,
    holds,
    neuron_distances,
    noise_distances,
    pair_changes,
)
from aftertune.explainers.heads.result import HeadReading
from aftertune.explainers.heads.strengths import strength_rows
from aftertune.explainers.heads.table3 import ComparedWords, matched_sets, shares_of, table3, word_shares
from aftertune.explainers.heads.verbs import (
    INSTRUCTION_VERBS,
    OWN_NAME,
    VERBS_NAME,
    among,
    frequent_verbs,
    lowered,
    must_form_pairs,
    words_with_vector,
)
from aftertune.runs.layer_parts import must_be_alike
from aftertune.statistics.layers import Groups, layer_groups
from aftertune.statistics.noise import NOISE

Noise = tuple[Sequence[HeadReading], Sequence[pl.DataFrame]]
NO_NOISE: Noise = ((), ())
ALIKE = ("layers", "n_heads", "d_head")


def compare_heads(
    base: HeadReading,
    tuned: HeadReading,
    verbs: Sequence[str] | None = None,
    general: Sequence[str] | None = None,
    *,
    verbs_name: str | None = None,
    noise: Noise = NO_NOISE,
    brings: Mapping[int, float | None] | None = None,
    n_groups: int = 4,
    seed: int = 0,
) -> HeadChange:
    """Compare the word pairs of two models' heads (figure 2, table 3).

    ``verbs`` are the words asked about, by default the instruction verbs, and ``verbs_name`` is what texts call them;
    ``general`` are those they are held against, by default 3,000 frequent verbs. ``noise`` is what `saved_noise` gives:
    without it no change is claimed. ``brings`` has what the attention of a
    layer brings by itself. ``n_groups`` is the number of groups
    of neighbouring layers, ``seed`` that of intervals, permutations and random sets of words. Raises `RunError` if the
    readings are of the same model or were not made alike, or ``n_groups`` is below 1, and `WordError` if none of the
    words of a list that is given can form a pair.
    """
    groups = layer_groups(base.layers, n_groups)
    must_be_alike(base, tuned, ALIKE, _vector_differences(base, tuned))
    must_form_pairs(verbs, base.words, base.has_vector)
    must_form_pairs(general, base.words, base.has_vector, "general")
    able = words_with_vector(base.words, base.has_vector)
    chosen = lowered(INSTRUCTION_VERBS if verbs is None else verbs)
    others = [word for word in lowered(frequent_verbs() if general is None else general) if word not in chosen]
    words = ComparedWords(among(chosen, able), among(others, able), matched_sets(able, chosen, seed))
    return HeadChange(
        base=base.model,
        tuned=tuned.model,
        verbs_name=verbs_name or (VERBS_NAME if verbs is None else OWN_NAME),
        layers=base.layers,
        n_heads=base.n_heads,
        d_head=base.d_head,
        n_words=len(base.words),
        n_with_vector=int(base.has_vector.sum()),
        verbs_present=words.instruction,
        verbs_missing=tuple(word for word in chosen if word not in words.instruction),
        n_general_missing=len(others) - len(words.general),
        settings=base.settings,
        neurons_base=base.neurons,
        neurons_tuned=tuned.neurons,
        n_noise=len(noise[0]),
        **_measured(base, tuned, noise, words, groups, seed),
        strengths=strength_rows(noise[1], base.pairs, tuned.pairs, brings or {}),
    )


def _vector_differences(base: HeadReading, tuned: HeadReading) -> list[str]:
    alike = base.words != tuned.words or np.array_equal(base.has_vector, tuned.has_vector)
    return [] if alike else ["other words have a word vector"]


def _measured(
    base: HeadReading, tuned: HeadReading, noise: Noise, words: ComparedWords, groups: Groups, seed: int
) -> dict[str, Any]:
    """The frames and rows of a `HeadChange`."""
    neurons, pairs = neuron_distances(base, tuned), pair_changes(base.pairs, tuned.pairs)
    heads, controls = head_distances(base, tuned, neurons), control_distances(base, tuned)
    shares = word_shares(base.pairs, tuned.pairs, HEAD, groups)
    control_shares = {name: _control_shares(name, base, tuned, groups) for name in controls}
    by_noise = noise_distances(base, noise[0])
    if by_noise is not None:
        controls[NOISE] = by_noise
        control_shares[NOISE] = _noise_shares(base, noise[0], groups)
    rows = over_words(figure2(heads, controls, groups, seed), base, tuned, groups, seed)
    return {
        "heads": _with_verbs(_beside_noise(heads, by_noise), pairs, words.instruction),
        "pairs": pairs,
        "neurons": neurons,
        "verbs": shares_of(words, shares),
        "figure2": against_noise(rows, heads, by_noise, groups, seed),
        "depth": depth_trend(heads, controls, seed),
        "table3": table3(shares, control_shares, words, groups, seed),
    }


def _beside_noise(heads: pl.DataFrame, noise: pl.DataFrame | None) -> pl.DataFrame:
    """``heads`` with ``distance_noise``, null where no noise was read."""
    if noise is None:
        return heads.with_columns(distance_noise=pl.lit(None, pl.Float64))
    own = noise.select(*HEAD, distance_noise="distance")
    return heads.join(own, on=HEAD, how="left", maintain_order="left")


def _noise_shares(base: HeadReading, noise: Sequence[HeadReading], groups: Groups) -> pl.DataFrame:
    """Shares of words under noise, every draw of every head counting as a head."""
    before, after = (
        pl.concat([one.pairs.with_columns(draw=pl.lit(draw)) for draw, one in enumerate(side)])
        for side in ([base] * len(noise), noise)
    )
    return word_shares(before, after, ("draw", *HEAD), groups)


def _control_shares(name: str, base: HeadReading, tuned: HeadReading, groups: Groups) -> pl.DataFrame:
    own = pl.col("control") == name
    return word_shares(base.controls.filter(own), tuned.controls.filter(own), ("draw", *HEAD), groups)


def _with_verbs(heads: pl.DataFrame, pairs: pl.DataFrame, verbs: Sequence[str]) -> pl.DataFrame:
    """``heads`` with the number of pairs gained and lost that hold one of the ``verbs``."""
    counts = (
        pairs.filter(holds(verbs))
        .group_by(HEAD)
        .agg(
            verbs_gained=(pl.col("change") == "gained").sum().cast(pl.Int64),
            verbs_lost=(pl.col("change") == "lost").sum().cast(pl.Int64),
        )
    )
    joined = heads.join(counts, on=HEAD, how="left", maintain_order="left")
    return joined.with_columns(pl.col("verbs_gained", "verbs_lost").fill_null(0))
