"""Models whose weights stay on disk: their numbers are those of models that are converted as a whole, bit for bit."""

import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

import aftertune
from aftertune.errors import AftertuneError, CheckpointError
from aftertune.explainers.location.modules import places
from aftertune.explainers.location.sizes import sizes_of
from aftertune.models.adapters.tying import is_tied
from aftertune.models.generation import generate
from aftertune.models.loaded import Checkpoint
from aftertune.models.mapped import memory
from aftertune.models.mapped.files import spilled
from aftertune.models.mapped.memory import bytes_in_memory, is_mapped
from aftertune.models.mapped.offloaded import keep_where_they_lie
from aftertune.models.vocabulary import embed_words
from aftertune.models.weight_changes import MODULES, read_change, written_change
from aftertune.models.weight_noise import WeightNoise, change_norms
from aftertune.models.weights import down_weights, query_key_weights
from command_line import edit_json, save_prompts
from head_files import save_head_files
from tiny import make_model, make_tokenizer

# Tied, untied, fused projections, transposed weights, norms of queries and keys, embeddings that are scaled, mixtures
# (whose experts transformers fuses), one with a shared expert, and one told by its structure.
OF_EVERY_KIND = ("llama", "qwen2", "phi3", "gpt2", "gemma3_text", "mixtral", "qwen2_moe", "olmo3")
WORDS = ["cat", "mat", "Rewrite", "question"]
IDS = torch.tensor([[5, 9, 30, 7, 299, 0, 3, 12, 77]])
SHARD = "40KB"


class Pair(NamedTuple):
    base: Checkpoint
    tuned: Checkpoint


