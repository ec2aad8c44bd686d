"""From what lies in a run to a change: sums of sizes by module, shares of swaps, and their intervals over prompts.

A share is a ratio of sums over prompts, each prompt by its mean over answer tokens, so that no long answer counts more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.location import result
from aftertune.explainers.location.change import LocationChange
from aftertune.explainers.location.named.compare import context_rows, named_rows
from aftertune.explainers.location.named.result import SwappedUnits
from aftertune.explainers.location.result import Measured, Module
from aftertune.explainers.location.rows import Claim, CumulativeRow, ModuleRow, Swapped, Total
from aftertune.explainers.location.stretch import Stretch
from aftertune.explainers.location.whole import Shares, Whole
from aftertune.statistics.effects import mean_interval
from aftertune.statistics.questions import NEVER, is_shown, largest
from aftertune.statistics.spread import ALPHA, Scores
from aftertune.statistics.tests import least_p_value, sign_permutation_p_value


def compare_location(
    measured: Measured, base: str, tuned: str, settings: Mapping[str, Any], named: SwappedUnits | None = None
) -> LocationChange:
    """Where the change between two models sits, by all that was measured of them.

    ``named`` is what explainers name and was swapped, if that was tried.
    """
    whole = Whole.of(measured.texts)
    singles = [_module_row(measured, whole, *each) for each in result.modules_in(measured.sizes).items()]
    together = {what: _together_row(measured, whole, what, rows) for what, rows in _parts(measured.together).items()}
    singles, together = _beside_noise(measured, singles, together)
    return LocationChange(
        base=base,
        tuned=tuned,
        modules=(*singles, *together.values()),
        cumulative=tuple(_cumulative_row(whole, layer, rows) for layer, rows in measured.cumulative.items()),
        total=_total(measured, whole, singles),
        claim=_claim(measured, together),
        weights=measured.sizes,
        answers=measured.texts.select("prompt", "answer", *result.OUTCOME),
        settings=settings,
        named=named_rows(named or {}, whole, _brings(singles)),
        contexts=context_rows(named or {}),
    )


def _brings(singles: Sequence[ModuleRow]) -> Mapping[tuple[int, str], float | None]:
    """What the modules of layers bring by themselves."""
    return {(row.layer, row.module): row.brings for row in singles if row.layer is not None}


def _module_row(measured: Measured, whole: Whole, module: Module, sizes: pl.DataFrame) -> ModuleRow:
    layers = "" if module.layer is None else str(module.layer)
    return ModuleRow(
        layer=module.layer,
        layers=layers,
        module=module.kind,
        swapped="module",
        **_sizes(sizes, measured.sizes),
        **_shares(measured, whole, module, sizes),
    )


def _shares(measured: Measured, whole: Whole, module: Module, sizes: pl.DataFrame) -> Shares:
    """What the swap of a module gave; a module of equal weights brings nothing, without a swap."""
    if module in measured.swaps:
        return whole.swap(measured.swaps[module])
    if sizes["is_equal"].all() and len(measured.texts):
        return dict.fromkeys(("brings", "takes", "brings_divergence", "takes_divergence"), 0.0)
    return {}


def _sizes(sizes: pl.DataFrame, everything: pl.DataFrame) -> Shares:
    change, total = (float(one["squared_change"].to_numpy().sum()) for one in (sizes, everything))
    return {
        "n_parameters": int(sizes["n_parameters"].sum()),
        "relative_change": result.relative_change(sizes),
        "share_of_change": change / total if total else None,
        **_ranks(sizes),
    }


def _ranks(sizes: pl.DataFrame) -> dict[str, float | None]:
    """Shares and ranks of matrices, weighted by their share of the change; None without a changed matrix."""
    names = ("top5_share", "effective_rank", "noise_top5_share", "noise_effective_rank")
    matrices = sizes.drop_nulls("top5_share")
    energy = matrices["squared_change"].to_numpy()
    means = {name: matrices[name].to_numpy() @ energy for name in names}
    return {name: float(value / energy.sum()) if len(energy) else None for name, value in means.items()}


def _parts(together: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(what): rows for (what,), rows in together.group_by("what", maintain_order=True)}


def _stretch(rows: pl.DataFrame) -> Stretch:
    return Stretch(*rows.select("module", "first", "last").row(0))


def _together_row(measured: Measured, whole: Whole, what: str, rows: pl.DataFrame) -> ModuleRow:
    stretch, swapped = _stretch(rows), "stretch" if what == result.STRETCH else "noise"
    known = result.modules_in(measured.sizes)
    sizes = pl.concat([known[one] for one in stretch.modules if one in known])
    one_layer = stretch.first == stretch.last
    return ModuleRow(
        layer=stretch.first if one_layer else None,
        layers=""
        if stretch.first is None
        else str(stretch.first)
        if one_layer
        else f"{stretch.first} to {stretch.last}",
        module=stretch.kind,
        swapped=_as_swapped(swapped),
        **_sizes(sizes, measured.sizes),
        **whole.swap(rows),
    )


def _as_swapped(name: str) -> Swapped:
    return "stretch" if name == "stretch" else "noise"


def _cumulative_row(whole: Whole, layer: int, rows: pl.DataFrame) -> CumulativeRow:
    ways = [rows.filter(pl.col("direction") == one) for one in (result.UP_TO, result.FROM)]
    shares = [whole.of_log_ratio(one["log_ratio"].to_numpy()) for one in ways]
    gone = [whole.of_divergence(one["divergence"].to_numpy()) for one in ways]
    return CumulativeRow(layer, *shares[0], *shares[1], *gone)


def _total(measured: Measured, whole: Whole, singles: Sequence[ModuleRow]) -> Total:
    sizes, texts = measured.sizes, measured.texts
    changed = [row for row in singles if row.relative_change or row.brings]
    n_changed = len(result.changed_modules(sizes))
    is_empty = (texts["ended"] & (texts["answer_ids"].list.len() == 1)).to_numpy()
    is_whole = len(measured.swaps) == n_changed and bool(changed)
    return Total(
        n_parameters=int(sizes["n_parameters"].sum()),
        n_weights=sizes.height,
        n_changed=int((~sizes["is_equal"]).sum()),
        tied=not sizes["tied_to"].is_null().all(),
        relative_change=result.relative_change(sizes),
        **_ranks(sizes.filter(pl.col("layer").is_not_null())),
        n_texts=texts.height,
        n_tokens=int(texts["answer_ids"].list.len().sum()),
        n_left_out=measured.n_left_out,
        n_empty=int(is_empty.sum()),
        empty_share=whole.of_log_ratio(np.where(is_empty, whole.log_ratio, 0.0))[0],
        log_ratio=float(whole.log_ratio.mean()) if texts.height else None,
        log_ratio_interval=mean_interval(whole.log_ratio),
        divergence=float(whole.divergence.mean()) if texts.height else None,
        n_swapped=len(measured.swaps),
        n_modules_changed=n_changed,
        sum_brings=_sum([row.brings for row in singles]) if is_whole else None,
        sum_takes=_sum([row.takes for row in singles]) if is_whole else None,
    )


def _sum(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) if known else None


def _claim(measured: Measured, together: Mapping[str, ModuleRow]) -> Claim | None:
    if result.STRETCH not in together:
        return None
    parts = _parts(measured.together)
    own, noise = (parts[what]["in_log_ratio"].to_numpy() for what in (result.STRETCH, result.STRETCH_NOISE))
    p_value = largest(*(_p_value(differences) for differences in (own, own - noise)))
    name = _stretch(parts[result.STRETCH]).text
    return Claim(name, together[result.STRETCH], together[result.STRETCH_NOISE], p_value)


def _beside_noise(
    measured: Measured, singles: Sequence[ModuleRow], together: Mapping[str, ModuleRow]
) -> tuple[list[ModuleRow], dict[str, ModuleRow]]:
    """The rows of what noise was tried beside, with whether they bring more than it."""
    parts, found = _parts(measured.together), dict(together)
    if result.STRETCH in found:
        beyond = _is_beyond(parts[result.STRETCH], parts[result.STRETCH_NOISE])
        found[result.STRETCH] = replace(found[result.STRETCH], is_beyond_noise=beyond)
    if result.MODULE_NOISE not in found:
        return list(singles), found
    noise = parts[result.MODULE_NOISE]
    alone = Module(*noise.select("first", "module").row(0))
    beyond = _is_beyond(measured.swaps[alone], noise)
    return [replace(row, is_beyond_noise=beyond) if (row.layer, row.module) == alone else row for row in singles], found


def _is_beyond(own: pl.DataFrame, noise: pl.DataFrame) -> bool | None:
    if least_p_value(own.height) >= ALPHA:
        return None
    return is_shown(_p_value(own["in_log_ratio"].to_numpy() - noise["in_log_ratio"].to_numpy()))


def _p_value(differences: Scores) -> float | None:
    """That differences are above 0 on average: two-sided, and never where they are not above."""
    return sign_permutation_p_value(differences) if differences.mean() > 0 else NEVER
