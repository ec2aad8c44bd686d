"""Where a change sits, measured: sizes against float64, swaps against planted tunes, and models left as they were."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from aftertune.errors import CheckpointError, RunError
from aftertune.explainers.location import sizes as measured_sizes
from aftertune.explainers.location.bench import Bench, exchanged
from aftertune.explainers.location.modules import Slot, places
from aftertune.explainers.location.result import EMBEDDINGS, FEED_FORWARD, HEAD, KINDS, Module, read_measured
from aftertune.explainers.location.sizes import noise_of, sizes_of
from aftertune.explainers.location.stretch import Stretch, chosen_stretch, shortest_range
from aftertune.explainers.location.swaps import Swaps
from aftertune.explainers.location.texts import Text, batches
from aftertune.runs.stage import silent
from location_samples import PAIR, in_places, located, log_p, noise, opened, started, tuned_pair, work
from tiny import FAMILIES, MIXTURES, make_model

SQUARE = {"weight": torch.float64}


def of_numpy(change: Any) -> tuple[float, float, float]:
    squared = np.linalg.svd(np.asarray(change, dtype=np.float64), compute_uv=False) ** 2
    return squared.sum(), squared[:5].sum() / squared.sum(), squared.sum() ** 2 / (squared**2).sum()


@pytest.mark.parametrize("shape", [(7, 3), (40, 130), (130, 90)])
def test_sizes_are_those_of_a_float64_svd(shape: tuple[int, int]) -> None:
    base, change = make_matrix(shape, 0), make_matrix(shape, 1) * torch.linspace(0.1, 2, shape[1])
    found, (square, top, rank) = sizes_of(base, base + change), of_numpy((base + change).double() - base.double())
    assert found["squared_change"] == pytest.approx(square, rel=1e-12)
    assert found["squared_norm"] == pytest.approx(float(base.double().square().sum()), rel=1e-12)
    assert found["top5_share"] == pytest.approx(top, rel=1e-9) and found["effective_rank"] == pytest.approx(
        rank, rel=1e-9
    )


def test_large_weights_are_measured_by_a_part_of_their_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    base, decay = make_matrix((300, 200), 0), torch.exp(-torch.arange(200) / 8.0)
    change = torch.linalg.qr(make_matrix((300, 200), 1)).Q * decay @ torch.linalg.qr(make_matrix((200, 200), 2)).Q
    exact = sizes_of(base, base + change)
    monkeypatch.setattr(measured_sizes, "EXACT", 100)
    found = sizes_of(base, base + change)
    assert found["top5_share"] == pytest.approx(exact["top5_share"], rel=1e-3)
    assert found["effective_rank"] == pytest.approx(exact["effective_rank"], rel=0.02)
    low = sizes_of(base, base + make_matrix((300, 2), 3) @ make_matrix((2, 200), 4))
    assert low["top5_share"] == pytest.approx(1, abs=1e-5) and low["effective_rank"] < 2.001


def test_noise_has_the_shares_and_ranks_of_its_formula() -> None:
    base, change = torch.zeros(400, 250), make_matrix((400, 250), 5)
    found, noise_has = sizes_of(base, change), noise_of(400, 250)
    assert 0.9 * noise_has["noise_top5_share"] < found["top5_share"] <= 1.01 * noise_has["noise_top5_share"]
    assert found["effective_rank"] == pytest.approx(noise_has["noise_effective_rank"], rel=0.01)
    assert noise_of(3, 2)["noise_top5_share"] == 1.0


def test_vectors_experts_and_equal_weights() -> None:
    vector = sizes_of(torch.ones(4), torch.full((4,), 3.0))
    assert (vector["squared_change"], vector["squared_norm"], vector["top5_share"]) == (16, 4, None)
    assert sizes_of(torch.ones(9, 9), torch.ones(9, 9))["effective_rank"] is None
    base, change = torch.zeros(3, 30, 20), torch.stack([make_matrix((30, 20), n) * n for n in range(3)])
    found, each = sizes_of(base, change), [of_numpy(one) for one in change[1:]]
    shares = np.array([one[0] for one in each])
    assert found["top5_share"] == pytest.approx(shares @ [one[1] for one in each] / shares.sum(), rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_belongs_to_one_module(family: str) -> None:
    base, tuned = tuned_pair(lambda *_: None, family)
    found = places(base, tuned)
    assert sum(one.pair[0].numel() for one in found) == sum(p.numel() for p in base.model.parameters())
    assert len({one.name for one in found}) == len(found) and {one.module.kind for one in found} <= set(KINDS)
    kinds = {one.module for one in found}
    assert {Module(layer, kind) for layer in range(3) for kind in ("attention", FEED_FORWARD)} <= kinds
    (inside,) = [
        one
        for one in found
        if one.pair[0] is not None and one.name.endswith(("wte.weight", "embed_tokens.weight", "embed_in.weight"))
    ]
    assert inside.module == Module(None, EMBEDDINGS)
    assert (inside.tied_to is not None) == (Module(None, HEAD) not in kinds)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pass_that_begins_at_a_layer_is_the_whole_pass(family: str) -> None:
    """Against the plain forward pass of the library, with layer 1 exchanged; every family, positions padded."""
    base, tuned = tuned_pair(in_places(".1."), family)
    texts = [Text("a", (1, 40, 50), (60, 70, 80, 90), ""), Text("b", (1, 44, 45, 46), (61, 71), "")]
    bench = Bench.of(base, tuned, batches(texts, torch.device("cpu")), 2, 300)
    weights = {place.base[0]: place.tuned[0].weight for place in places(base, tuned) if not place.is_equal}
    found = bench.base_with(weights, 1)
    for place, text in enumerate(texts):
        said = [log_p(one, text) for one in (base, tuned)]
        targets = torch.tensor(text.answer_ids)[:, None]
        ratio = (said[1] - said[0]).gather(1, targets).mean()
        assert found.log_ratio[place] == pytest.approx(float(ratio), abs=1e-4)
        assert bench.whole().divergence[place] == pytest.approx(
            float((said[1].exp() * (said[1] - said[0])).sum(1).mean()), abs=1e-4
        )
    np.testing.assert_allclose(found.divergence, 0, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", MIXTURES[0]])
def test_a_planted_tune_is_found(tmp_path: Path, family: str) -> None:
    """Only layer 1's feed-forward network was tuned: it brings and takes all, everything else nothing."""
    own = (".1.mlp",)
    change = located(tmp_path, in_places(*own), family)
    for row in change.singles:
        is_own = float((row.layer, row.module) == (1, FEED_FORWARD))
        assert (row.brings, row.takes) == pytest.approx((is_own, is_own), abs=1e-4), row
        assert (row.brings_divergence, row.takes_divergence) == pytest.approx((is_own, is_own), abs=1e-4)
        assert float(row.relative_change > 0) == is_own
    assert [row.up_to for row in change.cumulative] == pytest.approx([0, 1, 1], abs=1e-4)
    assert [row.onward for row in change.cumulative] == pytest.approx([1, 1, 0], abs=1e-4)
    assert change.claim is not None and change.claim.name == "the feed-forward of layer 1"
    assert change.claim.stretch.brings == pytest.approx(1, abs=1e-4)


