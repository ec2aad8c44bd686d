"""Heads and directions that are named, swapped alone: planted tunes, naive loops, algebra, and what is told."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from aftertune.explainers.concepts.written import WrittenRow, named_directions
from aftertune.explainers.heads.change import StrengthRow
from aftertune.explainers.heads.strengths import named_heads
from aftertune.explainers.location import LocationExplainer
from aftertune.explainers.location.bench import Bench
from aftertune.explainers.location.change import LocationChange
from aftertune.explainers.location.named.compare import context_rows, named_rows
from aftertune.explainers.location.named.contexts import driving_texts
from aftertune.explainers.location.named.findings import DIRECTIONS, HEADS, named_questions
from aftertune.explainers.location.named.result import N_DRAWS, NAMED, NOISE, SWAP, Unit, units
from aftertune.explainers.location.named.show import contexts_table, missing, named_table
from aftertune.explainers.location.named.swap import of_direction, of_heads, swap_unit
from aftertune.explainers.location.texts import Text, batches
from aftertune.explainers.location.whole import Whole
from aftertune.explainers.named import Named
from aftertune.models import Checkpoint, load
from aftertune.models.head_slices import head_slices
from aftertune.models.weight_changes import writers, written_change
from aftertune.models.weights import attending, attention_shape
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from aftertune.statistics.finding import Verdict
from aftertune.statistics.questions import answer
from location_samples import PAIR, in_places, log_p, noise, opened, started, tuned_pair, work
from location_samples import TEXTS as GIVEN
from tiny import FAMILIES, make_tokenizer

D = 8  # dimensions of a head of the tiny llama, which has 4 heads, two of them sharing keys and values
TEXTS = [
    Text("a", (1, 40, 50), (60, 70, 80, 90), ""),
    Text("b", (1, 44, 45, 46), (61, 71), ""),
    Text("c", (1, 99), (7, 100, 31), ""),
]
PROMPTS = [one.prompt for one in TEXTS]


def bench_of(base: Checkpoint, tuned: Checkpoint) -> Bench:
    return Bench.of(base, tuned, batches(TEXTS, torch.device("cpu")), len(TEXTS), 300)


def head(number: int, layer: int = 1) -> Unit:
    return Unit("head", layer, "attention", number, number, 1, ("the → cat",))


def group(first: int, last: int, layer: int = 1) -> Unit:
    return Unit("group", layer, "attention", first, last, 1, ())


def direction(rank: int = 1, module: str = "feed-forward", layer: int = 1, sign: int = 1) -> Unit:
    return Unit("direction", layer, module, rank, rank, sign, ("cat", "mat"))


def in_head(number: int, size: float = 0.3) -> dict[str, torch.Tensor]:
    """A change of the queries and the columns of one head of layer 1."""
    rows = slice(number * D, (number + 1) * D)
    found = {"q_proj": torch.zeros(32, 32), "o_proj": torch.zeros(32, 32)}
    found["q_proj"][rows] = noise(torch.empty(D, 32), size)
    found["o_proj"][:, rows] = noise(torch.empty(32, D), size)
    return {f"model.layers.1.self_attn.{name}.weight": one for name, one in found.items()}


def planted(added: Mapping[str, torch.Tensor]) -> tuple[Checkpoint, Checkpoint]:
    return tuned_pair(lambda name, _: added.get(name))


def share(base: Checkpoint, tuned: Checkpoint, unit: Unit) -> tuple[float, float, float]:
    """What a unit brings and takes, and the most that a draw of noise brings."""
    bench = bench_of(base, tuned)
    whole, rows = bench.whole().log_ratio.sum(), swap_unit(bench, PROMPTS, unit)
    own, drawn = rows.filter(what=SWAP), rows.filter(what=NOISE).group_by("draw").agg(pl.col("in_log_ratio").sum())
    assert drawn.height == N_DRAWS
    brings, left = (float(own[f"{way}_log_ratio"].to_numpy().sum() / whole) for way in ("in", "out"))
    return brings, 1 - left, float((drawn["in_log_ratio"] / whole).max())  # type: ignore[arg-type]


def test_a_planted_head_brings_and_takes_all_another_head_nothing() -> None:
    base, tuned = planted(in_head(2))
    assert share(base, tuned, head(2))[:2] == pytest.approx((1, 1), abs=1e-4)
    assert share(base, tuned, head(3)) == pytest.approx((0, 0, 0), abs=1e-6)
    assert share(base, tuned, group(2, 3))[:2] == pytest.approx((1, 1), abs=1e-4)
    assert share(base, tuned, group(0, 1)) == pytest.approx((0, 0, 0), abs=1e-6)


def test_shared_keys_and_values_belong_to_the_group() -> None:
    """Only keys and values of the second key head were tuned: no head of its group shows it, the group all of it."""
    change = {
        f"model.layers.1.self_attn.{name}.weight": torch.cat([torch.zeros(D, 32), noise(torch.empty(D, 32))])
        for name in ("k_proj", "v_proj")
    }
    base, tuned = planted(change)
    for number in range(4):
        assert share(base, tuned, head(number)) == pytest.approx((0, 0, 0), abs=1e-6)
    assert share(base, tuned, group(2, 3))[:2] == pytest.approx((1, 1), abs=1e-4)
    assert share(base, tuned, group(0, 1))[:2] == pytest.approx((0, 0), abs=1e-6)


def test_a_head_of_its_own_keys_and_values_takes_them_along() -> None:
    """GPT-2: fused, transposed, with biases."""
    d = 8

    def change(name: str, weight: torch.Tensor) -> torch.Tensor | None:
        if ".1.attn.c_attn" not in name:
            return None
        found = torch.zeros_like(weight)
        for start in (0, 32, 64):  # queries, keys, values of head 2
            part = found[..., start + 2 * d : start + 3 * d]
            part += noise(torch.empty(part.shape), 0.5)
        return found

    base, tuned = tuned_pair(change, "gpt2")
    assert attention_shape(base).n_sharing == 1
    assert share(base, tuned, head(2))[:2] == pytest.approx((1, 1), abs=1e-4)
    assert share(base, tuned, head(1)) == pytest.approx((0, 0, 0), abs=1e-6)


def test_a_planted_direction_brings_and_takes_all() -> None:
    u, v = torch.nn.functional.normalize(noise(torch.empty(32)), dim=0), noise(torch.empty(48), 1.0)
    base, tuned = planted({"model.layers.1.mlp.down_proj.weight": torch.outer(u, v)})
    assert share(base, tuned, direction())[:2] == pytest.approx((1, 1), abs=1e-3)
    assert share(base, tuned, direction(2))[:2] == pytest.approx((0, 0), abs=1e-3)


@pytest.mark.parametrize("unit", [head(1), group(2, 3), direction(2), direction(1, "attention", 2, -1)])
def test_swaps_are_those_of_a_naive_loop_over_state_dicts(unit: Unit) -> None:
    base, tuned = tuned_pair(in_places("self_attn", "mlp", size=0.05))
    rows = swap_unit(bench_of(base, tuned), PROMPTS, unit).filter(what=SWAP)
    states = [{name: one.clone() for name, one in some.model.state_dict().items()} for some in (base, tuned)]
    for way, host, guest in (("in", 0, 1), ("out", 1, 0)):
        mixed = naively_mixed(states[host], states[guest], unit)
        model = copy.deepcopy(base.model)
        model.load_state_dict(mixed)
        made = load(model, tokenizer=make_tokenizer())
        for place, text in enumerate(TEXTS):
            found, own, other = (log_p(one, text) for one in (made, base, tuned))
            targets = torch.tensor(text.answer_ids)[:, None]
            ratio = (found - own).gather(1, targets).mean()
            kl = (other.exp() * (other - found)).sum(1).mean()
            assert rows[f"{way}_log_ratio"][place] == pytest.approx(float(ratio), abs=2e-5)
            assert rows[f"{way}_divergence"][place] == pytest.approx(float(kl), abs=2e-5)


def naively_mixed(
    host: Mapping[str, torch.Tensor], guest: Mapping[str, torch.Tensor], unit: Unit
) -> dict[str, torch.Tensor]:
    """A state dict with a unit of another, by hand."""
    found, layer = {name: one.clone() for name, one in host.items()}, f"model.layers.{unit.layer}."
    if unit.kind == "direction":
        place = "mlp.down_proj" if unit.module == "feed-forward" else "self_attn.o_proj"
        name = f"{layer}{place}.weight"
        change = guest[name].double() - host[name].double()
        u = torch.linalg.svd(change).U[:, unit.number - 1]
        found[name] = (host[name].double() + torch.outer(u, u) @ change).float()
        return found
    rows = slice(unit.number * D, (unit.last + 1) * D)
    found[f"{layer}self_attn.q_proj.weight"][rows] = guest[f"{layer}self_attn.q_proj.weight"][rows]
    found[f"{layer}self_attn.o_proj.weight"][:, rows] = guest[f"{layer}self_attn.o_proj.weight"][:, rows]
    if unit.kind == "group":
        shared = slice(unit.number // 2 * D, (unit.number // 2 + 1) * D)
        for name in ("k_proj", "v_proj"):
            found[f"{layer}self_attn.{name}.weight"][shared] = guest[f"{layer}self_attn.{name}.weight"][shared]
    return found


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "qwen2_moe"])
@pytest.mark.parametrize("module", ["attention", "feed-forward"])
def test_the_parts_along_all_directions_add_up_to_the_change(family: str, module: str) -> None:
    """sum_i u_i u_i' dW = dW for an orthonormal basis; every layout, experts included."""
    base, tuned = tuned_pair(lambda _, weight: noise(weight, 0.1), family)
    basis = torch.linalg.qr(noise(torch.empty(32, 32), 1.0)).Q.double()
    own, other = (writers(one, 1, module) for one in (base, tuned))
    assert len(own) == (2 if (family, module) == ("qwen2_moe", "feed-forward") else 1)
    for before, after in zip(own, other, strict=True):
        parts = [before.onto(u, before.along(after, u)) for u in basis.T]
        torch.testing.assert_close(sum(parts), after.weight.double() - before.weight.double(), atol=1e-5, rtol=0)
        assert all(int(torch.linalg.matrix_rank(one)) == 1 for one in parts[0].reshape(-1, *parts[0].shape[-2:]))


