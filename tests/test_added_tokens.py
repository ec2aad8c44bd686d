"""Tokens that tuning added: embeddings of another size, read from checkpoints and adapters, and compared."""

import copy
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import aftertune
from aftertune.errors import CheckpointError
from aftertune.explainers.outputs.probabilities import compare_positions, final_states, mean_predictions
from aftertune.explainers.outputs.texts import Text
from aftertune.models.generation import stop_tokens
from command_line import CommandLine, save_checkpoint, save_prompts
from test_adapters_merged import apart, saved, trained
from tiny import make_model, make_tokenizer

pytest_plugins = ("cli_fixtures",)
NEW = [f"<new{number}>" for number in range(5)]
CHAT = (
    "{% for m in messages %}<new0>{{ m.role }}\n{{ m.content }}<new1>\n{% endfor %}"
    "{% if add_generation_prompt %}<new0>assistant\n{% endif %}"
)
QUICK: dict[str, Any] = {
    **{"max_new_tokens": 4, "noise_draws": 1, "check": 0, "words": ["cat", "mat", "text", "question"]},
    **{"outputs": {"answer_tokens": 4, "n_samples": 1}, "device": "cpu", "skip": ["heads"]},
}


def grown_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(NEW, special_tokens=True)
    return tokenizer


def grown(multiple: int | None = None) -> PreTrainedModel:
    torch.manual_seed(1)
    model = make_model()
    model.resize_token_embeddings(305, pad_to_multiple_of=multiple, mean_resizing=False)
    return model


def tuned_folder(folder: Path, model: PreTrainedModel, tokenizer: Any) -> Path:
    torch.manual_seed(5)
    for weight in model.parameters():
        weight.data.add_(0.02 * torch.randn_like(weight))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


ADAPTERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "padded to 64": {"multiple": 64},
    "modules_to_save": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "lora on them": {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    "trainable tokens": {"trainable_token_indices": [*range(300, 305)], "save": "auto"},
}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_adapters_of_grown_embeddings(base: Path, tmp_path: Path, kind: str) -> None:
    given = dict(ADAPTERS[kind])
    model, save = grown(given.pop("multiple", None)), given.pop("save", True)
    plain = copy.deepcopy(model)
    wrapped = trained(model, peft.LoraConfig(**({"r": 2, "target_modules": ["q_proj"]} | given)))
    folder = saved(wrapped, tmp_path / "adapter", save_embedding_layers=save)
    grown_tokenizer().save_pretrained(folder)
    found = aftertune.load(base, adapter=folder)
    ids = torch.arange(3, 305, 7)[None]
    assert apart(wrapped, found.model, ids) < 1e-4 < 0.1 < apart(plain, found.model, ids)
    assert found.tokenizer.convert_tokens_to_ids(NEW) == [*range(300, 305)]


def test_an_adapter_of_fewer_rows_than_its_padded_base(tmp_path: Path) -> None:
    padded = make_model()
    padded.resize_token_embeddings(320, mean_resizing=False)
    folder = tmp_path / "padded"
    padded.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    wrapped = trained(make_model(), peft.LoraConfig(r=2, target_modules=["q_proj"]))
    adapter = saved(wrapped, tmp_path / "adapter", save_embedding_layers=True)
    assert apart(wrapped, aftertune.load(folder, adapter=adapter).model) < 1e-4


def test_rows_that_were_never_saved_are_not_made_up(base: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], trainable_token_indices=[302, 304])
    folder = saved(trained(grown(), config), tmp_path / "adapter", save_embedding_layers="auto")
    with pytest.raises(
        CheckpointError, match="on embeddings of 305 tokens, the base has 300, and the rows of the added"
    ):
        aftertune.load(base, adapter=folder)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_prompts(tmp_path_factory.mktemp("prompts") / "prompts.jsonl", ["the cat sat", "the mat"])


def compare(base: Path, tuned: Path, run: Path, prompts: Path, said: list[str], **more: Any) -> aftertune.Comparison:
    from aftertune.study.announce import prepare

    study = aftertune.Study(base, tuned, run=run, prompts=prompts, **QUICK | more)
    return aftertune.compare(study, announce=lambda intent: said.append(prepare(intent)[0]))


