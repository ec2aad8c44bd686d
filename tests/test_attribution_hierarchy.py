"""Removal by hierarchy: what is looked into is exact, the rest an equal share of its group; cost and refusals."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import aftertune
from aftertune.errors import AttributionError
from aftertune.explainers.attribution.importance import hierarchy, routes
from aftertune.explainers.attribution.page import by_hierarchy
from aftertune.explainers.attribution.settings import LEAST_UNITS, AttributionSettings
from aftertune.explainers.attribution.units import group_units, split_units
from aftertune.explainers.attribution.work import cost
from aftertune.explainers.attribution.work.cost import Item
from aftertune.prompts.encoding import EncodedPrompt, encode
from aftertune.prompts.prompt import Message, Prompt
from cost_samples import MACHINE, SIZE
from test_attribution_written import load
from tiny import make_tokenizer

TEXT = "Rewrite the text. the cat sat on the mat and on the mat sat the cat and the dog. Answer! Is it so? the dog sat."


def encoded(chat: bool = True) -> EncodedPrompt:
    prompt = Prompt(id="a", messages=(Message("user", TEXT),))
    return encode(prompt, make_tokenizer(chat=chat), "chat" if chat else "raw", None, None)


@pytest.mark.parametrize("unit", ["token", "word"])
@pytest.mark.parametrize("longest", [1, 6, 15, 1000])
def test_groups_are_whole_sentences_or_parts_of_one(unit: str, longest: int) -> None:
    given = encoded()
    units, sentences = split_units(given, unit), split_units(given, "sentence")
    groups = group_units(given, units, longest)
    assert [index for group in groups for index in group] == list(range(len(units)))
    sentence = {token: number for number, tokens in enumerate(sentences) for token in tokens}
    kinds, sizes = [], []
    for group in groups:
        tokens = [token for index in group for token in units[index]]
        kinds.append({bool(given.is_user[token]) for token in tokens})
        sizes.append(len(tokens))
        assert len(kinds[-1]) == 1 and (len(tokens) <= longest or len(group) == 1)
        number = sentence[tokens[0]]  # where a group begins inside a sentence, that one was too long
        assert tokens[0] == sentences[number][0] or len(sentences[number]) > longest
    pairs = zip(sizes, sizes[1:], kinds, kinds[1:], strict=False)
    assert all(one + other > longest for one, other, kind, next_kind in pairs if kind == next_kind)
    if longest == 1000:
        assert len(groups) == 3  # template, user, template


@pytest.mark.parametrize("removal", ["deleted", "zeroed"])
@pytest.mark.parametrize("unit", ["token", "word"])
def test_what_is_looked_into_is_exact_and_the_rest_an_equal_share(
    removal: str, unit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(routes, "LEAST_UNITS", 5)
    checkpoint, budget = load("llama"), 0.6
    given = encoded(chat=False)
    how = {"method": "removal", "unit": unit, "removal": removal, "template": "raw"}
    found = aftertune.attribute(checkpoint, TEXT, " the cat", removal_budget=budget, **how)
    exact = aftertune.attribute(checkpoint, TEXT, " the cat", **how)
    units = split_units(given, unit)
    groups = group_units(given, units, hierarchy.longest_group(budget))
    spans = [(given.offsets[units[group[0]][0], 0], given.offsets[units[group[-1]][-1], 1]) for group in groups]
    whole = aftertune.attribute(checkpoint, TEXT, " the cat", **how | {"unit": spans})
    opened = []
    for group, effect in zip(groups, whole.importance, strict=True):
        rows = list(group)
        opened.append(not found.is_divided[rows].any())
        expected = exact.importance[rows] if opened[-1] else np.tile(effect / len(rows), (len(rows), 1))
        np.testing.assert_allclose(found.importance[rows], expected, atol=1e-7)
        assert opened[-1] or found.is_divided[rows].all()
    assert 0 < sum(opened) < len(groups)
    # The first that is opened is the one with the largest effect for the positions that looking into it computes.
    n, first = len(given.ids) + 1, 1 if removal == "deleted" else 0
    n_left_out = 1 if removal == "deleted" else 0
    costs = [
        sum(
            n + len(found.response_tokens) - 2 - len(units[index]) * n_left_out - max(0, units[index][0] - first)
            for index in group
        )
        for group in groups
    ]
    assert opened[int(np.argmax(np.abs(whole.importance).sum(1) / costs))]
    np.testing.assert_array_equal(found.probability, exact.probability)
    assert not exact.is_divided.any() and len(exact.is_divided) == len(units)
    found.save(tmp_path / "a.parquet")
    np.testing.assert_array_equal(aftertune.Attribution.load(tmp_path / "a.parquet").is_divided, found.is_divided)


def test_the_budget_is_kept_and_the_first_group_is_opened_in_any_case() -> None:
    units = [(index,) for index in range(40)]
    groups = tuple(tuple(range(start, start + 4)) for start in range(0, 40, 4))
    asked: list[tuple[int, ...]] = []

    def fall(given: list[tuple[int, ...]]) -> torch.Tensor:
        asked.extend(given)
        return torch.tensor([[float(sum(unit)), -1.0] for unit in given])

    for budget, n_opened in ((0.25 + 0.1, 1), (0.25 + 0.2, 2), (0.25 + 0.45, 4), (0.01, 1)):
        asked.clear()
        found, is_divided = hierarchy.by_hierarchy(units, groups, fall, lambda _: 1, budget)
        assert len(asked) == 10 + 4 * n_opened and int((~is_divided).sum()) == 4 * n_opened
        np.testing.assert_allclose(found[-1], [39.0, -1.0])  # the last group falls most
        np.testing.assert_allclose(found[0], [6 / 4, -1 / 4])
        assert bool(is_divided[0]) and not is_divided[-1]


def test_the_estimate_counts_the_budget() -> None:
    short, long = Item(LEAST_UNITS - 1, 10), Item(LEAST_UNITS, 10)
    for item, share in ((short, 1.0), (long, 0.1)):
        whole, part = (
            cost.attributions(SIZE, [item], AttributionSettings(removal_budget=budget), 0, MACHINE).operations
            for budget in (1.0, 0.1)
        )
        assert part == pytest.approx(share * whole)


def test_the_page_says_what_maps_of_long_prompts_hold() -> None:
    change: Any = SimpleNamespace(settings={"removal_budget": 0.1})
    assert "at 10% of the cost" in (by_hierarchy(change) or "")
    assert by_hierarchy(SimpleNamespace(settings={"removal_budget": 1.0})) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ({"removal_budget": 0.0}, "removal_budget is 0.0; it must be above 0 and at most 1"),
        ({"removal_budget": 0.5, "method": "gradient"}, "is for the method 'removal' with the unit 'token' or 'word'"),
        (
            {"removal_budget": 0.5, "unit": "sentence"},
            "these are 'removal' and 'sentence'. Leave",
        ),
    ],
)
def test_a_budget_that_can_not_be_kept_is_refused(way: dict[str, object], expected: str) -> None:
    with pytest.raises(AttributionError, match=expected):
        aftertune.attribute(load("llama"), "the cat", " sat", **way)
    with pytest.raises(AttributionError, match="removal_budget is 2"):
        aftertune.AttributionSettings(removal_budget=2)