def test_noise_along_a_direction_reads_the_same_and_is_as_large() -> None:
    base, tuned = tuned_pair(in_places(".1.mlp"))
    exchange, place = of_direction(base, tuned, direction()), base.model.model.layers[1].mlp.down_proj.weight
    (own,), (drawn,) = exchange.into_base.values(), exchange.noise(torch.Generator().manual_seed(1)).values()
    part, random = (own - place).detach(), (drawn - place).detach()
    assert float(random.norm()) == pytest.approx(float(part.norm()), rel=1e-4)
    change = written_change(base, tuned, 1, "feed-forward", 1)
    assert change is not None and float(part.norm() ** 2) == pytest.approx(change.shares[0] * change.squared, rel=1e-4)
    rows = [torch.linalg.svd(one).Vh[0] for one in (part, random)]
    assert abs(float(rows[0] @ rows[1])) == pytest.approx(1, abs=1e-4)
    assert abs(float(torch.linalg.svd(part).U[:, 0] @ torch.linalg.svd(random).U[:, 0])) < 0.7


def test_noise_in_a_head_stays_in_its_slices_and_has_the_norm_of_their_change() -> None:
    base, tuned = tuned_pair(in_places("self_attn"))
    drawn = of_heads(base, tuned, head(2)).noise(torch.Generator().manual_seed(1))
    rows = slice(2 * D, 3 * D)
    for slot, weight in drawn.items():
        is_out = slot.owner is base.model.model.layers[1].self_attn.o_proj
        change = (weight - slot.weight).detach()
        own = change[:, rows] if is_out else change[rows]
        assert float(own.norm()) == pytest.approx(float(change.norm())) and float(own.norm()) > 0
        name = "o_proj" if is_out else "q_proj"
        both = [getattr(one.model.model.layers[1].self_attn, name).weight for one in (base, tuned)]
        tuned_change = (both[1] - both[0]).detach()
        assert float(own.norm()) == pytest.approx(
            float((tuned_change[:, rows] if is_out else tuned_change[rows]).norm()), rel=1e-5
        )
    assert len(drawn) == 2