def test_two_planted_modules_share_the_change(tmp_path: Path) -> None:
    change = located(tmp_path, in_places(".0.mlp", ".2.self_attn", size=0.02))
    shares = {(row.layer, row.module): row.brings for row in change.singles if row.relative_change}
    assert set(shares) == {(0, FEED_FORWARD), (2, "attention")}
    assert all(share is not None and share > 0.02 for share in shares.values())
    assert change.total.sum_brings == pytest.approx(sum(map(float, shares.values())))
    assert change.total.sum_brings == pytest.approx(1, abs=0.3)  # small changes add up nearly
    assert all(row.brings == 0 for row in change.singles if not row.relative_change)


def test_a_change_of_low_rank_has_all_of_it_in_five_directions(tmp_path: Path) -> None:
    def low_rank(name: str, weight: torch.Tensor) -> torch.Tensor | None:
        if "proj" not in name:
            return None
        return 0.3 * make_matrix((len(weight), 2), 1) @ make_matrix((2, weight.shape[1]), 2)

    change = located(tmp_path, low_rank, swaps=0)
    assert change.total.top5_share == pytest.approx(1, abs=1e-5)
    assert change.total.effective_rank is not None and change.total.effective_rank <= 2.001
    assert change.total.n_swapped == 0 and change.claim is None and change.cumulative[-1].up_to is not None


def test_sizes_by_module_are_those_of_the_weights(tmp_path: Path) -> None:
    base, tuned = tuned_pair(in_places("mlp", "norm"))
    run = started(tmp_path)
    work(swaps=0).measure_pair(base, tuned, PAIR, run, silent)
    row = next(one for one in opened(run).singles if (one.layer, one.module) == (2, FEED_FORWARD))
    before, after = (dict(one.model.named_parameters()) for one in (base, tuned))
    names = [name for name in before if ".layers.2.mlp" in name]
    change = sum(float((after[name].double() - before[name].double()).square().sum()) for name in names)
    norm = sum(float(before[name].double().square().sum()) for name in names)
    assert row.relative_change == pytest.approx((change / norm) ** 0.5, rel=1e-9)
    assert row.n_parameters == sum(before[name].numel() for name in names)


