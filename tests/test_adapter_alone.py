"""An adapter's folder in the place of a checkpoint: merged into the base, or compared with the base that it names."""

import json
import shutil
import warnings
from pathlib import Path

import peft
import pytest
from huggingface_hub import constants

import aftertune
from aftertune.errors import CheckpointError, RunError
from aftertune.models.adapters.alone import Base, base_of, is_adapter
from command_line import SHORT, CommandLine, edit_json, save_checkpoint
from tiny import make_model, make_tokenizer

pytest_plugins = ("cli_fixtures",)
ONLY = ("--only", "location", "--swaps", "0", *SHORT)


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    """An adapter that names the folder of its base."""
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    folder = tmp_path / "my-adapter"
    peft.get_peft_model(make_model(), config).save_pretrained(folder)
    edit_json(folder / "adapter_config.json", base_model_name_or_path=str(base))
    return folder


def test_an_adapter_alone_is_compared_with_the_base_that_it_names(base: Path, adapter: Path) -> None:
    study = aftertune.Study(adapter)
    assert study.base == aftertune.Subject(str(base)) and study.run == "runs/base-my-adapter"
    assert study.tuned == (aftertune.Subject(str(base), adapter, name="my-adapter"),)


def test_an_adapter_as_tuned_is_merged_into_the_base(base: Path, tuned: Path, adapter: Path) -> None:
    merged = aftertune.Subject(tuned, adapter, name="my-adapter")
    assert aftertune.Study(tuned, adapter).tuned == (merged,)
    assert aftertune.Study(tuned, [tuned, adapter]).tuned == (aftertune.Subject(tuned), merged)
    assert aftertune.Study(adapter, tuned).base == aftertune.Subject(str(base), adapter, name="my-adapter")
    assert aftertune.Study(base, tuned_adapter=str(adapter)).tuned == (aftertune.Subject(base, str(adapter)),)
    given = aftertune.Subject(base, adapter)
    assert aftertune.Study(given, tuned).base == given


def test_the_command_takes_an_adapter_alone_and_beside_its_base(cli: CommandLine, base: Path, adapter: Path) -> None:
    alone = json.loads(cli.succeeds("compare", adapter, "--run", "alone", "--json", *ONLY))
    beside = json.loads(cli.succeeds("compare", base, adapter, "--run", "beside", "--json", *ONLY))
    assert (alone["base"], alone["tuned"]) == ("base", "my-adapter") and alone["location"] == beside["location"]
    assert alone["location"]["total"]["n_changed"] == 6
    assert f"{adapter} is an adapter, no model. Give its base, and it by --adapter {adapter}." in cli.refuses(
        "heads", adapter, "--run", "x"
    )


def test_a_configuration_beside_an_adapter_makes_no_checkpoint_of_it(base: Path, adapter: Path) -> None:
    shutil.copy(base / "config.json", adapter)
    assert aftertune.Study(adapter).tuned == (aftertune.Subject(str(base), adapter, name="my-adapter"),)
    shutil.copy(base / "model.safetensors", adapter)
    assert not is_adapter(adapter)
    with pytest.raises(CheckpointError, match=r"whether the weights have the adapter in them already can't be told"):
        aftertune.load(adapter)


def test_what_a_trainer_saves_is_read_with_its_checkpoints(adapter: Path, tmp_path: Path) -> None:
    """The files that trl's SFTTrainer and DPOTrainer leave: beside the adapter those of the training."""
    out = adapter.rename(tmp_path / "out")
    edit_json(out / "adapter_config.json", task_type=None, auto_mapping={"base_model_class": "LlamaForCausalLM"})
    make_tokenizer().save_pretrained(out)
    (out / "training_args.bin").write_bytes(b"PK")
    shutil.copytree(out, tmp_path / "checkpoint-5")
    last = Path(shutil.move(tmp_path / "checkpoint-5", out / "checkpoint-5"))
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"):
        (last / name).write_bytes(b"{}")
    whole, early = aftertune.Study(out), aftertune.Study(last)
    assert whole.run == "runs/base-out" and early.run == "runs/base-out-checkpoint-5"
    assert early.tuned[0].label == "out/checkpoint-5" and whole.base == early.base
    read = [aftertune.load(one.tuned[0].ref, one.tuned[0].adapter) for one in (whole, early)]
    assert len({one.provenance.fingerprint for one in read}) == 1 and read[0].tokenizer.chat_template