@pytest.mark.parametrize("family", [*FAMILIES, "lfm2", "nanochat", "qwen3_5_text", "starcoder2"])
def test_all_heads_with_all_key_heads_are_the_attention_once(family: str) -> None:
    """Every layout: slices of all heads hold each number of the projections just once."""
    base, _ = tuned_pair(lambda *_: None, family)
    shape, layer = attention_shape(base), attending(base, range(3))[-1]
    counts: dict[tuple[int, str], torch.Tensor] = {}
    each = [head_slices(base, layer, [n]) for n in range(shape.n_heads)]
    each += [head_slices(base, layer, [], [n]) for n in range(shape.n_key_heads)]
    for one in (one for some in each for one in some):
        count = counts.setdefault((id(one.owner), one.leaf), torch.zeros(one.weight.shape))
        count.index_add_(one.dim, one.index, torch.ones_like(one.values, dtype=torch.float32))
    assert counts and all(bool((count == 1).all()) for count in counts.values())
    named = [leaf for _, leaf in counts]
    fused = base.description.fused in ("blocks", "heads")
    assert named.count("weight") == (2 if fused else 4)


def test_driving_tokens_are_those_of_the_largest_projection() -> None:
    base, tuned = tuned_pair(in_places(".1.mlp"))
    unit = direction(sign=-1)
    found = driving_texts(base, tuned, TEXTS, [unit])[unit]
    change = written_change(base, tuned, 1, "feed-forward", 5)
    assert change is not None
    down = [one.model.model.layers[1].mlp.down_proj for one in (base, tuned)]
    driven = []
    for text in TEXTS:
        kept: list[torch.Tensor] = []
        hook = down[1].register_forward_pre_hook(lambda _, given, kept=kept: kept.append(given[0][0]))
        log_p(tuned, text)
        hook.remove()
        driven.append(-((down[1].weight - down[0].weight) @ kept[0].T).T @ change.directions[0])
    scale = torch.cat([one[1:] for one in driven]).square().mean().sqrt()
    best = sorted(((float(one[1:].max() / scale), place) for place, one in enumerate(driven)), reverse=True)
    expected = [(strength, place) for strength, place in best if strength > 0]
    assert found["prompt"].to_list() == [PROMPTS[place] for _, place in expected]
    assert found["strength"].to_list() == pytest.approx([strength for strength, _ in expected], rel=1e-3)
    for row, (_, place) in zip(found.iter_rows(named=True), expected, strict=True):
        ids = [*TEXTS[place].prompt_ids, *TEXTS[place].answer_ids]
        assert row["position"] == 1 + int(driven[place][1:].argmax())
        assert row["token"] == tuned.tokenizer.decode([ids[row["position"]]])
    mixture = tuned_pair(in_places(".1.mlp"), "mixtral")
    assert driving_texts(*mixture, TEXTS, [direction()])[direction()].is_empty()