def halves(
    shares: dict[Module, float], brought: Callable[[int], float], shortest: Stretch | None = None
) -> tuple[list[int], Stretch | None]:
    """The numbers of modules that were swapped as one, and what came out, where n of them bring ``brought(n)``."""
    swaps, tried = Swaps(None, (), 5, ["a"], 1.0), list[int]()  # type: ignore[arg-type]

    def both_ways(modules: Sequence[Module]) -> pl.DataFrame:
        tried.append(len(modules))
        return pl.DataFrame({"in_log_ratio": [brought(len(modules))]})

    object.__setattr__(swaps, "both_ways", both_ways)
    return tried, next((stretch for stretch, _ in swaps._halves(shares, shortest)), None)


def test_a_stretch_is_widened_until_it_brings_half_as_one() -> None:
    shares = {Module(n, FEED_FORWARD): 0.2 for n in range(5)}
    assert halves(shares, lambda n: 0.14 * n) == ([3, 4], Stretch(FEED_FORWARD, 0, 3))


def test_the_range_by_cumulative_shares_is_tried_where_it_is_shorter_or_nothing_else_brings_half() -> None:
    shares, few = {Module(n, FEED_FORWARD): 0.2 for n in range(5)}, Stretch("layers", 3, 4)
    assert halves({Module(0, FEED_FORWARD): 0.1}, lambda _: 0.6, few) == ([4], few)
    assert halves(shares, lambda n: {3: 0.1, 4: 0.6}.get(n, 0.2), few)[1] == few
    assert halves(shares, lambda n: 0.2 * n, Stretch(FEED_FORWARD, 3, 4)) == ([3, 2], Stretch(FEED_FORWARD, 0, 2))
    assert halves(shares, lambda _: 0.6, Stretch(FEED_FORWARD, 3, 4)) == ([3, 2], Stretch(FEED_FORWARD, 3, 4))
    assert halves(shares, lambda n: 0.2 * n, few) == ([3], Stretch(FEED_FORWARD, 0, 2))
    assert halves({}, lambda _: 0.6) == ([], None)


def test_the_shortest_range_that_brings_half_by_cumulative_shares() -> None:
    up_to, onward = (0.1, 0.2, 0.5, 1.0), (1.0, 0.9, 0.7, 0.3)
    assert shortest_range(up_to, onward) == Stretch("layers", 2, 3)
    assert shortest_range(up_to, (1.0, 0.4, 0.3, 0.2), FEED_FORWARD) == Stretch(FEED_FORWARD, 0, 2)
    assert shortest_range((0.1, 0.2, 0.3, 1.0), (1.0, 0.4, 0.3, 0.2)) is None and shortest_range((), ()) is None


def test_tied_embeddings_are_one_module_and_swapped_at_both_ends(tmp_path: Path) -> None:
    base, tuned = tuned_pair(in_places("embed_tokens"))
    assert base.model.lm_head.weight is base.model.model.embed_tokens.weight
    run = started(tmp_path)
    work().measure_pair(base, tuned, PAIR, run, silent)
    change = opened(run)
    assert change.total.tied and change.total.n_parameters == base.provenance.n_parameters
    assert not [row for row in change.singles if row.module == HEAD]
    (row,) = [row for row in change.singles if row.module == EMBEDDINGS]
    assert (row.brings, row.takes) == pytest.approx((1, 1), abs=1e-4)
    # Read as input only, the base's embeddings leave the tuned head in place.
    assert change.cumulative[0].up_to == pytest.approx(1 - float(change.cumulative[0].onward or 0), abs=2)
    assert base.model.lm_head.weight is base.model.model.embed_tokens.weight


def test_more_tokens_in_the_tuned_vocabulary_are_left_out(tmp_path: Path) -> None:
    base, tuned = tuned_pair(in_places(".1.mlp"), "qwen2")
    tuned.model.resize_token_embeddings(310, mean_resizing=False)
    run = started(tmp_path)
    work().measure_pair(base, tuned, PAIR, run, silent)
    sizes = read_measured(run, PAIR).sizes
    embeddings = sizes.filter(sizes["module"].is_in([EMBEDDINGS, HEAD]))
    assert embeddings["squared_change"].to_list() == [0, 0] and not embeddings["is_equal"].any()
    row = next(row for row in opened(run).singles if (row.layer, row.module) == (1, FEED_FORWARD))
    assert row.brings == pytest.approx(1, abs=1e-4)


