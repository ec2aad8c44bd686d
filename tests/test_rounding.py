"""How far rounding alone moves weights, against rounding by hand; and who is told of it."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import aftertune
from aftertune.models.files.rounding import Storage, rounding_of
from aftertune.models.subject import Subject
from aftertune.runs.run import RunFolder
from aftertune.study import rounding
from aftertune.study.rounding import Rounding, find_roundings, measure_roundings, saved_roundings
from command_line import edit_json, save_prompts
from tiny import make_tokenizer

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


def wide() -> Any:
    """A model whose matrices fill whole blocks of 32 and 64 numbers."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 128}
    return LlamaForCausalLM(LlamaConfig(vocab_size=300, **sizes, **ids)).eval()


@pytest.fixture(scope="module")
def model() -> aftertune.Checkpoint:
    return aftertune.load(wide(), tokenizer=make_tokenizer())


def moved(model: aftertune.Checkpoint, n_block: int | None) -> float:
    """||W - rounded|| / ||W|| of rounding to 8 bit by hand, with one scale for each row or block."""
    change = whole = 0.0
    for name, weight in model.model.named_parameters():
        if ".layers." in name and weight.ndim == 2:
            rows = weight.detach() if n_block is None else weight.detach().reshape(-1, n_block)
            for row in rows.double():
                scale = row.abs().max() / 127
                change += float(((row / scale).round() * scale - row).square().sum())
                whole += float(row.square().sum())
    return (change / whole) ** 0.5


@pytest.mark.parametrize(
    ("storage", "n_block"), [(Storage("bitsandbytes", "8 bit"), None), (Storage("GGUF", "Q8_0"), 32)], ids=str
)
def test_rounding_to_8_bit_against_rounding_by_hand(
    model: aftertune.Checkpoint, storage: Storage, n_block: int | None
) -> None:
    # GGUF keeps its scales in half precision, which moves a weight by a thousandth more or less
    assert rounding_of(model, storage) == pytest.approx(moved(model, n_block), rel=5e-3)
    assert 0.003 < moved(model, n_block) < 0.02


def test_fewer_bits_move_weights_further_and_some_kinds_cannot_be_made(model: aftertune.Checkpoint) -> None:
    assert 0.05 < rounding_of(model, Storage("GGUF", "Q4_1")) < rounding_of(model, Storage("GGUF", "Q4_0")) < 0.15
    assert rounding_of(model, Storage("GGUF", "Q4_K")) is None
    assert rounding_of(model, Storage("compressed-tensors", "")) is None


def test_who_is_told(model: aftertune.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {"full": None, "small": Storage("GGUF", "Q8_0")}
    monkeypatch.setattr(rounding, "_storage", lambda subject, _: stored[str(subject.ref)])
    full, small = Subject("full"), Subject("small")

    def found(**subjects: Subject) -> list[Rounding]:
        return [one for one, _ in find_roundings(subjects, dict.fromkeys(subjects))]

    assert found(base=full, tuned=small) == [Rounding("tuned", "tuned", "base", "GGUF Q8_0")]
    assert found(base=small, tuned=full) == [Rounding("tuned", "base", "tuned", "GGUF Q8_0")]
    assert found(base=small, tuned=Subject("small", "adapter")) == [] == found(base=full, tuned=full)
    run = RunFolder.start(tmp_path / "run", {"base": {}, "tuned": {}}, {})
    measure_roundings(
        find_roundings({"base": full, "tuned": small}, {"base": None, "tuned": None}), lambda _: model, run
    )
    (saved,) = saved_roundings(run, ("base", "tuned"))
    assert saved.share == pytest.approx(rounding_of(model, Storage("GGUF", "Q8_0")))
    said = saved.said({"base": "B", "tuned": "T"})
    assert said.startswith(
        "T was stored as GGUF Q8_0, B was not: rounding may look like tuning. To round B in that way"
    )
    assert "can't be told" in Rounding("tuned", "tuned", "base", "GGUF Q4_K").said({"base": "B", "tuned": "T"})


@needs_bitsandbytes
@pytest.mark.parametrize("kind", ["nf4", "8 bit"])
def test_bitsandbytes_is_dequantised_and_told(tmp_path: Path, kind: str) -> None:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    base, tuned = tmp_path / "base", tmp_path / "tuned"
    wide().save_pretrained(base)
    how = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"} if kind == "nf4" else {"load_in_8bit": True}
    with warnings.catch_warnings(action="ignore"):
        small = AutoModelForCausalLM.from_pretrained(base, quantization_config=BitsAndBytesConfig(**how))
        small.save_pretrained(tuned)
    for folder in (base, tuned):
        make_tokenizer().save_pretrained(folder)
    run = tmp_path / "run"
    prompts = save_prompts(tmp_path / "prompts.jsonl", ["the cat sat"])
    quick = {"prompts": prompts, "only": ["location"], "swaps": 0, "max_new_tokens": 4, "device": "cpu"}
    found = aftertune.compare(aftertune.Study(base, tuned, run=run, **quick))
    (saved,) = saved_roundings(RunFolder.open(run), ("base", "tuned"))
    assert saved.how == f"bitsandbytes {kind}"
    sizes = found.location.weights.filter(~found.location.weights["is_equal"])
    moved = (sizes["squared_change"].sum() / sizes["squared_norm"].sum()) ** 0.5
    assert saved.share == pytest.approx(moved, rel=0.05), "nothing was tuned: rounding is the whole change"


def test_the_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aftertune.models.files import quantised

    monkeypatch.setattr(quantised, "find_spec", lambda _: None)
    wide().save_pretrained(tmp_path / "mine-bnb-4bit")
    edit_json(
        tmp_path / "mine-bnb-4bit" / "config.json",
        quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True},
    )
    with pytest.raises(
        aftertune.CheckpointError, match=r"\(bitsandbytes 4 bit\).* pip install 'aftertune\[quantised\]'"
    ):
        aftertune.load(tmp_path / "mine-bnb-4bit")
