"""Where a change sits, told: shares and intervals by hand, verdicts, the page, and what it costs."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from aftertune.explainers.explainer import Inputs
from aftertune.explainers.location import LocationExplainer, cost, result
from aftertune.explainers.location.change import LocationChange
from aftertune.explainers.location.compare import compare_location
from aftertune.explainers.location.findings import questions
from aftertune.explainers.location.result import FEED_FORWARD, Measured, Module
from aftertune.explainers.location.settings import LocationSettings
from aftertune.explainers.location.show import figures, section, tables, to_html
from aftertune.models.size import ModelSize
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.questions import answer

pytestmark = pytest.mark.usefixtures("drawn")

SETTINGS = {"swaps": 80, "texts": 12, "answer_tokens": 32, "template": "raw", "prompts": {"n": 8}}
N_TEXTS = 8
WHOLE = np.linspace(1, 2, N_TEXTS)
PROMPTS = [f"p{n}" for n in range(N_TEXTS)]
NETWORKS = {0: 0.125, 1: 0.5}  # what the feed-forward network of each layer brings
SIZE = ModelSize(1000, 600, 2, 3, 1, 4, 5, 7, 2, 14, 11, 128)


def size_row(layer: int | None, module: str, change: float, top: float = 0.3) -> dict[str, Any]:
    name = f"{module} {layer}"
    about = {"weight": name, "tied_to": None, "layer": layer, "module": module, "n_parameters": 50}
    known = {"top5_share": top, "effective_rank": 20.0, "noise_top5_share": 0.02, "noise_effective_rank": 100.0}
    ranks = known if change else dict.fromkeys(known)
    return about | {"is_equal": not change, "squared_change": change, "squared_norm": 100.0} | ranks


def swap_rows(brings: float, takes: float, noise: float = 0.0) -> pl.DataFrame:
    """A swap that brings and takes the same share on every prompt, but for some noise."""
    spread = noise * np.tile([1.0, -1.0], N_TEXTS // 2)
    return pl.DataFrame(
        {
            "prompt": PROMPTS,
            "in_log_ratio": brings * WHOLE + spread,
            "in_divergence": (1 - brings) * WHOLE,
            "out_log_ratio": (1 - takes) * WHOLE,
            "out_divergence": takes * WHOLE,
        }
    )


def together(**parts: tuple[str, int | None, int | None, pl.DataFrame]) -> pl.DataFrame:
    names = {"stretch": result.STRETCH, "stretch_noise": result.STRETCH_NOISE, "module_noise": result.MODULE_NOISE}
    frames = [
        rows.with_columns(what=pl.lit(names[name]), module=pl.lit(kind), first=pl.lit(first), last=pl.lit(last))
        for name, (kind, first, last, rows) in parts.items()
    ]
    schema = pl.Schema(result.TOGETHER)
    return pl.concat([one.select(*schema).cast(schema) for one in frames]) if frames else pl.DataFrame(schema=schema)


def measured(
    sizes: Sequence[Mapping[str, Any]] | None = None,
    whole: Any = WHOLE,
    brings: Mapping[int, float] = NETWORKS,
    stretch: pl.DataFrame | None = None,
    noise: float = 0.05,
) -> Measured:
    known = [size_row(None, "norms", 0.0), *(size_row(layer, FEED_FORWARD, 4.0) for layer in NETWORKS)]
    texts = pl.DataFrame(
        {
            "prompt": PROMPTS,
            "answer": "x",
            "ended": False,
            "prompt_ids": [[1]] * N_TEXTS,
            "answer_ids": [[2, 3]] * N_TEXTS,
        }
    )
    parts = {}
    if stretch is not None:
        other = swap_rows(noise, noise)
        parts = {"stretch": (FEED_FORWARD, 1, 1, stretch), "stretch_noise": (FEED_FORWARD, 1, 1, other)}
    way = {"prompt": PROMPTS * 2, "direction": ["up to"] * N_TEXTS + ["from"] * N_TEXTS}
    return Measured(
        sizes=pl.DataFrame(known if sizes is None else sizes, schema=pl.Schema(result.SIZES)),
        texts=texts.with_columns(log_ratio=pl.Series(whole), divergence=pl.Series(WHOLE)),
        swaps={Module(layer, FEED_FORWARD): swap_rows(share, share / 2) for layer, share in brings.items()},
        cumulative={
            0: pl.DataFrame(way | {"log_ratio": [*(0.2 * WHOLE), *WHOLE], "divergence": [*(0.5 * WHOLE), *(0 * WHOLE)]})
        },
        together=together(**parts),
    )


def change(given: Measured | None = None) -> LocationChange:
    return compare_location(given or measured(stretch=swap_rows(0.5, 0.75)), "base", "tuned", SETTINGS)


def found(given: LocationChange) -> dict[str, Finding]:
    return {one.kind: one for one in answer(questions(given))}


def test_shares_are_ratios_of_sums_over_prompts() -> None:
    one = change(measured(stretch=swap_rows(0.5, 0.75, 0.1)))
    assert [row.brings for row in one.singles] == pytest.approx([0.125, 0.5, 0])
    assert [row.takes for row in one.singles] == pytest.approx([0.0625, 0.25, 0])
    assert [row.brings_divergence for row in one.singles] == pytest.approx([0.125, 0.5, 0])
    assert [row.takes_divergence for row in one.singles] == pytest.approx([0.0625, 0.25, 0])
    stretch = next(row for row in one.modules if row.swapped == "stretch")
    assert (stretch.brings, stretch.takes, stretch.layers) == (pytest.approx(0.5), pytest.approx(0.75), "1")
    assert (
        stretch.brings_interval is not None
        and 0.4 < stretch.brings_interval[0] < 0.5 < stretch.brings_interval[1] < 0.6
    )
    (row,) = one.cumulative
    assert (row.up_to, row.onward, row.up_to_divergence, row.onward_divergence) == pytest.approx((0.2, 1, 0.5, 1))


def test_the_whole_change() -> None:
    total = change().total
    assert (total.n_parameters, total.n_weights, total.n_changed, total.n_texts, total.n_tokens) == (150, 3, 2, 8, 16)
    assert total.relative_change == pytest.approx((8 / 300) ** 0.5) and total.log_ratio == pytest.approx(1.5)
    assert (total.sum_brings, total.sum_takes) == pytest.approx((0.625, 0.3125))
    assert total.top5_share == pytest.approx(0.3) and not total.tied
    (network,) = [row for row in change().singles if row.layer == 1]
    assert network.share_of_change == pytest.approx(0.5) and network.relative_change == pytest.approx(0.2)


def test_where_half_sits_is_claimed_by_a_permutation_test_of_prompts() -> None:
    where = found(change())["location.where"]
    assert where.verdict is Verdict.SHOWN
    assert where.evidence["p_value"] == pytest.approx(2 / 2**N_TEXTS)
    assert (where.evidence["module"], where.evidence["layers"]) == (FEED_FORWARD, "1")
    assert where.evidence["brings"] == pytest.approx(0.5) and where.evidence["noise_brings"] == pytest.approx(0.05)


@pytest.mark.parametrize(("takes", "is_needed"), [(0.75, True), (0.25, True), (0.2, False)])
def test_what_is_still_there_without_the_stretch_is_said(takes: float, is_needed: bool) -> None:
    where = found(change(measured(stretch=swap_rows(0.5, takes))))["location.where"]
    assert where.evidence["is_needed"] is is_needed and ("other parts" in where.headline) is not is_needed


def test_where_tells_the_stretch_with_its_share_and_that_of_noise() -> None:
    where = change(measured(stretch=swap_rows(0.5, 0.75, 0.1))).where()
    assert where is not None and (where.module, where.layers, where.n_layers) == (FEED_FORWARD, "1", 1)
    assert (where.brings, where.noise) == pytest.approx((0.5, 0.05)) and where.is_beyond_noise is True
    assert where.brings_interval is not None and 0.4 < where.brings_interval[0] < 0.5 < where.brings_interval[1] < 0.6
    assert where.noise_interval == pytest.approx((0.05, 0.05))
    assert where.text.startswith("50% [") and where.text.endswith(
        "of the change comes with the feed-forward of layer 1 of 1 (weight noise of the same size: 5% [5, 5])"
    )


def test_where_is_not_beyond_noise_that_brings_as_much() -> None:
    where = change(measured(stretch=swap_rows(0.5, 0.75), noise=0.5)).where()
    assert where is not None and where.is_beyond_noise is False


def test_where_without_a_stretch_is_what_cumulative_shares_say() -> None:
    plain = measured()
    depths = [plain.cumulative[0].with_columns(log_ratio=pl.Series([*(a * WHOLE), *(b * WHOLE)])) for a, b in DEPTHS]
    where = change(replace(plain, cumulative=dict(enumerate(depths)))).where()
    assert where is not None and (where.module, where.layers, where.n_layers) == ("layers", "2 to 3", 4)
    assert where.brings == pytest.approx(0.7) and where.brings_interval == pytest.approx((0.7, 0.7))
    assert (where.noise, where.noise_interval, where.is_beyond_noise) == (None, None, None)
    assert where.name == "everything from layer 2 of 4 on"
    depths[:2] = [depths[0].with_columns(log_ratio=pl.Series([*(0.5 * WHOLE), *WHOLE])), depths[1]]
    where = change(replace(plain, cumulative=dict(enumerate(depths)))).where()
    assert where is not None and (where.layers, where.brings) == ("0 to 0", pytest.approx(0.5))


DEPTHS = [(0.1, 1.0), (0.2, 0.8), (0.4, 0.7), (1.0, 0.3)]


def test_where_is_the_module_of_the_largest_share_where_no_few_layers_bring_half() -> None:
    plain = measured(brings={0: 0.1, 1: 0.3})
    alone = together(module_noise=(FEED_FORWARD, 1, 1, swap_rows(0.02, 0.02)))
    where = change(replace(plain, cumulative={}, together=alone)).where()
    assert where is not None and (where.module, where.layers) == (FEED_FORWARD, "1")
    assert (where.brings, where.noise) == pytest.approx((0.3, 0.02)) and where.is_beyond_noise is True
    finding = found(change(replace(plain, together=alone)))["location.where"]
    assert finding.evidence["where"]["brings"] == pytest.approx(0.3)


def test_where_is_not_told_where_no_share_is_defined() -> None:
    assert change(measured(whole=-WHOLE)).where() is None
    assert change(replace(measured(brings={}), cumulative={})).where() is None


def test_prompts_that_were_left_out_are_told() -> None:
    one = change(replace(measured(stretch=swap_rows(0.5, 0.75)), n_left_out=3))
    assert one.total.n_left_out == 3 and "3 prompts were left out" in str(section(one).body)
    assert found(one)["location.where"].evidence["n_left_out"] == 3


def test_noise_that_brings_as_much_leaves_no_claim() -> None:
    where = found(change(measured(stretch=swap_rows(0.5, 0.75), noise=0.5)))["location.where"]
    assert where.verdict is Verdict.NOT_SHOWN and where.evidence["p_value"] == 1


def test_an_interval_that_holds_zero_is_described_only() -> None:
    where = found(change(measured(stretch=swap_rows(0.1, 0.1, noise=3.0))))["location.where"]
    assert where.verdict is Verdict.NOT_TESTED


def test_too_few_answers_can_not_claim_anything() -> None:
    few = measured(stretch=swap_rows(0.5, 0.75))
    four = {name: getattr(few, name).filter(pl.col("prompt").is_in(PROMPTS[:4])) for name in ("texts", "together")}
    swaps = {module: rows.head(4) for module, rows in few.swaps.items()}
    where = found(change(Measured(few.sizes, four["texts"], swaps, {}, four["together"])))["location.where"]
    assert where.verdict is Verdict.CANNOT_TELL and where.evidence["brings"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (measured(whole=-WHOLE), Verdict.CANNOT_TELL),
        (measured(brings={0: 0.1, 1: 0.2}), Verdict.NOT_TESTED),
        (measured(brings={}), Verdict.NOT_TESTED),
    ],
)
def test_where_nothing_can_be_located(given: Measured, verdict: Verdict) -> None:
    assert found(change(given))["location.where"].verdict is verdict


def test_shares_are_not_defined_where_the_answers_are_no_likelier() -> None:
    one = change(measured(whole=-WHOLE))
    assert {row.brings for row in one.singles if row.relative_change} == {None} and one.cumulative[0].up_to is None
    assert one.singles[0].brings_divergence == pytest.approx(0.125)
    assert figures(one)[1].chart is None


def test_shares_that_do_not_add_up_are_told() -> None:
    assert found(change())["location.not_additive"].evidence["sum_brings"] == pytest.approx(0.625)
    assert "location.not_additive" not in found(change(measured(brings={0: 0.5, 1: 0.5})))
    assert "location.not_additive" in found(change(measured(brings={0: 0.9, 1: 0.9})))


@pytest.mark.parametrize(("top", "told"), [(0.9, "low rank"), (0.3, "many directions"), (0.03, "all directions")])
def test_the_rank_is_told_by_its_measured_share(top: float, told: str) -> None:
    rank = found(change(measured([size_row(0, FEED_FORWARD, 4.0, top)])))["location.rank"]
    assert told in rank.headline and rank.verdict is Verdict.NOT_TESTED
    assert rank.evidence["top5_share"] == pytest.approx(top)


def test_same_weights_are_said_to_be_the_same() -> None:
    empty = pl.DataFrame(schema=pl.Schema(result.TEXTS))
    one = change(
        Measured(
            measured([size_row(0, FEED_FORWARD, 0.0)]).sizes,
            empty,
            {},
            {},
            pl.DataFrame(schema=pl.Schema(result.TOGETHER)),
        )
    )
    assert one.is_same_weights and list(found(one)) == ["location.same_weights"]
    assert section(one).body is not None and to_html(one)
    json.dumps(one.to_dict(), allow_nan=False)


def test_the_page_the_tables_and_the_notebook() -> None:
    one = change()
    page = section(one)
    assert 'id="location_modules"' in str(page.body) and "<svg" in str(page.body) and str(page.methods)
    assert [table.name for table in tables(one)] == [
        f"location_{n}" for n in ("modules", "cumulative", "named", "contexts", "weights", "answers")
    ]
    assert all(figure.chart is not None for figure in page.figures)
    frame = one.tables()["location_modules"]
    assert frame.height == len(one.modules) and {"brings_interval_low", "top5_share", "swapped"} <= set(frame.columns)
    assert [pale for pale, _ in tables(one)[0].html_rows].count(True) == 1
    assert one.to_polars().equals(frame) and "location_grid" not in to_html(one)
    told = one.to_dict()
    assert {"modules", "cumulative", "total"} <= set(told) and told["modules"][1]["brings"] == pytest.approx(0.5)


def test_the_measure_is_the_change_of_all_weights() -> None:
    (one,) = LocationExplainer().measures(change())
    assert one.name == "relative_change" and one.value == pytest.approx((8 / 300) ** 0.5)
    assert one.phrase.format(value=one.value)


def test_what_is_made_of_saved_parts_needs_no_torch() -> None:
    names = ("change", "compare", "findings", "show", "result", "settings", "rows", "where", "stretch")
    modules = ", ".join(f"aftertune.explainers.location.{name}" for name in names)
    code = f"import sys, {modules}; print('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_what_is_left_is_told_before_the_run(tmp_path: Any) -> None:
    """By hand: 1,000 weights of which 600 are in layers, two layers, 3 prompts of 10 tokens, answers of 4."""
    settings, inputs = LocationSettings(texts=3, answer_tokens=4), Inputs([None] * 5, lengths=[10, 10, 10, 10, 10])  # type: ignore[list-item]
    passes = 2 * 7 + 2 * 2 + 8  # seven modules both ways, two layers cumulatively, the stretch and the noise
    logits = 3 * 4 * 11
    swaps = cost.swaps_cost(settings, inputs, SIZE, 4)
    assert cost.n_passes(settings, SIZE) == passes
    assert swaps.operations == pytest.approx(passes * 2 * logits * 5 + (passes / 2 + 2) * 2 * 600 * (30 + 12))
    assert swaps.moved == passes * cost.PASSES_OVER_LOGITS * 4 * logits
    assert cost.sizes_cost(SIZE).operations == pytest.approx(2 * (2 * 1000 * 5 + 12 * (1000 / 25) * 125))
    assert cost.peak_bytes(settings, inputs, SIZE) == 2 * 2 * 5 * (30 + 12) * 4 + 4 * 4 * 12 * 11
    run, pair = RunFolder.start(tmp_path / "run", {}, {}), Pair("base", "tuned")
    assert list(cost.remaining(settings, inputs, run, pair, SIZE).steps) == [cost.SIZES, cost.ANSWERS, cost.SWAPS]
    run.write_frame(result.sizes_part(run, pair), measured().sizes)
    assert list(cost.remaining(settings, inputs, run, pair, SIZE).steps) == [cost.ANSWERS, cost.SWAPS]
    run.write_frame(result.together_part(run, pair), measured().together)
    assert not cost.remaining(settings, inputs, run, pair, SIZE).steps
    told = dict(LocationExplainer().prepare(settings, inputs).chosen())
    assert "3 answers of up to 4 tokens" in told["location"] and "80 at most" in told["location"]