def test_a_base_that_is_not_there(adapter: Path, tmp_path: Path) -> None:
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="/of/another/machine")
    with pytest.raises(
        CheckpointError, match=r"was /of/another/machine, which is no checkpoint here. Give its base: aftertune"
    ):
        aftertune.Study(adapter)
    edit_json(adapter / "adapter_config.json", base_model_name_or_path=str(tmp_path))
    with pytest.raises(CheckpointError, match=r"which is no checkpoint here. Give its base: aftertune compare BASE"):
        aftertune.Study(adapter)
    with pytest.raises(RunError, match=r"No tuned .* Give two .*: no/adapter has no .* --tuned-adapter no/adapter"):
        aftertune.Study("no/adapter")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path=None)
    with pytest.raises(CheckpointError, match="does not name its base"):
        aftertune.Study(adapter)
    (adapter / "adapter_config.json").write_text("{")
    with pytest.raises(CheckpointError, match="can't be read"):
        aftertune.Study(adapter)
    assert not is_adapter(tmp_path / "nothing") and not is_adapter("./no/such") and not is_adapter("")


@pytest.mark.parametrize(
    ("name", "revision", "expected"),
    [
        ("owner/name", "v2", Base("owner/name", "v2")),
        ("unsloth/Llama-3.2-1B-unsloth-bnb-4bit", "v2", Base("unsloth/Llama-3.2-1B")),
        ("unsloth/mistral-7b-bnb-4bit", None, Base("unsloth/mistral-7b")),
    ],
)
def test_hub_names_of_bases(adapter: Path, name: str, revision: str | None, expected: Base) -> None:
    edit_json(adapter / "adapter_config.json", base_model_name_or_path=name, revision=revision)
    assert base_of(adapter) == expected


def test_a_base_that_cant_be_reached_is_named_by_the_adapter(
    base: Path, adapter: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="owner/name")
    said = cli.refuses("compare", adapter, *ONLY)
    assert said.startswith("There is no folder 'owner/name' here, and the hub could not be asked for it (")
    assert said.endswith(
        f" The adapter names it as its base, in {adapter}/adapter_config.json. To give the base's place: aftertune "
        f"compare BASE {adapter}."
    )
    assert "adapter" not in cli.refuses("compare", "owner/another", base, *ONLY)


def test_a_relative_base_is_looked_for_beside_the_adapter(adapter: Path) -> None:
    save_checkpoint(adapter / "full")
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="full")
    assert base_of(adapter) == Base(str(adapter / "full"))


def test_a_tied_base_and_an_adapter_on_its_output_embeddings_have_the_same_weights(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "tied", family="gemma2")
    config = peft.LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False, ensure_weight_tying=False)
    with warnings.catch_warnings(action="ignore"):
        peft.get_peft_model(make_model("gemma2"), config).save_pretrained(tmp_path / "a", save_embedding_layers=False)
    quick = {"noise_draws": 1, "max_new_tokens": 4, "outputs": {"answer_tokens": 4, "n_samples": 0}, "limit": 2}
    study = aftertune.Study(folder, tmp_path / "a", run=tmp_path / "run", only=["outputs", "location"], **quick)
    found = aftertune.compare(study)
    assert {row.n_draws for row in found.outputs.noise if row.context == "generic"} == {1}
    changed = found.location.weights
    assert changed.filter(~changed["is_equal"])["weight"].to_list() == ["lm_head.weight"]
