"""The whole comparison on two tiny checkpoints: run folder, report, and the same numbers by other ways."""

import json
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter

import aftertune
from aftertune.models.subject import Subject
from aftertune.prompts import encoding
from aftertune.prompts.encoding import encode
from aftertune.prompts.formats import read_prompts
from aftertune.prompts.prompt import Prompt
from aftertune.runs.roles import role_names
from aftertune.study import checks
from aftertune.study.comparison import Comparison
from aftertune.study.intent import Intent
from tiny import make_model, make_tokenizer

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    for seed, name in enumerate(("base", "tuned")):
        make_model(seed=seed).save_pretrained(folder / name)
        make_tokenizer().save_pretrained(folder / name)
    rows = [
        {"id": "a/1", "prompt": "Rewrite the text.\n\nInput: the cat", "instruction_spans": ["Rewrite the text."]},
        {"id": "b", "prompt": "answer the question", "response": " on the mat. sat on", "helpfulness": 4},
        {"id": "c", "prompt": "the mat. Output:", "instruction_spans": ["Output"], "dataset": "other"},
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def compared(pair: Path) -> Comparison:
    return run(pair, "run")


def run(pair: Path, name: str, names: tuple[str, str] | tuple[None, None] = (None, None), **settings):
    progress = {name: settings.pop(name) for name in ("progress",) if name in settings}
    base, tuned = (aftertune.Subject(pair / role, name=shown) for role, shown in zip(role_names(2), names, strict=True))
    asked = {"max_new_tokens": 8, "check": 1, **settings}
    return aftertune.compare(study(pair, name, base, tuned, **asked), **progress)


def study(pair: Path, name: str | Path, base, tuned, **settings) -> aftertune.Study:
    return aftertune.Study(
        base, tuned, run=pair / name, prompts=pair / "prompts.jsonl", only="attribution", device="cpu", **settings
    )


def test_each_checkpoint_reads_each_prompt_once_before_a_run(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StopError(Exception):
        pass

    def stop(intent: Intent) -> None:
        assert intent.inputs.lengths == [29, 22, 22]
        raise StopError

    read: list[str] = []
    found: list[Subject] = []
    there = checks.must_be_there
    monkeypatch.setattr(
        checks, "must_be_there", lambda own, *how, **more: found.extend(own) or there(own, *how, **more)
    )
    monkeypatch.setattr(encoding, "encode", lambda prompt, *how: read.append(prompt.id) or encode(prompt, *how))
    with pytest.raises(StopError):
        aftertune.compare(study(pair, "never", pair / "base", pair / "tuned"), announce=stop)
    assert sorted(read) == ["a/1", "a/1", "b", "b", "c", "c"] and not (pair / "never").exists()
    assert [Path(one.ref).name for one in found] == ["base", "tuned"]  # whose configurations are read once too


@pytest.mark.usefixtures("compared")
def test_what_was_done_tells_the_longest_response_of_those_that_respond(pair: Path) -> None:
    assert "responses have at most 8 tokens (attribution)." in (pair / "run" / "report.html").read_text("utf-8")


def test_scores_are_those_of_single_attributions(pair: Path, compared) -> None:
    prompts = read_prompts(str(pair / "prompts.jsonl"))
    for role in ("base", "tuned"):
        checkpoint = aftertune.load(pair / role)
        for prompt, row in zip(prompts, compared.attribution.instances, strict=True):
            alone = aftertune.attribute(checkpoint, prompt, max_new_tokens=8)
            assert alone.score() == pytest.approx(getattr(row, f"score_{role}"), rel=1e-6)


def test_a_forced_response_is_attributed_under_both_models(pair: Path, compared) -> None:
    parts = [pl.read_parquet(pair / "run" / "attribution" / role / "b.parquet") for role in ("base", "tuned")]
    assert {part["response"][0] for part in parts} == {" on the mat. sat on"}
    assert parts[0]["probability"].to_list() != parts[1]["probability"].to_list()
    rows = {row.id: row for row in compared.attribution.instances}
    assert rows["b"].helpfulness_base == rows["b"].helpfulness_tuned == 4 and rows["c"].helpfulness_base is None


def test_the_exported_maps_give_the_same_comparison(pair: Path, compared) -> None:
    again = aftertune.score(pair / "run" / "maps.parquet", pair / "prompts.jsonl", base="base", tuned="tuned")
    found, expected = again.attribution, compared.attribution
    assert [row.score_base for row in found.instances] == [row.score_base for row in expected.instances]
    assert found.table2 == expected.table2 and found.figure6 == expected.figure6


def test_the_report_comes_again_from_the_saved_run(pair: Path, compared) -> None:
    report = pair / "run" / "report.html"
    before = report.read_bytes()
    report.unlink()
    assert aftertune.write_report(pair / "run").to_dict() == compared.to_dict()
    assert report.read_bytes() == before


def test_a_finished_run_is_not_computed_again(pair: Path, compared) -> None:
    seen: list[str] = []
    again = run(pair, "run", progress=lambda stage, *_: seen.append(stage.step))
    assert again.to_dict() == compared.to_dict() and set(seen) == {"report"}


@pytest.mark.usefixtures("compared")
def test_what_differs_from_an_earlier_run_is_named(pair: Path) -> None:
    with pytest.raises(aftertune.RunError, match=r"attribution.template was \"chat\", is now \"raw\""):
        run(pair, "run", template="raw")


@pytest.mark.usefixtures("compared")
def test_the_first_order_is_checked_on_a_sample(pair: Path) -> None:
    for role in ("base", "tuned"):
        rows = [pl.read_parquet(path)["agreement"][0] for path in (pair / "run" / "attribution" / role).iterdir()]
        checks = [json.loads(row) for row in rows if row != "null"]
        assert len(checks) == 1 and -1 <= checks[0]["spearman"] <= 1 and checks[0]["removal"] == "deleted"


@pytest.mark.usefixtures("compared")
def test_the_papers_measure_compares_by_gradients(pair: Path) -> None:
    found = run(pair, "gradient", ("before", "after"), method="gradient", difference=False)
    assert (found.base, found.tuned) == ("before", "after")
    assert [one.id for one in found.attribution.differences] == ["b"]  # its response was given, and so read by both
    prompt = read_prompts(str(pair / "prompts.jsonl"))[1]
    alone = aftertune.attribute(aftertune.load(pair / "base"), prompt, method="gradient")
    kept = aftertune.Attribution.load(pair / "gradient" / "attribution" / "base" / "b.parquet")
    assert np.array_equal(kept.importance, alone.importance) and kept.route == alone.route != "removal (mean)"
    plain = aftertune.Attribution.load(pair / "run" / "attribution" / "base" / "b.parquet")
    assert plain.route == "removal (mean)"


def test_the_base_reads_the_tuned_models_responses(pair: Path, compared) -> None:
    found = {one.id: one.found for one in compared.attribution.differences}
    assert set(found) == {row.id for row in compared.attribution.instances if row.n_response_tuned}
    for id, one in found.items():
        assert one.base.response == one.tuned.response
        own = aftertune.Attribution.load(pair / "run" / "attribution" / "tuned" / f"{quote(id, safe='')}.parquet")
        assert np.array_equal(one.tuned.importance, own.importance)
    shared = {unquote(path.stem) for path in (pair / "run" / "attribution-shared" / "base-tuned").iterdir()}
    assert shared == set(found) - {"b"}  # its response was given, so the base read it as its own
    told = [one for one in compared.findings if one.kind == "attribution.difference"]
    assert len(told) == 1 and sum(told[0].evidence[name] for name in ("instruction", "other", "template")) == (
        pytest.approx(1)
    )


def test_equal_weights_are_said_to_be_equal(pair: Path) -> None:
    aftertune.compare(study(pair, "same", pair / "base", pair / "base", max_new_tokens=4, check=0))
    page = (pair / "same" / "report.html").read_text(encoding="utf-8")
    assert "same weights" in page and "base (tuned)" in page


def test_a_run_can_lie_at_any_address(pair: Path) -> None:
    import fsspec

    asked = study(pair, "unused", pair / "base", pair / "tuned", max_new_tokens=4).model_copy(
        update={"run": "memory://study"}
    )
    found = aftertune.compare(asked)
    assert len(found.attribution.instances) == 3
    assert fsspec.filesystem("memory").cat("/study/report.html").startswith(b"<!doctype html>")


@pytest.mark.usefixtures("compared")
def test_a_run_keeps_its_prompts_as_they_were_given(pair: Path) -> None:
    rows = json.loads((pair / "run" / "prompts.json").read_text("utf-8"))["record"]["prompts"]
    assert list(TypeAdapter(tuple[Prompt, ...]).validate_python(rows)) == read_prompts(str(pair / "prompts.jsonl"))