NAMES = [
    *(Named("head", 1, "attention", number, 1, ("the → cat",)) for number in (2, 3, 0)),
    *(Named("direction", 1, "feed-forward", rank, 1, ("cat",)) for rank in (1, 2)),
]


def test_units_are_the_first_of_each_kind_with_the_groups_of_heads() -> None:
    found = units(NAMES, 2, 2)
    assert [one.kind for one in found] == ["head", "head", "group", "direction", "direction"]
    assert (found[2].number, found[2].last) == (2, 3) and len({one.key for one in found}) == 5
    assert [one.kind for one in units(NAMES, 3, 1)] == ["head"] * 3 + ["direction"] * 2
    assert len(units(NAMES, 3, 2)) == 3 + 2 + 2


def measured_named(folder: Path, names: Sequence[Named] = NAMES, **known: int) -> tuple[RunFolder, LocationChange]:
    run, pair = started(folder), tuned_pair(in_places(".1.self_attn", ".1.mlp"))
    made = work(swaps=2, **known)
    made.measure_pair(*pair, PAIR, run, silent)
    before = {one: one.stat().st_mtime_ns for one in (folder / "run").rglob("*.parquet")}
    assert not made.is_named_measured(run, PAIR, names)
    made.measure_named(*pair, PAIR, run, names, silent)
    assert made.is_named_measured(run, PAIR, names) and not made.is_named_measured(run, PAIR, names[:1])
    assert all(one.stat().st_mtime_ns == then for one, then in before.items()), "parts of location stay"
    return run, opened(run)


