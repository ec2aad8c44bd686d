"""What swaps are measured on: empty answers, prompts that are too long, templates, and models given as adapters."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aftertune.explainers.explainer import Inputs
from aftertune.explainers.location.findings import questions
from aftertune.explainers.location.settings import LocationSettings
from aftertune.explainers.location.texts import Common, Text, answered
from aftertune.models import Checkpoint, load
from aftertune.prompts.encoding import encode
from aftertune.runs.stage import silent
from aftertune.statistics.finding import Verdict
from aftertune.statistics.questions import answer
from location_samples import PAIR, in_places, log_p, noise, opened, prompts, started, tuned_pair, work
from tiny import make_model, make_tokenizer

ANY = Common(300, None)


def first_tokens(tuned: Checkpoint) -> list[int]:
    return [one.answer_ids[0] for one in answered(tuned, ANY, LocationSettings(answer_tokens=1), Inputs(prompts()))]


def end_at(token: int, *checkpoints: Checkpoint) -> None:
    for one in checkpoints:
        one.model.generation_config.eos_token_id = one.model.config.eos_token_id = token


def test_an_answer_has_the_token_that_ended_it() -> None:
    """A model that ends at once answers with its end-of-sequence token alone."""
    _, tuned = tuned_pair(lambda *_: None, "qwen2")
    with torch.no_grad():
        tuned.model.model.norm.weight.fill_(0)  # all logits are 0, so that the first token is the likeliest
    settings, inputs = LocationSettings(answer_tokens=3), Inputs(prompts()[:2])
    assert [one.answer_ids for one in answered(tuned, ANY, settings, inputs)] == [(0, 0, 0)] * 2
    end_at(0, tuned)
    ends = answered(tuned, ANY, settings, inputs)
    assert [(one.answer_ids, one.ended) for one in ends] == [((0,), True)] * 2 and all(one.prompt_ids for one in ends)


def test_empty_answers_are_measured_by_their_end(tmp_path: Path) -> None:
    """The first token of one answer is made the end of a sequence: it is all that there is to measure."""
    base, tuned = tuned_pair(in_places(".1.mlp"))
    end = first_tokens(tuned)[0]
    end_at(end, base, tuned)
    run = started(tmp_path)
    work().measure_pair(base, tuned, PAIR, run, silent)
    change = opened(run)
    answers = change.answers
    assert answers.height == change.total.n_texts == len(prompts()) and change.total.n_left_out == 0
    ids = [encode(one, tuned.tokenizer).ids.tolist() for one in prompts()]
    is_empty = [token == end for token in first_tokens_without_end(tuned, ids)]
    expected = [
        float((log_p(tuned, text) - log_p(base, text))[0, end])
        for text in (Text("", tuple(one), (end,), "") for one in ids)
    ]
    found = answers["log_ratio"].to_numpy()
    assert is_empty[0] and change.total.n_empty == sum(is_empty)
    np.testing.assert_allclose(found[is_empty], np.array(expected)[is_empty], atol=1e-5)
    assert change.total.empty_share == pytest.approx(found[is_empty].sum() / found.sum())
    where = answer(questions(change))[0]
    assert where.evidence["n_empty"] == sum(is_empty)


def first_tokens_without_end(tuned: Checkpoint, ids: list[list[int]]) -> list[int]:
    with torch.inference_mode():
        return [int(tuned.model(torch.tensor([one])).logits[0, -1].argmax()) for one in ids]


def test_prompts_that_are_too_long_are_left_out_and_counted(tmp_path: Path) -> None:
    base, tuned = tuned_pair(in_places(".1.mlp"))
    n_long = len(encode(prompts(["the cat sat " * 60])[0], tuned.tokenizer).ids)
    assert tuned.context_length is not None and n_long > tuned.context_length
    run = started(tmp_path)
    work(("the cat sat", "the cat sat " * 60, "rewrite the text"), texts=2).measure_pair(base, tuned, PAIR, run, silent)
    change = opened(run)
    assert (change.total.n_texts, change.total.n_left_out) == (2, 1)
    assert set(change.answers["prompt"]) == {"p0", "p2"}
    assert change.singles[0].brings is not None


def test_where_no_prompt_leaves_room_nothing_can_be_told(tmp_path: Path) -> None:
    base, tuned = tuned_pair(in_places(".1.mlp"))
    run = started(tmp_path)
    work(("the cat sat " * 60,)).measure_pair(base, tuned, PAIR, run, silent)
    change = opened(run)
    assert (change.total.n_texts, change.total.n_left_out) == (0, 1) and change.where() is None
    assert answer(questions(change))[0].verdict is Verdict.CANNOT_TELL


def test_a_long_prompt_shortens_its_own_answer_only() -> None:
    _, tuned = tuned_pair(in_places(".1.mlp"))
    lengths = [len(encode(one, tuned.tokenizer).ids) for one in prompts()]
    longest = max(lengths)
    found = answered(tuned, Common(300, longest + 2), LocationSettings(answer_tokens=6), Inputs(prompts()))
    alone = answered(tuned, ANY, LocationSettings(answer_tokens=6), Inputs(prompts()))
    for one, whole, length in zip(found, alone, lengths, strict=True):
        assert one.answer_ids == whole.answer_ids[: longest + 2 - length]
    without_room = answered(tuned, Common(300, longest), LocationSettings(answer_tokens=6), Inputs(prompts()))
    assert [one.prompt for one in without_room if not one.answer_ids] == [
        one.id for one, length in zip(prompts(), lengths, strict=True) if length == longest
    ]


def test_prompts_are_put_in_the_template_of_the_study() -> None:
    _, tuned = tuned_pair(lambda *_: None)
    for template in ("raw", "chat"):
        found = answered(tuned, ANY, LocationSettings(answer_tokens=2), Inputs(prompts()[:2], template))
        expected = [tuple(encode(one, tuned.tokenizer, template).ids.tolist()) for one in prompts()[:2]]
        assert [one.prompt_ids for one in found] == expected


def test_an_adapter_is_located_as_the_model_that_it_makes(tmp_path: Path) -> None:
    """Against W + alpha / r B A, multiplied by hand."""
    peft = pytest.importorskip("peft")
    model, merged = make_model(), make_model()
    model.save_pretrained(tmp_path / "base")
    make_tokenizer().save_pretrained(tmp_path / "base")
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    wrapped = peft.get_peft_model(model, config)
    pairs = [(name, one) for name, one in wrapped.named_modules() if hasattr(one, "lora_A")]
    with torch.no_grad():
        for place, (name, one) in enumerate(pairs):
            first, second = (side["default"].weight for side in (one.lora_A, one.lora_B))
            first.copy_(noise(first, 0.2 + 0.01 * place))
            second.copy_(noise(second, 0.2))
            weight: Any = merged.get_submodule(name.removeprefix("base_model.model.")).weight
            weight += (3 * second.double() @ first.double()).float()
    wrapped.save_pretrained(tmp_path / "adapter")
    found = []
    for number, tuned in enumerate(
        (load(tmp_path / "base", tmp_path / "adapter"), load(merged, tokenizer=make_tokenizer()))
    ):
        run = started(tmp_path / str(number))
        work(texts=3).measure_pair(load(tmp_path / "base"), tuned, PAIR, run, silent)
        found.append(opened(run))
    assert len(pairs) == 6 and found[0].total.n_changed == 6
    assert found[0].total.top5_share == pytest.approx(1, abs=1e-5)
    for one, other in zip(found[0].modules, found[1].modules, strict=True):
        assert (one.layer, one.module, one.swapped) == (other.layer, other.module, other.swapped)
        assert one.relative_change == pytest.approx(other.relative_change, abs=1e-5)
        assert (one.brings, one.takes) == pytest.approx((other.brings, other.takes), abs=1e-5)
    for one, other in zip(found[0].cumulative, found[1].cumulative, strict=True):
        assert (one.up_to, one.onward) == pytest.approx((other.up_to, other.onward), abs=1e-5)