def test_same_weights_are_not_swapped(tmp_path: Path) -> None:
    change = located(tmp_path, lambda *_: None)
    assert change.is_same_weights and change.cumulative == () and change.claim is None
    assert change.total.relative_change == 0 and change.total.n_texts == 0
    assert all(row.brings is None for row in change.singles)


def test_models_are_left_bit_for_bit_as_they_were(tmp_path: Path) -> None:
    pair = tuned_pair(in_places(".1.", "embed", "norm"), "qwen3")
    models = [one.model.train() for one in pair]
    before = [[(id(p), p.clone()) for p in model.parameters()] for model in models]
    work().measure_pair(*pair, PAIR, started(tmp_path), silent)
    for model, kept in zip(models, before, strict=True):
        assert model.training and not any("forward" in vars(module) for module in model.modules())
        assert not any(module._forward_hooks for module in model.modules())
        for weight, (place, values) in zip(model.parameters(), kept, strict=True):
            assert id(weight) == place and torch.equal(weight.view(torch.uint8), values.view(torch.uint8))


def test_weights_are_put_back_after_an_error() -> None:
    model = make_model()
    slot = Slot(model.model.norm, "weight")
    own = slot.weight
    with pytest.raises(KeyboardInterrupt), exchanged({slot: torch.zeros(32)}):
        assert not slot.weight.any()
        raise KeyboardInterrupt
    assert slot.weight is own


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    pair, whole, cut = tuned_pair(in_places(".1.", "norm")), started(tmp_path / "a"), started(tmp_path / "b")
    work().measure_pair(*pair, PAIR, whole, silent)
    for stop in (3, 32, 4, 6, 8):  # amid the sizes, before the first swap, after one, after three, after five
        calls = []

        def interrupt(step: str, done: float, total: float, calls: list[Any] = calls, stop: int = stop) -> None:
            calls.append((step, done, total))
            if len(calls) > stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work().measure_pair(*pair, PAIR, cut, interrupt)
        assert not work().is_pair_measured(cut, PAIR)
    work().measure_pair(*pair, PAIR, cut, silent)
    files = [sorted(p.relative_to(r.address) for p in Path(r.address).rglob("*.parquet")) for r in (whole, cut)]
    assert files[0] == files[1] and len(files[0]) > 6 and work().is_pair_measured(cut, PAIR)
    for name in files[0]:
        assert (Path(whole.address) / name).read_bytes() == (Path(cut.address) / name).read_bytes(), name


def test_only_the_modules_that_changed_most_are_swapped_where_so_many_are_asked_for(tmp_path: Path) -> None:
    change = located(tmp_path, lambda name, weight: noise(weight, 0.3 if ".2.mlp" in name else 0.02), swaps=1)
    assert [(row.layer, row.module) for row in change.singles if row.brings is not None] == [(2, FEED_FORWARD)]
    assert change.total.sum_brings is None and change.total.n_swapped == 1


def test_other_settings_and_other_models_are_refused(tmp_path: Path) -> None:
    run, pair = started(tmp_path), tuned_pair(in_places(".1.mlp"))
    work(swaps=0).measure_pair(*pair, PAIR, run, silent)
    configs = [one.model.config for one in pair]
    with pytest.raises(RunError, match="swaps was 0, is now 3"):
        work(swaps=3).must_fit(configs, run)
    other = make_model("qwen2").config
    with pytest.raises(CheckpointError, match="model_type"):
        work(swaps=0).must_fit([configs[0], other], run)
    work(swaps=0).must_fit([configs[0], None], run)
    with pytest.raises(CheckpointError, match="in one of them only"):
        places(pair[0], tuned_pair(lambda *_: None, "qwen2")[1])


def test_the_stretch_is_the_one_of_fewest_modules_that_adds_up_to_half() -> None:
    network, attention = (lambda n: Module(n, FEED_FORWARD)), (lambda n: Module(n, "attention"))
    shares = {network(n): share for n, share in enumerate((0.1, 0.3, 0.25, 0.1))}
    assert chosen_stretch(shares, 4) == Stretch(FEED_FORWARD, 1, 2)
    both = {attention(2): 0.3, network(2): 0.25, network(0): 0.2}
    assert chosen_stretch(both, 3) == Stretch("layers", 2, 2)
    assert chosen_stretch({Module(None, EMBEDDINGS): 0.6, network(0): 0.6}, 1) == Stretch(EMBEDDINGS, None, None)
    assert chosen_stretch({network(0): 0.2}, 3) is None and chosen_stretch({}, 3) is None
    assert Stretch("layers", 2, 4).text == "the layers 2 to 4" and len(Stretch("layers", 2, 4).modules) == 6


def make_matrix(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
