"""Checkpoints that are missing, damaged, unknown or out of tune with themselves: one message, exit code 2."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

import aftertune
from aftertune.models.files import references
from command_line import SHORT, CommandLine, edit_json, edit_weights
from tiny import make_tokenizer

pytest_plugins = ("cli_fixtures",)

WEIGHT = "model.layers.1.mlp.down_proj.weight"
REMEDY = "Download or save the checkpoint again, or give another."


def refusal(cli: CommandLine, model: str | Path, *more: str | Path) -> str:
    return cli.refuses("attribute", model, "--prompt", "the cat", *SHORT, *more)


@pytest.mark.parametrize("given", ["/no/such/model", "no/such/model", "./model", "~/no-such-model", ""])
def test_missing_folder(cli: CommandLine, given: str) -> None:
    assert refusal(cli, given) == (
        f"There is no folder {given!r}. Give a folder, a .gguf file, or a hub id (owner/name)."
    )


def test_a_file_that_is_no_checkpoint(cli: CommandLine, broken: Path) -> None:
    path = broken / "config.json"
    assert refusal(cli, path) == f"{path} is a file, not a checkpoint. Give a folder, a .gguf file, or a hub id."


def test_folder_without_configuration(cli: CommandLine, broken: Path) -> None:
    (broken / "config.json").unlink()
    assert refusal(cli, broken) == f"The folder {broken} holds no model (no config.json). Give one of save_pretrained."


@pytest.mark.parametrize(
    ("config", "how"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq 4 bit"),
        ({"quant_method": "awq", "bits": 4}, "awq 4 bit"),
        ({"quant_method": "hqq"}, "hqq"),
    ],
    ids=["gptq", "awq", "hqq"],
)
def test_quantised_weights(cli: CommandLine, broken: Path, config: dict[str, Any], how: str) -> None:
    edit_json(broken / "config.json", quantization_config=config)
    place = broken.rename(broken.with_name("mine-4bit"))
    assert refusal(cli, place) == (
        f"The weights of {place} are quantised ({how}): its files hold codes, which can't be compared as weights. Give "
        f"the checkpoint in full precision, such as {place.with_name('mine')}."
    )


def test_configuration_that_is_not_json(cli: CommandLine, broken: Path) -> None:
    (broken / "config.json").write_text("{")
    message = refusal(cli, broken)
    assert message.startswith(f"The configuration of {broken} could not be read: ") and "config.json" in message
    assert message.endswith(REMEDY)


@pytest.mark.parametrize("kind", ["t5", "bert", "bloom", "never_heard_of", None])
def test_unknown_architecture(cli: CommandLine, broken: Path, kind: str | None) -> None:
    edit_json(broken / "config.json", model_type=kind)
    message = refusal(cli, broken)
    assert message.startswith(f"The architecture {kind!r} is not known. Known: Llama (llama), ")
    assert "GPT-NeoX (gpt_neox)" in message


def test_configuration_that_is_a_list(cli: CommandLine, broken: Path) -> None:
    (broken / "config.json").write_text("[]")
    assert refusal(cli, broken).startswith("The architecture None is not known.")


@pytest.mark.parametrize("size", [5, 5000])
def test_truncated_weights(cli: CommandLine, broken: Path, size: int) -> None:
    file = broken / "model.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    message = refusal(cli, broken)
    assert message.startswith(f"The file {file} could not be read: Error while deserializing header")
    assert message.endswith(REMEDY)


def test_no_weights(cli: CommandLine, broken: Path) -> None:
    (broken / "model.safetensors").unlink()
    assert refusal(cli, broken) == f"The folder {broken} holds no weights. {REMEDY}"


def set_value(name: str, value: Any) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda weights: weights.__setitem__(name, value)


MISFITS: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = {
    "missing": (lambda weights: (weights.pop(WEIGHT), weights)[1], f"1 missing, 0 of another shape, 0 {{}}{WEIGHT}"),
    "shape": (set_value(WEIGHT, torch.ones(3, 5)), f"0 missing, 1 of another shape, 0 {{}}{WEIGHT}"),
    "layer too many": (
        set_value("model.layers.7.mlp.down_proj.weight", torch.ones(3, 5)),
        "0 missing, 0 of another shape, 1 {}model.layers.7.mlp.down_proj.weight",
    ),
    "bias that the configuration does not know": (
        set_value("model.layers.0.self_attn.q_proj.bias", torch.ones(32)),
        "0 missing, 0 of another shape, 1 {}model.layers.0.self_attn.q_proj.bias",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_weights_that_do_not_fit(cli: CommandLine, broken: Path, name: str) -> None:
    edit, expected = MISFITS[name]
    edit_weights(broken / "model.safetensors", edit)
    assert refusal(cli, broken) == (
        f"The weights of {broken} do not fit its configuration: {expected.format('without a place (first: ')}). "
        f"{REMEDY}"
    )


def test_another_head_beside_the_model_is_harmless(cli: CommandLine, broken: Path) -> None:
    edit_weights(broken / "model.safetensors", set_value("v_head.summary.weight", torch.ones(1, 32)))
    cli.succeeds("attribute", broken, "--prompt", "the cat", *SHORT)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite(cli: CommandLine, broken: Path, value: float) -> None:
    edit_weights(broken / "model.safetensors", lambda weights: weights[WEIGHT][0, 0].fill_(value) and None)
    assert refusal(cli, broken) == (
        f"The weight {WEIGHT} of broken holds NaN or infinity. The checkpoint is damaged or was cast to too narrow a "
        "type; read it again, or in float32."
    )


def test_weights_too_large_for_the_type(cli: CommandLine, broken: Path) -> None:
    edit_weights(broken / "model.safetensors", lambda weights: weights[WEIGHT][0, 0].fill_(1e6) and None)
    assert "holds NaN or infinity" in refusal(cli, broken, "--dtype", "float16")
    cli.succeeds("attribute", broken, "--prompt", "the cat", *SHORT)


def test_missing_tokenizer(cli: CommandLine, broken: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (broken / name).unlink()
    assert refusal(cli, broken) == (
        f"The folder {broken} holds no tokenizer (no tokenizer.json). Save the model's own there, by save_pretrained, "
        "or name the place of one (tokenizer), such as the base's."
    )


def test_damaged_tokenizer(cli: CommandLine, broken: Path) -> None:
    (broken / "tokenizer.json").write_text("{")
    assert refusal(cli, broken).startswith(f"The tokenizer of {broken} could not be read: ")


def test_tokenizer_larger_than_the_embedding(cli: CommandLine, broken: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([f"new{index}" for index in range(50)])
    tokenizer.save_pretrained(broken)
    assert refusal(cli, broken) == (
        "The tokenizer of broken has 350 tokens, its embedding only 300 rows. They belong to different models; give "
        "the tokenizer that the model was trained with."
    )


def test_no_end_of_sequence(cli: CommandLine, broken: Path) -> None:
    edit_json(broken / "tokenizer_config.json", eos_token=None)
    for name in ("config.json", "generation_config.json"):
        edit_json(broken / name, eos_token_id=None)
    (broken / "config.json").write_text((broken / "config.json").read_text()[:-1] + ', "eos_token_id": null}')
    message = refusal(cli, broken)
    assert message.startswith("Neither broken nor its tokenizer names an end-of-sequence token")
    assert message.endswith("Set tokenizer.eos_token, or give the responses.")
    cli.succeeds("attribute", broken, "--prompt", "the cat", "--response", "sat", *SHORT)


@pytest.mark.parametrize("content", [b"", b"GGUF and nothing more", b"x" * 1000])
def test_damaged_gguf(cli: CommandLine, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    message = refusal(cli, path)
    assert message.startswith(f"The configuration of {path} could not be read: ")
    assert message.endswith("Download the file again, or give another.")


def test_missing_gguf(cli: CommandLine) -> None:
    assert refusal(cli, "no.gguf") == (
        "There is no file no.gguf. Give the path of a .gguf file, a folder, or a hub id."
    )


def test_unknown_dtype(cli: CommandLine, base: Path) -> None:
    assert refusal(cli, base, "--dtype", "int16") == (
        "The dtype 'int16' is not known. Allowed: float32, tf32, bfloat16, float16, float64, int8, int4."
    )


@pytest.mark.parametrize("device", ["toaster", "meta", "cuda:x", "cpu:0", ""])
def test_unknown_device(cli: CommandLine, base: Path, device: str) -> None:
    allowed = "auto, cpu, cuda, cuda:N, mps, balanced, disk."
    assert refusal(cli, base, "--device", device).startswith(f"The device {device!r} is not known. Allowed: {allowed}")
    with pytest.raises(aftertune.CheckpointError, match="it is not one of those allowed"):
        aftertune.load(base, device=device)


@pytest.mark.parametrize("device", ["cuda", "cuda:3", "mps"])
def test_device_that_is_not_here(cli: CommandLine, base: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("No such device. CUDA error: see\nmany more lines")

    monkeypatch.setattr(torch, "empty", fail)
    assert refusal(cli, base, "--device", device) == (
        f"The device {device!r} can't be used here: No such device. "
        "Allowed: auto, cpu, cuda, cuda:N, mps, balanced, disk."
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(cli: CommandLine, base: Path) -> None:
    assert refusal(cli, base, "--device", "cuda").startswith("The device 'cuda' can't be used here: ")


def answer(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("HEAD", "https://hub/x"))


HUB_ANSWERS: dict[str, tuple[Exception, str]] = {
    "not there": (
        RepositoryNotFoundError("404", response=answer(404)),
        "There is no folder 'o/m' here, and the hub has none of that name for you. Check the name; if it is private, "
        "run: hf auth login.",
    ),
    "gated": (
        GatedRepoError("403", response=answer(403)),
        "The hub gives o/m only to those whom its owners let in. Ask on its page, then run: hf auth login.",
    ),
    "revision": (
        RevisionNotFoundError("404", response=answer(404)),
        "o/m has no revision 'v9' on the hub. Give one of its branches, tags or commits.",
    ),
    "no model": (
        RemoteEntryNotFoundError("404", response=answer(404)),
        "o/m on the hub has no config.json. Give the id of one that has.",
    ),
    "server": (
        HfHubHTTPError("503 Server Error.\nmany lines", response=answer(503)),
        "There is no folder 'o/m' here, and the hub could not be asked for it (503 Server Error). Check the name and "
        "the connection, or give a folder or .gguf file that is here.",
    ),
    "offline": (
        OfflineModeIsEnabled("..."),
        "There is no folder 'o/m' here, and the hub could not be asked for it (offline mode is on). Check the name and "
        "the connection, or give a folder or .gguf file that is here.",
    ),
}


@pytest.mark.parametrize("name", HUB_ANSWERS)
def test_what_the_hub_answers(cli: CommandLine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error, expected = HUB_ANSWERS[name]

    def refuse(url: str, timeout: float) -> None:
        assert url.endswith("/o/m/resolve/v9/config.json") and timeout == references.HUB_PATIENCE_SECONDS
        raise error

    monkeypatch.setattr(references, "get_hf_file_metadata", refuse)
    assert refusal(cli, "o/m", "--revision", "v9") == expected


def test_a_name_that_is_no_hub_id(cli: CommandLine) -> None:
    assert refusal(cli, "my model") == (
        "There is no folder 'my model' here, and it is no hub id (owner/name) either. Give one of the two."
    )


def test_hub_that_cannot_be_reached(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}")
    started = time.monotonic()
    message = refusal(cli, "nobody/nothing")
    assert message.startswith("There is no folder 'nobody/nothing' here, and the hub could not be asked for it (")
    assert time.monotonic() - started < 5


def test_hub_that_cannot_be_reached_in_a_process_of_its_own(tmp_path: Path) -> None:
    settings = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "aftertune", "attribute", "nobody/nothing", "--prompt", "the cat"]
    started = time.monotonic()
    ended = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("aftertune: There is no folder 'nobody/nothing' here, and the hub could not be")
    assert time.monotonic() - started < 25, "the client's retries are at work"