def test_what_is_named_is_measured_into_parts_of_its_own_and_found_again(tmp_path: Path) -> None:
    run, change = measured_named(tmp_path, confirm=2)
    assert [row.kind for row in change.named] == ["head", "head", "group", "direction", "direction"]
    brings = {(row.layer, row.module): row.brings for row in change.singles}
    assert all(row.module_brings == brings[row.layer, row.module] for row in change.named)
    assert all(row.n_draws == N_DRAWS and row.noise is not None and row.p_value is not None for row in change.named)
    tables = change.tables()
    assert tables["location_named"].height == 5 and tables["location_contexts"].height == len(change.contexts)
    assert {one["number"] for one in change.to_dict()["contexts"]} <= {1, 2}
    html = LocationExplainer().section(change).body
    assert "Heads and directions, swapped" in html and "Texts that drive a direction" in html
    more = work(swaps=2, confirm=3)
    assert not more.is_named_measured(run, PAIR, NAMES)
    parts = {one: one.stat().st_mtime_ns for one in (tmp_path / "run/location/named").rglob("*.parquet")}
    more.measure_named(*tuned_pair(in_places(".1.self_attn", ".1.mlp")), PAIR, run, NAMES, silent)
    assert all(one.stat().st_mtime_ns == then for one, then in parts.items())
    assert len(opened(run).named) == 3 + 2 + 2


def test_without_names_without_texts_and_with_confirm_0_nothing_is_swapped(tmp_path: Path) -> None:
    for place, known in enumerate(({"confirm": 0}, {})):
        run, made = started(tmp_path / str(place)), work(("the cat sat " * 60,), **known)
        pair = tuned_pair(in_places(".1.mlp"))
        made.measure_pair(*pair, PAIR, run, silent)
        if made.takes_names:
            made.measure_named(*pair, PAIR, run, NAMES, silent)
        change = opened(run)
        assert change.named == () and change.contexts == ()
        assert named_table(change.named).empty and contexts_table(change.contexts).empty


MORE_TEXTS = (*GIVEN, "the question sat", "rewrite the mat", "Output: the cat", "answer the cat on the mat")


def test_a_planted_head_and_a_planted_direction_are_confirmed_others_are_not(tmp_path: Path) -> None:
    """On the tuned model's own answers, beside noise of the same size."""
    u, v = torch.nn.functional.normalize(noise(torch.empty(32)), dim=0), noise(torch.empty(48), 2.0)
    of_networks = {"model.layers.1.mlp.down_proj.weight": torch.outer(u, v)}
    for place, (change, own) in enumerate(((in_head(2, 1.0), "head"), (of_networks, "direction"))):
        run, pair, made = started(tmp_path / str(place)), planted(change), work(MORE_TEXTS, swaps=2)
        made.measure_pair(*pair, PAIR, run, silent)
        names = [one for one in NAMES if one.kind == own and one.number in (0, 1, 2)]
        made.measure_named(*pair, PAIR, run, names, silent)
        rows = [row for row in opened(run).named if row.kind == own]
        assert rows[0].brings == pytest.approx(1, abs=1e-3) and rows[0].takes == pytest.approx(1, abs=1e-3)
        assert rows[1].brings == pytest.approx(0, abs=1e-3)
        assert [row.is_confirmed for row in rows] == [True, False], rows


WHOLE = Whole(np.linspace(1, 2, 8), np.ones(8))


