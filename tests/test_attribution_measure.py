"""All prompts of two checkpoints into a run folder, and what is read from it."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import aftertune
from aftertune.errors import AttributionError, CheckpointError, RunError
from aftertune.explainers.attribution import AttributionExplainer
from aftertune.explainers.attribution.map_file import read_maps
from aftertune.explainers.attribution.measure import AttributionWork
from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.explainers.explainer import Inputs
from aftertune.labelling.store import append
from aftertune.prompts.prompt import Message, Prompt
from aftertune.runs.held import Held
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from tiny import make_model, make_tokenizer

PAIR = Pair("base", "tuned")
PROMPTS = (
    Prompt("plain", (Message("user", "Rewrite the text. the cat sat"),)),
    Prompt("marked", (Message("user", "the mat. answer"),), spans=((0, 8, 0),), ratings={"tuned": 3}),
    Prompt("answered", (Message("user", "the cat"),), response=" sat on the mat."),
)
EXPLAINER = AttributionExplainer()


def inputs(**changes: Any) -> Inputs:
    return Inputs(**({"prompts": PROMPTS, "max_new_tokens": 4, "device": "cpu"} | changes))


def work(settings: AttributionSettings | None = None, **changes: Any) -> AttributionWork:
    return AttributionWork(settings or AttributionSettings(check=1), inputs(**changes))


def start(folder: Path) -> RunFolder:
    return RunFolder.start(folder, {role: {"checkpoint": role} for role in PAIR}, {})


def measure(run: RunFolder, role: str, seed: int = 0, chat: bool = True) -> None:
    checkpoint = aftertune.load(make_model(seed=seed), tokenizer=make_tokenizer(chat))
    named = replace(checkpoint.provenance, name=role)
    run.claim(f"{role}.json", {"fingerprint": named.fingerprint}, named.to_dict())
    work().measure(checkpoint, role, run, silent)


def copied(run: RunFolder, folder: Path) -> RunFolder:
    shutil.copytree(run.address, folder / "run")
    return RunFolder.open(folder / "run")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = start(tmp_path_factory.mktemp("run") / "run")
    measure(run, "base")
    measure(run, "tuned", seed=1)
    return run


def test_what_is_measured_is_compared(measured: RunFolder, tmp_path: Path) -> None:
    assert EXPLAINER.is_in(measured) and work().is_measured(measured, "tuned")
    change = EXPLAINER.change(Held(measured), PAIR, AttributionSettings(), {})
    assert change is not None
    assert [row.id for row in change.instances] == ["plain", "marked", "answered"]
    assert len(change.maps) == 6 and change.instances[1].helpfulness_tuned == 3
    assert change.agreement is not None and change.agreement.n_instances == 2
    assert change.settings["route"] == "auto" and change.settings["max_new_tokens"] == 4
    assert change.labels is not None and (change.labels.n_prompts, change.labels.n_unmarked) == (3, 2)
    EXPLAINER.write([change, change], start(tmp_path / "other"))
    assert [one.id for one in read_maps(tmp_path / "other" / "maps.parquet")] == [one.id for one in change.maps]
    assert EXPLAINER.section(change).settings == change.settings


def test_what_people_say_comes_before_the_prompt_file(measured: RunFolder, tmp_path: Path) -> None:
    measured = copied(measured, tmp_path)
    spans = [[0, 3, 0]]
    append(measured, "ann", [{"prompt": "marked", "spans": spans}])
    append(measured, "ann", [{"prompt": "plain", "role": "base", "helpfulness": 4}])
    change = EXPLAINER.change(Held(measured), PAIR, AttributionSettings(), {})
    assert change is not None and change.labels is not None
    assert (change.labels.n_rated, change.labels.n_marked, change.labels.raters) == (1, 1, ("ann",))
    marked = next(one for one in change.maps if (one.id, one.model) == ("marked", "tuned"))
    starts = marked.offsets[marked.is_instruction]
    assert len(starts) and starts.max() <= 3 and change.instances[0].helpfulness_base == 4


def test_a_part_that_is_lost_is_made_anew(measured: RunFolder, tmp_path: Path) -> None:
    run = copied(measured, tmp_path)
    part = tmp_path / "run" / "attribution" / "base" / "marked.parquet"
    before = part.read_bytes()
    part.unlink()
    assert not work().is_measured(run, "base")
    with pytest.raises(RunError, match="1 of 3 prompts are not measured yet for base"):
        EXPLAINER.change(Held(run), PAIR, AttributionSettings(), {})
    measure(run, "base")
    assert part.read_bytes() == before


def test_a_run_goes_on_with_its_own_settings_only(measured: RunFolder) -> None:
    work().must_fit([], measured)
    for other, message in (
        (
            work(AttributionSettings(check=1, method="gradient", route="reverse")),
            'attribution.route was "auto", is now "reverse"',
        ),
        (work(AttributionSettings(check=2)), "attribution.check was 1, is now 2"),
        (work(max_new_tokens=5), "attribution.max_new_tokens was 4, is now 5"),
        (work(template="chat"), 'attribution.template was "raw", is now "chat"'),
        (work(prompts=PROMPTS[:2]), "attribution.prompts.n was 3, is now 2"),
    ):
        with pytest.raises(RunError, match=message):
            other.must_fit([], measured)


def test_checkpoints_must_read_the_same_tokens(measured: RunFolder) -> None:
    checkpoint = aftertune.load(make_model(), tokenizer=make_tokenizer())
    other = [replace(PROMPTS[0], messages=(Message("user", "something else"),)), *PROMPTS[1:]]
    with pytest.raises(CheckpointError, match="1 of 3 prompts as different tokens"):
        work(prompts=other).measure(checkpoint, "other", measured, silent)
    assert not (Path(measured.address) / "attribution" / "other").exists()


def test_what_can_not_be_is_refused_before_any_work(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    config = SimpleNamespace(model_type="gpt2")
    with pytest.raises(AttributionError, match="forward-bfloat16"):
        work(AttributionSettings(method="gradient", route="forward-bfloat16")).must_fit([None, config], run)
    with pytest.raises(AttributionError, match="template 'plain' is not known"):
        EXPLAINER.prepare(AttributionSettings(), inputs(template="plain"))
    for wrong, message in (
        ({"route": "sideways"}, "route 'sideways' is not known. Allowed: auto, forward"),
        ({"unit": "syllable"}, "unit 'syllable' is not known. Allowed: token, word"),
        ({"removal": "halved"}, "removal 'halved'"),
        ({"check": -1}, "check is -1"),
        ({"paths": 1}, "'paths' is no setting"),
    ):
        with pytest.raises(AttributionError, match=message):
            AttributionSettings(**wrong)


def test_the_choice_is_told() -> None:
    (label, text), (second, shown) = work(lengths=[5, 9, 3]).chosen()
    assert second == "can show" and "with 3 prompts no two-sided test within prompts can give p below 0.25" in shown
    assert label == "prompts" and text == (
        "3 (prompts) of 3 to 9 tokens, responses of at most 4, template raw, by removal (mean)"
    )