def test_every_explainer_compares_what_both_have(base: Path, tmp_path: Path, prompts: Path) -> None:
    model: Any = grown(64)
    model.get_output_embeddings().weight.data[300:305] *= 12  # so that one of them is said
    said: list[str] = []
    tuned = tuned_folder(tmp_path / "grown", model, grown_tokenizer())
    found = compare(base, tuned, tmp_path / "run", prompts, said)
    told = f"grown has 5 tokens that base has not ({', '.join(NEW)}): what is compared is over the 300"
    assert told in said[0] and "300 tokens that both have" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert found.location is not None and found.concepts is not None and found.outputs is not None
    assert 0 < found.outputs.added_share <= 1
    sizes = {row["weight"]: row for row in found.location.weights.to_dicts()}
    assert sizes["model.embed_tokens.weight"]["n_parameters"] == 300 * 32
    beyond = found.attribution.n_beyond
    assert beyond == 2 - len(found.attribution.differences) > 0
    kinds = {one.kind: one for one in found.findings}
    assert kinds["attribution.beyond"].evidence == {"n_beyond": beyond, "n_responses": 2}
    again: list[str] = []
    compare(base, tuned, tmp_path / "run", prompts, again)
    assert "measured already" in again[0], "what the base can't read is not tried again"


def test_padding_alone_is_no_difference(base: Path, tmp_path: Path, prompts: Path) -> None:
    model = make_model()
    model.resize_token_embeddings(320, mean_resizing=False)
    said: list[str] = []
    tuned = tuned_folder(tmp_path / "padded", model, make_tokenizer())
    found = compare(base, tuned, tmp_path / "run", prompts, said, only=["outputs"], skip=[])
    assert "tokens that base" not in said[0] and found.outputs.added_share is None
    assert not (tmp_path / "run" / "tokens.json").exists()


def test_probabilities_do_not_depend_on_padding() -> None:
    """Rows that no token has change no probability of those that both have."""
    plain, padded = make_model(seed=1), make_model(seed=1)
    padded.resize_token_embeddings(320, mean_resizing=False)
    base = aftertune.load(make_model(), tokenizer=make_tokenizer())
    one, other = (aftertune.load(model, tokenizer=make_tokenizer()) for model in (plain, padded))
    texts = [Text("a", "", (5, 6), (7, 8, 9), ended=False), Text("b", "", (10,), (11, 12), ended=False)]
    for left, right in zip(compare_positions(base, one, texts), compare_positions(base, other, texts), strict=True):
        assert left == pytest.approx(right, abs=1e-5)
    found = [mean_predictions(model, texts, 300, final_states(model, texts)) for model in (one, other)]
    assert found[0].p == pytest.approx(found[1].p, abs=1e-6) and found[1].p.sum(1) == pytest.approx(1, abs=1e-5)


def test_a_chat_template_of_added_tokens_is_not_put_before_the_base(base: Path, tmp_path: Path, prompts: Path) -> None:
    tokenizer: Any = grown_tokenizer()
    tokenizer.chat_template, tokenizer.eos_token = CHAT, "<new1>"
    tuned = tuned_folder(tmp_path / "chat", grown(), tokenizer)
    said: list[str] = []
    compare(base, tuned, tmp_path / "run", prompts, said, only=["attribution"], skip=[])
    told = "chat has a chat template with 2 tokens that base has not (<new0>, <new1>): the prompts are put raw"
    assert told in said[0]
    with pytest.raises(CheckpointError, match=r"2 of 2 prompts .* only one of the checkpoints has \(<new0>, <new1>\)"):
        compare(base, tuned, tmp_path / "other", prompts, [], only=["attribution"], skip=[], template="chat")


def test_a_tokenizer_for_checkpoints_without_one(cli: CommandLine, base: Path, tmp_path: Path, prompts: Path) -> None:
    bare = save_checkpoint(tmp_path / "checkpoint-10", seed=1)
    for file in (*bare.glob("token*"), *bare.glob("chat*")):
        file.unlink()
    only = ("--only", "outputs", "--noise-draws", "0", "--prompts", prompts, "--max-new-tokens", "4", "--device", "cpu")
    assert f"The folder {bare} holds no tokenizer" in cli.refuses("compare", base, bare, "--run", "bare", *only)
    cli.succeeds("compare", base, bare, "--run", "bare", "--tokenizer", base, *only)
    cli.succeeds("attribute", bare, "--prompt", "the cat", "--tokenizer", base, "--max-new-tokens", "4")
    found = aftertune.load(bare, tokenizer=base)
    assert found.tokenizer.get_vocab() == make_tokenizer().get_vocab()


def test_the_end_of_answers_is_that_of_the_adapter(base: Path, tmp_path: Path) -> None:
    wrapped = trained(make_model(), peft.LoraConfig(r=2, target_modules=["q_proj"]))
    folder = saved(wrapped, tmp_path / "adapter")
    tokenizer: Any = make_tokenizer()
    tokenizer.eos_token = "<s>"
    tokenizer.save_pretrained(folder)
    assert tokenizer.eos_token_id in stop_tokens(aftertune.load(base, adapter=folder))
    assert tokenizer.eos_token_id not in stop_tokens(aftertune.load(base))