def swapped(brings: float, noise_brings: float = 0.0) -> tuple[pl.DataFrame, None]:
    """The part of a unit that brings the same share of every text."""
    prompts = [f"p{n}" for n in range(8)]
    rows = [
        (what, draw, prompt, share * whole, 0.5, 0.2, 0.5)
        for what, draw, share in ((SWAP, None, brings), (NOISE, 0, noise_brings), (NOISE, 1, noise_brings / 2))
        for prompt, whole in zip(prompts, WHOLE.log_ratio, strict=True)
    ]
    return pl.DataFrame(rows, schema=pl.Schema(NAMED), orient="row"), None


def test_confirmed_is_what_brings_more_than_noise() -> None:
    found = named_rows(
        {
            head(0): swapped(0.3, 0.1),
            head(1): swapped(0.1, 0.2),
            group(0, 1): swapped(-0.1, -0.2),
            direction(): swapped(0.05, 0.0),
        },
        WHOLE,
        {(1, "attention"): 0.4},
    )
    assert [row.is_confirmed for row in found] == [True, False, False, True]
    assert [row.p_value for row in found[:3]] == pytest.approx([2 / 2**8, 1, 1])
    assert found[0].p_value_holm == pytest.approx(3 * 2 / 2**8) and found[3].p_value_holm == pytest.approx(2 / 2**8)
    assert (found[0].brings, found[0].noise, found[0].module_brings) == pytest.approx((0.3, 0.1, 0.4))
    told = answer(named_questions(found))
    assert [(one.kind, one.verdict) for one in told] == [(HEADS, Verdict.SHOWN), (DIRECTIONS, Verdict.SHOWN)]
    assert [one.evidence["n_confirmed"] for one in told] == [1, 1]
    none = answer(named_questions([replace(row, p_value_holm=1.0, is_confirmed=False) for row in found[:2]]))
    assert [one.verdict for one in none] == [Verdict.NOT_SHOWN] and none[0].evidence["n_confirmed"] == 0
    assert missing(found) == "" and "no direction" in missing(found[:2]).lower()
    assert context_rows({head(0): swapped(0.3)}) == ()


def test_too_few_texts_can_not_confirm_anything() -> None:
    few = Whole(WHOLE.log_ratio[:4], WHOLE.divergence[:4])
    part = swapped(0.3)[0].filter(pl.col("prompt").is_in([f"p{n}" for n in range(4)]))
    (row,) = named_rows({head(0): (part, None)}, few, {})
    assert row.is_confirmed is None and [one.verdict for one in answer(named_questions([row]))] == [Verdict.CANNOT_TELL]


def test_heads_and_concepts_name_what_they_present_first() -> None:
    plain = {"base": 0.0, "tuned": 1.0, "noise": 0.0, "scale": 1.0, "times_noise": 2.0}
    rows = [
        StrengthRow(4, 2, "a", "b", "lost", **plain),
        StrengthRow(4, 1, "c", "d", "gained", **plain),
        StrengthRow(0, 3, "e", "f", "gained", **plain),
        StrengthRow(4, 1, "g", "h", "gained", **plain),
        StrengthRow(4, 0, "g", "h", "gained", **plain | {"times_noise": None}),
    ]
    found = named_heads(rows)
    assert [(one.layer, one.number) for one in found] == [(4, 1), (0, 3)] and found[0].words == ("c → d", "g → h")
    shown = {"share": 0.1, "top_share": 0.2, "noise_top_share": 0.1, "words": ("cat",), "z": 7.0}
    written = [
        WrittenRow(9, "feed-forward", 1, 1, **shown, is_beyond_limit=True, is_beyond_noise=False),
        WrittenRow(8, "attention", 2, -1, **shown, is_beyond_limit=True, is_beyond_noise=True),
        WrittenRow(8, "attention", 2, 1, **shown, is_beyond_limit=True, is_beyond_noise=True),
        WrittenRow(3, "attention", 1, 1, **shown, is_beyond_limit=False, is_beyond_noise=False),
    ]
    assert [(one.layer, one.number, one.sign) for one in named_directions(written)] == [(8, 2, -1), (9, 1, 1)]