def save(folder: Path, family: str = "llama", seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> Path:
    make_model(family, dtype, seed).save_pretrained(folder, max_shard_size=SHARD)
    make_tokenizer().save_pretrained(folder)
    return folder


def load(folder: Path, device: str, **how: Any) -> Checkpoint:
    return aftertune.load(folder, device=device, tokenizer=make_tokenizer(), **how)


@pytest.fixture(scope="module", params=OF_EVERY_KIND)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    """A pair in memory, and the same pair on disk."""
    place = tmp_path_factory.mktemp(request.param)
    folders = [save(place / str(seed), request.param, seed) for seed in (0, 1)]
    in_memory, on_disk = (Pair(*(load(one, device) for one in folders)) for device in ("cpu", "disk"))
    return in_memory, on_disk


def test_every_reading_is_that_of_a_model_in_memory(both: tuple[Pair, Pair]) -> None:
    in_memory, on_disk = both
    assert in_memory.base.model.dtype == torch.float32 and on_disk.base.model.dtype == torch.bfloat16
    for one, other in zip(in_memory, on_disk, strict=True):
        assert one.provenance.fingerprint == other.provenance.fingerprint
        assert (other.provenance.dtype, other.provenance.device) == ("float32", "disk")
        assert one.provenance.n_parameters == other.provenance.n_parameters and one.logit_rule == other.logit_rule
    for name, reading in READINGS.items():
        for one, other in zip(reading(*in_memory), reading(*on_disk), strict=True):
            assert torch.equal(torch.as_tensor(one), torch.as_tensor(other)), name


def test_a_model_on_disk_takes_no_memory_and_stays_as_it_was(both: tuple[Pair, Pair]) -> None:
    in_memory, on_disk = both
    for one, other in zip(in_memory, on_disk, strict=True):
        assert bytes_in_memory(one.model) > 0 == bytes_in_memory(other.model)
        assert is_tied(one.model) == is_tied(other.model)
        written = [weight for name, weight in other.model.named_parameters() if ".experts." in name]
        assert all(weight.dtype == torch.float32 for weight in written)
        as_stored = [weight for name, weight in other.model.named_parameters() if ".experts." not in name]
        assert all(weight.dtype == torch.bfloat16 for weight in as_stored)
    before = {name: weight.data_ptr() for name, weight in on_disk.base.model.named_parameters()}
    list(_noise(*on_disk))
    assert {name: weight.data_ptr() for name, weight in on_disk.base.model.named_parameters()} == before


def _heads(*pair: Checkpoint) -> Iterator[Tensor]:
    for one in pair:
        for layer in range(3):
            yield from query_key_weights(one, layer)


def _networks(*pair: Checkpoint) -> Iterator[Tensor]:
    for one in pair:
        for layer in range(3):
            yield from down_weights(one, layer)


def _words(*pair: Checkpoint) -> Iterator[Tensor]:
    for one in pair:
        yield from (embed_words(one, WORDS, side) for side in ("input", "output"))


def _change(*pair: Checkpoint) -> Iterator[Any]:
    for layer in range(3):
        for module in MODULES:
            found = written_change(*pair, layer, module, 3)
            assert found is not None
            yield from (found.directions, torch.tensor(found.shares), torch.tensor(found.squared))
        read = read_change(*pair, layer)
        assert read is not None
        yield from read[:2]


def _norms(*pair: Checkpoint) -> Iterator[float]:
    norms = change_norms(*pair)
    assert norms is not None and all(norms.values())
    yield from norms.values()


def _noise(*pair: Checkpoint) -> Iterator[Tensor]:
    noise = WeightNoise(pair[0], change_norms(*pair) or {})
    with noise.outside_layers(), noise.in_layer(1):
        yield from _heads(pair[0])
        yield from _words(pair[0])
        yield _logits(pair[0])


def _sizes(*pair: Checkpoint) -> Iterator[float]:
    for place in places(*pair):
        assert not place.is_equal
        yield from (value for value in sizes_of(*place.pair).values() if value is not None)


def _outputs(*pair: Checkpoint) -> Iterator[Any]:
    for one in pair:
        yield _logits(one)
        yield from map(torch.tensor, generate(one, [IDS[0].tolist()], 4))


@torch.no_grad()
def _logits(one: Checkpoint) -> Tensor:
    experts = "eager" if hasattr(one.model.config, "num_experts") else None
    if experts:
        one.model.set_experts_implementation(experts)
    return one.model(input_ids=IDS).logits


READINGS: dict[str, Callable[..., Iterator[Any]]] = {
    **{"heads": _heads, "networks": _networks, "words": _words, "change": _change},
    **{"norms": _norms, "noise": _noise, "sizes": _sizes, "outputs": _outputs},
}


def test_half_precision_that_was_asked_for_is_that_of_a_model_in_memory(tmp_path: Path) -> None:
    folder = save(tmp_path)
    one, other = (load(folder, device, dtype="bfloat16") for device in ("cpu", "disk"))
    assert one.provenance.fingerprint == other.provenance.fingerprint
    assert torch.equal(_logits(one), _logits(other)) and bytes_in_memory(other.model) == 0


def test_weights_of_another_dtype_among_the_others_are_not_rounded(tmp_path: Path) -> None:
    folder = save(tmp_path, "mixtral")
    for file in folder.glob("*.safetensors"):
        found = {name: one.float() + 1e-6 if "expert" in name else one for name, one in load_file(file).items()}
        save_file(found, file, {"format": "pt"})
    one, other = (load(folder, device) for device in ("cpu", "disk"))
    assert one.provenance.fingerprint == other.provenance.fingerprint
    with pytest.raises(CheckpointError, match=r"lie on disk in float32, .* Give --dtype float32"):
        load(folder, "disk", dtype="bfloat16")


def test_files_stay_as_they_were_and_what_is_written_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, room = save(tmp_path / "m", "mixtral"), tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    before = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())]
    found = load(folder, "disk")
    assert not list(room.iterdir())
    kept = spilled(torch.arange(6.0))
    assert not list(room.iterdir()) and kept.tolist() == [0, 1, 2, 3, 4, 5]
    with torch.no_grad():
        found.model.get_input_embeddings().weight.add_(1)
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())] == before


