"""Adapters that are missing, damaged, or made for another base: one message, exit code 2."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from command_line import SHORT, CommandLine, edit_json, edit_weights
from tiny import make_model

peft = pytest.importorskip("peft")
pytest_plugins = ("cli_fixtures",)

REMEDY = "Give a whole LoRA adapter that was trained on this base."
FIRST = "base_model.model.model.layers.{}.self_attn.q_proj.lora_A.weight"


def save_adapter(model: PreTrainedModel, folder: Path, *targets: str, **settings: Any) -> Path:
    config = peft.LoraConfig(
        r=2, target_modules=list(targets or ("q_proj", "v_proj")), init_lora_weights=False, **settings
    )
    peft.get_peft_model(model, config).save_pretrained(folder)
    return folder


def make_llama(**other: int) -> PreTrainedModel:
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2} | other
    return AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=300, intermediate_size=48, **sizes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(make_model(), tmp_path_factory.mktemp("adapters") / "adapter")


@pytest.fixture
def adapter(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "adapter"))


def refusal(cli: CommandLine, base: Path, adapter: str | Path) -> str:
    return cli.refuses("attribute", base, "--adapter", adapter, "--prompt", "the cat", *SHORT)


def test_whole_adapters_are_taken(cli: CommandLine, base: Path, adapter: Path, tmp_path: Path) -> None:
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="renamed/since")
    dora = save_adapter(make_model(), tmp_path / "dora", use_dora=True)
    saved = save_adapter(make_model(), tmp_path / "saved", modules_to_save=["lm_head"], ensure_weight_tying=True)
    plain = cli.succeeds("attribute", base, "--prompt", "the cat", "--json", *SHORT)
    for folder in (adapter, dora, saved):
        found = cli.succeeds("attribute", base, "--adapter", folder, "--prompt", "the cat", "--json", *SHORT)
        assert found != plain


@pytest.mark.parametrize("given", ["/no/such/adapter", "no/such/adapter", " "])
def test_missing_adapter(cli: CommandLine, base: Path, given: str) -> None:
    assert refusal(cli, base, given) == (
        f"There is no folder {given!r}. Give a folder that PEFT saved, or a hub id (owner/name)."
    )


def test_what_is_no_adapter(cli: CommandLine, base: Path, adapter: Path) -> None:
    assert (
        refusal(cli, base, base) == f"{base} holds no adapter (no adapter_config.json). Give a folder that PEFT saved."
    )
    file = adapter / "adapter_config.json"
    assert refusal(cli, base, file) == f"{file} is a file, not an adapter. Give a folder that PEFT saved, or a hub id."
    (adapter / "adapter_model.safetensors").unlink()
    assert refusal(cli, base, adapter) == (
        f"{adapter} holds no adapter (no adapter_model.safetensors). Give a folder that PEFT saved."
    )


def test_adapter_of_another_width(cli: CommandLine, base: Path, tmp_path: Path) -> None:
    other = save_adapter(make_llama(hidden_size=64), tmp_path / "wide")
    message = refusal(cli, base, other)
    assert message.startswith(f"The adapter {other} does not fit LlamaForCausalLM: size mismatch for base_model.")
    assert message.endswith(REMEDY)


@pytest.mark.parametrize(
    ("n_layers", "missing", "extra", "layer"), [(5, 0, 8, 3), (2, 4, 0, 2)], ids=["deeper", "shallower"]
)
def test_adapter_of_another_depth(
    cli: CommandLine, base: Path, tmp_path: Path, n_layers: int, missing: int, extra: int, layer: int
) -> None:
    other = save_adapter(make_llama(num_hidden_layers=n_layers), tmp_path / "other")
    assert refusal(cli, base, other) == (
        f"The adapter {other} does not fit LlamaForCausalLM: {missing} of its 12 weights are missing and {extra} have "
        f"no place in the model (first: {FIRST.format(layer)}). {REMEDY}"
    )


def test_adapter_of_another_architecture(cli: CommandLine, base: Path, tmp_path: Path) -> None:
    other = save_adapter(make_model("gpt2"), tmp_path / "other", "c_attn", fan_in_fan_out=True)
    message = refusal(cli, base, other)
    assert message.startswith(f"The adapter {other} does not fit LlamaForCausalLM: Target modules {{'c_attn'}} not")
    assert message.endswith(REMEDY)


def test_keys_that_match_nothing(cli: CommandLine, base: Path, adapter: Path) -> None:
    edit_weights(adapter / "adapter_model.safetensors", lambda w: {f"other.{name}": value for name, value in w.items()})
    assert "12 of its 12 weights are missing and 12 have no place in the model" in refusal(cli, base, adapter)


def test_one_key_missing(cli: CommandLine, base: Path, adapter: Path) -> None:
    edit_weights(adapter / "adapter_model.safetensors", lambda w: dict(sorted(w.items())[1:]))
    assert f"1 of its 12 weights are missing and 0 have no place in the model (first: {FIRST.format(0)})" in refusal(
        cli, base, adapter
    )


def test_nan(cli: CommandLine, base: Path, adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    edit_weights(file, lambda w: w[FIRST.format(1)].fill_(float("nan")) is None or None)
    assert f"The adapter {adapter} does not fit LlamaForCausalLM: NaNs detected" in refusal(cli, base, adapter)


def test_damaged_files(cli: CommandLine, base: Path, adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").write_bytes(b"{")
    message = refusal(cli, base, adapter)
    assert message.startswith(f"The file {adapter}/adapter_model.safetensors could not be read: Error while")
    (adapter / "adapter_config.json").write_bytes(b"{")
    message = refusal(cli, base, adapter)
    assert message.startswith(f"adapter_config.json of {adapter} can't be read: ")
    assert message.endswith("Save the adapter again.")


def test_another_kind_of_adapter(cli: CommandLine, base: Path, adapter: Path) -> None:
    edit_json(adapter / "adapter_config.json", peft_type="IA3")
    assert refusal(cli, base, adapter).endswith(REMEDY)
