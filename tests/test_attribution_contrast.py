"""Why this token and not that one: the difference of two attributions, by every method."""

from pathlib import Path

import numpy as np
import pytest
import torch

import aftertune
from aftertune.errors import AttributionError, PromptError
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.removal import removal_importance
from aftertune.explainers.attribution.settings import Removal
from aftertune.models.backbone import Backbone
from tiny import make_model, make_tokenizer

PROMPT, RESPONSE, OTHER = "Rewrite the text. the cat sat", " on the mat.", " on the cat."
WAYS = [
    {"method": "removal"},
    {"method": "removal", "removal": "zeroed"},
    {"method": "gradient", "route": "forward"},
    {"method": "gradient", "route": "reverse"},
    {"method": "locally-linear"},
]


def load() -> aftertune.Checkpoint:
    return aftertune.load(make_model("llama", torch.float64), tokenizer=make_tokenizer(chat=False))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_it_is_the_importance_for_the_token_less_that_for_the_other(way: dict[str, str], tmp_path: Path) -> None:
    checkpoint = load()
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE, contrast_with=OTHER, **way)
    own, other = (aftertune.attribute(checkpoint, PROMPT, text, **way) for text in (RESPONSE, OTHER))
    assert found.contrast_tokens == other.response_tokens and found.response_tokens == own.response_tokens
    same = [one == two for one, two in zip(found.response_tokens, found.contrast_tokens, strict=True)]
    assert True in same and False in same
    first = same.index(False)  # up to it both responses are the same text
    expected = own.importance[:, first] - other.importance[:, first]
    np.testing.assert_allclose(found.importance[:, first], expected, atol=1e-6 * np.abs(own.importance).max() + 1e-9)
    np.testing.assert_allclose(found.importance[:, :first], 0, atol=1e-9)
    np.testing.assert_allclose(found.probability, own.probability, rtol=1e-5)
    found.save(tmp_path / "a.parquet")
    assert aftertune.Attribution.load(tmp_path / "a.parquet").contrast_tokens == found.contrast_tokens
    own.save(tmp_path / "b.parquet")
    assert aftertune.Attribution.load(tmp_path / "b.parquet").contrast_tokens == ()


def test_a_contrast_must_be_as_long_and_can_not_be_checked() -> None:
    with pytest.raises(PromptError, match=r"The contrast has \d+ tokens and the response \d+"):
        aftertune.attribute(load(), PROMPT, RESPONSE, contrast_with=" on the mat. the cat sat")
    with pytest.raises(AttributionError, match="can't be held against replaced words"):
        aftertune.attribute(load(), PROMPT, RESPONSE, contrast_with=OTHER, check=True)


@pytest.mark.parametrize("removal", ["deleted", "zeroed"])
def test_both_tokens_are_read_from_the_same_passes(removal: Removal) -> None:
    """The contrast is the fall of each token's probability, taken apart from the other; no pass is made twice."""
    model, positions = load().model, list[int]()
    model.model.register_forward_hook(lambda _module, _given, out: positions.append(out[0][..., 0].numel()))
    checkpoint = aftertune.load(model, tokenizer=make_tokenizer(chat=False))
    backbone, places = Backbone(checkpoint), tuple((place,) for place in range(6))

    def importance(response: tuple[int, ...], contrast: tuple[int, ...] | None) -> tuple[np.ndarray, int]:
        positions.clear()
        batch = make_batch(backbone, [Task((3, 9, 12, 7, 30, 31), response, places, contrast)])
        return removal_importance(backbone, batch, removal)[0][0].numpy(), sum(positions)

    own, passed = importance((40, 41, 42), None)
    found, passed_once = importance((40, 41, 42), (50, 41, 52))
    assert passed_once == passed > 6 * 8 / 2
    first = own[:, 0] - importance((50, 41, 42), None)[0][:, 0]
    last = own[:, 2] - importance((40, 41, 52), None)[0][:, 2]
    np.testing.assert_allclose(found, np.stack([first, np.zeros(6), last], axis=1), atol=1e-9)