def test_wrapped_names_are_read_as_those_of_the_model(tmp_path: Path) -> None:
    folder = save(tmp_path, dtype=torch.float32)
    whole = load(folder, "disk").provenance.fingerprint
    for file in folder.glob("*.safetensors"):
        file.unlink()
    (folder / "model.safetensors.index.json").unlink()
    state = {f"_orig_mod.{name}": one.clone() for name, one in make_model("llama").named_parameters()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    assert load(folder, "disk").provenance.fingerprint == whole


def test_weights_of_pytorch_files_are_written_once_and_mapped(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")
    whole, state = load(folder, "cpu"), make_model("llama", torch.bfloat16).state_dict()
    for file in [*folder.glob("*.safetensors"), folder / "model.safetensors.index.json"]:
        file.unlink()
    torch.save({name: one for name, one in state.items() if name != "lm_head.weight"}, folder / "pytorch_model.bin")
    found = load(folder, "disk")
    assert found.provenance.fingerprint == whole.provenance.fingerprint and bytes_in_memory(found.model) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "down_proj"]},
        {"target_modules": ["v_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": ["embed_tokens", "o_proj"]},
    ],
)
def test_an_adapter_is_merged_as_in_memory(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = save(tmp_path / "base", "llama")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of embeddings that are one tensor
        whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        wrapped = get_peft_model(whole, LoraConfig(r=2, **settings))
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora" in name or "modules_to_save" in name:
                weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped.save_pretrained(tmp_path / "adapter")
    one, other = (load(folder, device, adapter=tmp_path / "adapter") for device in ("cpu", "disk"))
    assert one.provenance.fingerprint == other.provenance.fingerprint != load(folder, "cpu").provenance.fingerprint
    assert torch.equal(_logits(one), _logits(other)) and is_tied(one.model) == is_tied(other.model)
    changed = [w for w in other.model.parameters() if w.dtype == torch.float32 and w.numel() >= 2**16]
    assert all(is_mapped(weight) for weight in changed)


def test_a_comparison_has_the_same_numbers(tmp_path: Path) -> None:
    files, prompts = save_head_files(tmp_path), save_prompts(tmp_path / "prompts.jsonl")
    base, tuned = (save(tmp_path / name, "qwen3", seed) for seed, name in enumerate(("base", "tuned")))
    heads = {"words": files.words, "vectors": files.vectors, "n_draws": 1, "noise_models": 1}
    concepts = {"words": files.words, "n_components": 3, "noise_models": 1}
    shared = {"prompts": prompts, "limit": 2, "max_new_tokens": 3, "skip": ("outputs",), "layers": "0,2"}
    frames = []
    for device in ("cpu", "disk"):
        run = tmp_path / device
        study = aftertune.Study(
            base, tuned, run=run, device=device, heads=heads, concepts=concepts, location={"texts": 2}, **shared
        )
        aftertune.compare(study)
        frames.append({one.relative_to(run): pl.read_parquet(one) for one in sorted(run.rglob("*.parquet"))})
    assert frames[0].keys() == frames[1].keys() and len(frames[0]) > 20
    for place, frame in frames[0].items():
        if "attribution" not in str(place):  # which is computed by another way, and says so
            assert frame.equals(frames[1][place]), place


@pytest.mark.parametrize(
    "how",
    [
        {"method": "removal"},
        {"method": "gradient"},
        {"method": "gradient", "route": "reverse"},
        {"method": "locally-linear"},
    ],
    ids=lambda how: how.get("route", how["method"]),
)
def test_attribution_is_that_of_a_model_in_memory(how: dict[str, Any], tmp_path: Path) -> None:
    folder = save(tmp_path, "qwen3")
    found = [
        aftertune.attribute(load(folder, device), "the cat sat on", response=" the mat", **how).importance
        for device in ("cpu", "disk")
    ]
    assert torch.allclose(*map(torch.as_tensor, found), rtol=1e-3, atol=1e-6)


def test_parts_that_accelerate_offloaded_are_there_and_compute_what_they_did(tmp_path: Path) -> None:
    from accelerate import cpu_offload, disk_offload

    model = make_model("qwen2")
    whole = model(input_ids=IDS).logits
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    for offloaded in (
        cpu_offload(make_model("qwen2"), torch.device("cpu")),
        disk_offload(make_model("qwen2"), tmp_path, torch.device("cpu")),
    ):
        assert all(weight.is_meta for weight in offloaded.parameters())
        keep_where_they_lie(offloaded, torch.float32)
        assert all(torch.equal(weight, weights[name]) for name, weight in offloaded.named_parameters())
        assert torch.equal(offloaded(input_ids=IDS).logits, whole)


def test_weights_are_put_back_where_a_module_fails(tmp_path: Path) -> None:
    found = load(save(tmp_path), "disk")
    with pytest.raises(IndexError):
        found.model(input_ids=torch.tensor([[10_000]]))
    with pytest.raises(RuntimeError):
        found.model.model.layers[0].mlp(torch.ones(1, 7))
    assert all(is_mapped(weight) and weight.dtype == torch.bfloat16 for weight in found.model.parameters())


def test_what_cannot_stay_on_disk_is_refused_before_the_run(tmp_path: Path) -> None:
    base, tuned = (save(tmp_path / name, seed=seed) for seed, name in enumerate(("base", "tuned")))
    prompts = save_prompts(tmp_path / "prompts.jsonl")
    shared = {"prompts": prompts, "limit": 1}
    refused = {
        "Give --noise-draws 0, .* or choose explainers without outputs": {"device": "disk"},
        "rounded codes in int8, which heads can't read. Give another dtype .*--skip heads": {
            "dtype": "int8",
            "only": "heads",
        },
    }
    for words, how in refused.items():
        with pytest.raises(AftertuneError, match=words):
            aftertune.compare(aftertune.Study(base, tuned, run=tmp_path / "run", **shared, **how))
    edit_json(base / "config.json", quantization_config={"quant_method": "fp8"})
    with pytest.raises(CheckpointError, match=r"quantised .fp8., so they have to be dequantised in memory"):
        aftertune.compare(
            aftertune.Study(base, tuned, run=tmp_path / "run", **shared, device="disk", skip=("outputs",))
        )
    assert not (tmp_path / "run" / "base.json").exists()


CHILD = """
import ctypes, gc, sys
import aftertune
class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
def memory():
    gc.collect()
    libc.malloc_trim(0)  # what is free, and only kept by the allocator, is not held
    info, lines = libc.mallinfo2(), open("/proc/self/status").read().splitlines()
    anonymous = sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024
    return info.uordblks + info.hblkhd, anonymous
aftertune.load(sys.argv[1], device="disk")
before, held = memory(), []
for device in ("disk", "cpu"):
    held.append(aftertune.load(sys.argv[2], device=device))
    print(*(now - then for now, then in zip(memory(), before)))
    before = memory()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_it_takes_the_memory_of_one_module_at_a_time(tmp_path: Path) -> None:
    small = save(tmp_path / "small")
    config = make_model("llama").config
    config.hidden_size, config.intermediate_size, config.head_dim, config.num_hidden_layers = 512, 2048, 128, 6
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "large", max_shard_size="10MB")
    make_tokenizer().save_pretrained(tmp_path / "large")
    whole, largest = 4 * model.num_parameters(), 4 * 512 * 2048
    one_arena = os.environ | {"MALLOC_ARENA_MAX": "1"}  # malloc_trim leaves what is free at the end of a thread's arena
    command = [sys.executable, "-c", CHILD, small, tmp_path / "large"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=one_arena)
    on_disk, resident, in_memory, in_pages = map(int, told.stdout.split())
    assert in_memory > 0.9 * whole and in_pages > 0.9 * whole
    assert 2 * largest < 0.1 * whole
    assert on_disk < 2 * largest and resident < 2 * largest  # nor is it in pages that are not the allocator's


def test_free_memory_is_what_a_control_group_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    files = {"memory.max": "5000\n", "memory.current": "3000\n", "memory.stat": "anon 7\ninactive_file 900\n"}
    for name, value in files.items():
        (tmp_path / name).write_text(value)
    assert memory.free_memory() == 2900
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() > 10**6
