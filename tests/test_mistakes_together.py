"""What is wrong with the tuned checkpoint is told before the plan, all of it in one message, and locks no run."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

import aftertune
from aftertune.errors import CheckpointError
from command_line import edit_json, edit_weights, save_checkpoint
from tiny import make_model

pytest_plugins = ("cli_fixtures",)
ONLY: dict[str, Any] = {"only": ["location"], "swaps": 0, "max_new_tokens": 4, "device": "cpu"}


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    peft.get_peft_model(make_model(), peft.LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path / "a")
    return tmp_path / "a"


def refusal(tmp_path: Path, base: Path, tuned: Any) -> str:
    """What is said of the tuned before the plan; the run's folder is free afterwards."""
    planned: list[Any] = []
    run = tmp_path / "run"
    with pytest.raises(CheckpointError) as told:
        aftertune.compare(aftertune.Study(base, tuned, run=run, **ONLY), announce=planned.append)
    assert not planned and not run.exists()
    return str(told.value)


def shards(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    make_model().save_pretrained(folder, max_shard_size="60KB")
    sorted(folder.glob("model-*"))[1].unlink()


def lfs(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def no_numbers(folder: Path) -> None:
    file = next(folder.glob("*model.safetensors"))
    save_file({name: torch.empty(0) for name in load_file(file)}, file, {"format": "pt"})


def put(name: str, content: str = "") -> Callable[[Path], None]:
    def put_in(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)

    return put_in


def cut(name: str, n: int) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:n])


CHECKPOINTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights. Download or save"),
    "empty": (cut("model.safetensors", 0), "model.safetensors is empty. Download"),
    "cut short": (cut("model.safetensors", 3000), "could not be read: Error while deserializing header"),
    "missing shard": (shards, "names 3 files of weights, of which 1 is missing (model-00002-of-00003.safetensors)"),
    "index": (put("model.safetensors.index.json", "{}"), "can't be read: it has no 'weight_map'"),
    "pointer": (lfs, "is a pointer of Git LFS; the weights themselves were not downloaded. Run: git lfs pull."),
    "zero-3": (no_numbers, "hold no numbers (first: model.embed_tokens.weight): they were saved while DeepSpeed's"),
    "deepspeed": (put("zero_to_fp32.py"), "It holds parts of DeepSpeed. Join them: python zero_to_fp32.py . OUTPUT"),
    "fsdp": (put("pytorch_model_fsdp_0/__0_0.distcp"), "It holds parts of FSDP. Join them: accelerate merge-weights"),
    "gguf": (put("model-Q4_K_M.gguf"), "Give its file model-Q4_K_M.gguf."),
    "adapter beside": (lambda folder: (folder / "adapter_config.json").write_text("{}"), "and an adapter beside them"),
    "maker's own": (put("consolidated.00.pth"), "Give the same model in Hugging Face's form."),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints(name: str, base: Path, broken: Path, tmp_path: Path) -> None:
    edit, expected = CHECKPOINTS[name]
    edit(broken)
    assert expected in refusal(tmp_path, base, broken)


def test_a_training_folder_names_its_last_checkpoint(base: Path, tmp_path: Path) -> None:
    for n in (9, 100):
        shutil.copytree(base, tmp_path / "out" / f"checkpoint-{n}")
    expected = (
        f"holds no model (no config.json). Give a checkpoint in it, such as {tmp_path / 'out' / 'checkpoint-100'}."
    )
    assert expected in refusal(tmp_path, base, tmp_path / "out")


ADAPTERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut short": (cut("adapter_model.safetensors", 500), "adapter_model.safetensors could not be read: Error while"),
    "empty": (cut("adapter_model.safetensors", 0), "adapter_model.safetensors is empty."),
    "no weight": (lambda folder: save_file({}, folder / "adapter_model.safetensors"), "is empty: its adapter_model"),
    "zero-3": (no_numbers, "6 of 6 weights in"),
    "configuration": (cut("adapter_config.json", 1), "adapter_config.json of"),
    "kind": (lambda folder: edit_json(folder / "adapter_config.json", peft_type=None), "does not say what kind it is"),
    "one missing": (
        lambda folder: edit_weights(folder / "adapter_model.safetensors", lambda held: dict(sorted(held.items())[1:])),
        "1 of its 6 weights are missing and 0 have no place",
    ),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters(name: str, base: Path, adapter: Path, tmp_path: Path) -> None:
    edit, expected = ADAPTERS[name]
    edit(adapter)
    assert expected in refusal(tmp_path, base, aftertune.Subject(base, adapter))


def test_all_that_is_wrong_in_one_message(base: Path, broken: Path, adapter: Path, tmp_path: Path) -> None:
    (broken / "model.safetensors").write_bytes(b"")
    for file in broken.glob("token*"):
        file.unlink()
    cut("adapter_config.json", 1)(adapter)
    message = refusal(tmp_path, base, aftertune.Subject(broken, adapter))
    assert message.startswith("3 things have to be mended. (1) The folder ")
    assert "holds no tokenizer" in message and "is empty" in message and "adapter_config.json of" in message


def test_a_start_that_fails_while_loading_leaves_the_folder_free(base: Path, tmp_path: Path) -> None:
    bad = save_checkpoint(tmp_path / "bad", seed=1)
    weight = "model.layers.1.mlp.down_proj.weight"
    edit_weights(bad / "model.safetensors", lambda held: held | {weight: torch.full((32, 48), float("nan"))})
    run = tmp_path / "run"
    for order in ((base, bad), (bad, base)):
        with pytest.raises(CheckpointError, match="holds NaN or infinity"):
            aftertune.compare(aftertune.Study(*order, run=run, **ONLY))
        assert not run.exists()
    other = save_checkpoint(tmp_path / "other", seed=2)
    assert aftertune.compare(aftertune.Study(base, other, run=run, **ONLY)).location is not None
