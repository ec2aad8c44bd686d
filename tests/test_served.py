"""Models behind servers: the same maps as with weights, whatever the server does meanwhile; and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import openai._base_client
import pytest

import aftertune
from aftertune.errors import AttributionError, CheckpointError, RunError
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.models.served import connection
from aftertune.models.served.model import served_model
from aftertune.models.subject import Subject
from aftertune.prompts.formats import read_prompts
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from aftertune.study.served import measure_served
from command_line import CommandLine
from fault_server import NO_ANSWERS
from model_server import STRANGE, ModelServer, model_server
from tiny import make_model, make_tokenizer
from tokenizers_for_tests import byte_level

pytest_plugins = ("cli_fixtures",)
KEY = "sk-secret-key-0123456789"
ROWS = [
    {"id": "own", "prompt": "Rewrite the text.\nthe cat", "instruction_spans": ["Rewrite the text."]},
    {"id": "given", "prompt": "the question", "response": " on the 日"},
]
# Without parts of characters, which are asked for one by one: a part of the run for each request.
PLAIN = [{"id": text, "prompt": f"{text}. answer the question", "response": " on the mat"} for text in ("text", "cat")]
N_NEW = 3


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(openai._base_client, "MAX_RETRY_DELAY", 0.02)
    monkeypatch.setattr(connection, "BROKEN_DELAY_SECONDS", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {role: make_model(seed=seed) for seed, role in enumerate(("base", "tuned"))}


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return save(tmp_path / "prompts.jsonl", ROWS)


def save(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def serve(checkpoints: dict[str, Any], role: str, **behaviour: Any) -> Any:
    return model_server(checkpoints[role], make_tokenizer(), **behaviour)


def study(base: ModelServer, tuned: ModelServer, prompts: Path, **settings: Any) -> aftertune.Study:
    given = {"run": prompts.parent / "run", "prompts": prompts, "max_new_tokens": N_NEW, **settings}
    return aftertune.Study(base_server=base.address, tuned_server=tuned.address, **given)


def part(run: Path, kind: str, role: str, id: str) -> Attribution:
    folder = RunFolder.open(run)
    return Attribution.from_row(folder.read(folder.part(kind, role, id)))


def must_be_alike(found: Attribution, expected: Attribution) -> None:
    assert found.response == expected.response and found.prompt_tokens == expected.prompt_tokens
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-5)
    np.testing.assert_allclose(found.importance, expected.importance, atol=1e-5)
    assert found.is_instruction.tolist() == expected.is_instruction.tolist()
    assert found.is_user.tolist() == expected.is_user.tolist()
    assert found.offsets.tolist() == expected.offsets.tolist()


@pytest.mark.parametrize(("dialect", "template"), [("llama.cpp", "raw"), ("llama.cpp", "chat"), ("echo", "chat")])
def test_maps_are_those_that_the_weights_give(models, prompts, dialect, template) -> None:
    with serve(models, "base", dialect=dialect) as base, serve(models, "tuned", dialect=dialect) as tuned:
        measure_served(study(base, tuned, prompts, template=template), silent)
    run, how = prompts.parent / "run", {"template": template, "max_new_tokens": N_NEW, "removal": "deleted"}
    here = {role: aftertune.load(model, tokenizer=make_tokenizer()) for role, model in models.items()}
    for prompt in read_prompts(str(prompts)):
        for role, checkpoint in here.items():
            expected = aftertune.attribute(checkpoint, prompt, prompt.response, **how)
            must_be_alike(part(run, "attribution", role, prompt.id), expected)
    own = next(one for one in read_prompts(str(prompts)) if one.response is None)
    expected = aftertune.attribute_difference(here["base"], here["tuned"], own, **how)
    must_be_alike(part(run, "attribution-shared", "base-tuned", "own"), expected.base)


def test_no_fault_changes_a_number_and_the_key_stays_out_of_the_run(models, tmp_path) -> None:
    faults = ("429", "500", "503", "cut", "half", "wrong json", "no log probabilities")
    prompts, found = save(tmp_path / "prompts.jsonl", PLAIN), []
    for kinds in ((), faults):
        with serve(models, "tuned") as tuned, serve(models, "base", faults=kinds) as base:
            measure_served(study(base, tuned, prompts, run=tmp_path / f"run{len(kinds)}"), silent)
        reading = [body for _, body in base.asked if body.get("grammar")]
        assert base.keys == {f"Bearer {KEY}"} and len(reading) == 1 + len(base.read) + len(kinds) - bool(kinds)
        found.append([part(tmp_path / f"run{len(kinds)}", "attribution", "base", one["id"]) for one in PLAIN])
    for plain, failing in zip(*found, strict=True):
        np.testing.assert_array_equal(plain.importance, failing.importance)
    assert not [one for one in tmp_path.rglob("*") if one.is_file() and KEY.encode() in one.read_bytes()]


@pytest.mark.parametrize("dialect", ["llama.cpp", "echo"])
def test_numbers_that_are_none_are_asked_again(models, dialect) -> None:
    with serve(models, "base", dialect=dialect) as base, served_model(Subject("", server=base.address), 1) as model:
        expected = model.log_p([[5, 6, 7], [6, 7]], [8, 9])
        for kind in (*STRANGE, *NO_ANSWERS):
            base.faults, base._met = (kind,), 0
            np.testing.assert_array_equal(model.log_p([[5, 6, 7], [6, 7]], [8, 9]), expected, err_msg=kind)
            assert base._met >= 1, kind
        base.faults, base._met = ("NaN",) * 9, 0
        with pytest.raises(
            CheckpointError, match="answered 4 times with an answer at /v1/completions that can't be used"
        ):
            model.log_p([[5, 6, 7], [6, 7]], [8, 9])


def test_served_models_are_read_by_deletion_where_nothing_was_chosen() -> None:
    two = {"base_server": "http://127.0.0.1:1", "tuned_server": "http://127.0.0.1:2"}
    for given in ({}, {"check": 0}, {"attribution": AttributionSettings(check=0)}, {"attribution": {"check": 0}}):
        assert aftertune.Study(**two, **given).settings["attribution"].removal == "deleted"
    assert (
        aftertune.Study(**two, removal="mean").settings["attribution"].removal == "mean"
    )  # refused when it is measured
    assert aftertune.Study("base", "tuned").settings["attribution"].removal == "mean"


def test_an_answer_of_a_model_without_end_is_read_so_far_only(models) -> None:
    with serve(models, "base") as base:
        asked = connection.Connection(base.address, largest=100_000)
        with asked.client, pytest.raises(CheckpointError, match=r"answered with more than 0\.1 MB, which is no answer"):
            asked.ask("/tokenize", {"content": "a " * 4_500, "parse_special": False, "with_pieces": True}, len)


def test_strange_facts_of_a_model_are_passed_over(models) -> None:
    strange = {"told": {"meta": [1]}, "properties": {"default_generation_settings": 3, "chat_template": []}}
    with serve(models, "base", **strange) as base, served_model(Subject("", server=base.address), 1) as model:
        assert model.context_length is None and model.provenance.n_parameters == 0
        assert model.tokenizer.chat_template is None


def test_what_was_answered_is_not_asked_again(models, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(connection, "RETRIES", 1)
    prompts = save(tmp_path / "prompts.jsonl", PLAIN)
    with serve(models, "tuned") as tuned, serve(models, "base", breaks_after=3, delay_seconds=0.02) as base:
        asked = study(base, tuned, prompts, concurrency=2)
        with pytest.raises(CheckpointError, match="All answers so far are kept"):
            measure_served(asked, silent)
        kept = list((tmp_path / "run" / "attribution-removal").rglob("*.parquet"))
        assert not tuned.read and base.most_at_once == 2
        assert len(kept) == len(base.read) in (3, 4)  # the one under way came to its end
        base.breaks_after = None
        measure_served(asked, silent)
        bodies = [json.dumps(body) for body in base.read]
        assert len(bodies) == len({*bodies})
        measure_served(asked, silent)
        assert len(base.read) == len(bodies) + 1  # the check at the start


def test_the_plan_tells_what_is_asked_and_what_is_left_out(models, prompts, cli: CommandLine) -> None:
    with serve(models, "tuned") as tuned, serve(models, "base") as base:
        servers = ["--base-server", base.address, "--tuned-server", tuned.address]
        ended = cli.run("compare", *servers, "--prompts", prompts, "--run", "run", "--max-new-tokens", N_NEW)
        assert ended.code == 0, ended.err
        n = sum(
            len(list((cli.folder / "run" / kind).rglob("*.parquet")))
            for kind in ("attribution-responses", "attribution-removal")
        )
        assert f"requests    about {n} (4 at a time)" in ended.err
        assert "skipped     outputs, location, heads, concepts: they need weights" in ended.err
        again = cli.run("compare", "--config", "run/settings.yaml", "--run", "run")
        assert again.code == 0, again.err
        made = RunFolder.open(cli.folder / "run").read_json("made.json")["record"]["command"]
        assert made.startswith(f"aftertune compare --base-server {base.address} --tuned-server {tuned.address} --run")
    assert "requests    none: all is answered already" in again.err
    compared = aftertune.open_comparison(cli.folder / "run")
    assert list(compared.changes) == ["attribution"] and len(compared.attribution.instances) == len(ROWS)
    step = compared.verdict.steps[0].command
    assert compared.is_served and f"--base-server {base.address}" in step and "--reuse" not in step
    report = (cli.folder / "run" / "report.html").read_text("utf-8")
    assert "asked through servers" in report and "outputs, location, heads, concepts" in report
    assert f"(at {base.address}, llama.cpp)" in report and made.partition(" --run")[0] in report


def test_rows_that_a_server_cannot_read_are_skipped_and_told(models, tmp_path, cli: CommandLine) -> None:
    long = {"id": "long", "prompt": "the cat " * 40, "response": " on"}
    prompts = save(tmp_path / "prompts.jsonl", [*PLAIN, long, {"id": "none", "prompt": ""}])
    with serve(models, "tuned") as tuned, serve(models, "base", context=40) as base:
        servers = ["--base-server", base.address, "--tuned-server", tuned.address]
        ended = cli.run("compare", *servers, "--prompts", prompts, "--run", "run", "--template", "raw", "--json")
        assert "context 40" in cli.refuses("compare", *servers, "--prompts", prompts, "--strict", "--limit", 3)
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)["rows"]
    assert list(found["left_out"]) == ["long"] and found["used"] == len(PLAIN)
    assert "context 40" in ended.err and "1 of 4" in ended.err


def test_a_chat_template_from_a_file_with_arguments_is_that_of_all(models, tmp_path) -> None:
    prompts, file = save(tmp_path / "prompts.jsonl", PLAIN), tmp_path / "chat.jinja"
    file.write_text("{% for one in messages %}{{ opening }} {{ one.content }}{% endfor %} answer")
    with serve(models, "tuned") as tuned, serve(models, "base") as base:
        given = {"template": file, "template_arg": {"opening": "question"}}
        measure_served(study(base, tuned, prompts, **given), silent)
    assert part(tmp_path / "run", "attribution", "base", "text").text == "question text. answer the question answer"


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"lacks": ["log probabilities"]}, "gives no log probabilities of a given text"),
        ({"lacks": ["log probabilities"], "dialect": "echo"}, "gives no log probabilities of a given text"),
        ({"lacks": ["/tokenize"], "dialect": "echo"}, "has no /tokenize"),
        ({"models": ["a", "b"]}, "2 models, and none was named. It lists a, b"),
        ({"context": 12}, "the model's context 12"),
    ],
)
def test_a_server_that_lacks_something_is_refused_before_any_work(
    models, prompts, cli: CommandLine, behaviour, said
) -> None:
    with serve(models, "tuned", **behaviour) as tuned, serve(models, "base") as base:
        addresses = ["--base-server", base.address, "--tuned-server", tuned.address]
        assert said in cli.refuses("compare", *addresses, "--prompts", prompts)


def test_models_of_different_tokenizers_are_refused(models, prompts, cli: CommandLine) -> None:
    with serve(models, "base") as base, model_server(models["tuned"], byte_level()) as tuned:
        addresses = ["--base-server", base.address, "--tuned-server", tuned.address]
        assert "read 2 of 2 prompts as different tokens" in cli.refuses("compare", *addresses, "--prompts", prompts)


def test_what_no_server_can_be_asked_is_refused(cli: CommandLine) -> None:
    nobody = "http://127.0.0.1:9/v1"
    told = cli.refuses("compare", "a", "b", "--base-server", nobody, "--tuned-server", nobody)
    assert f"Nothing answers at {nobody}" in told
    told = cli.refuses("compare", "--base-server", "http://me:secret@host/v1", "--tuned-server", nobody)
    assert "must be a scheme, a host and a path" in told and "secret" not in told
    two = {"base_server": "http://a/v1", "tuned_server": "http://b/v1"}
    with pytest.raises(RunError, match="Some of the models are behind a server"):
        aftertune.Study("base", "tuned", tuned_server="http://b/v1")
    with pytest.raises(RunError, match="the same model of the same server"):
        aftertune.Study(base_server="http://a/v1", tuned_server="http://a/v1")
    with pytest.raises(RunError, match="no adapter and no revision"):
        aftertune.Study(**two, tuned_adapter="folder")
    for name, value in (("tokenizer", "folder"), ("architecture", {}), ("reuse", "run"), ("dtype", "bfloat16")):
        with pytest.raises(RunError, match=f"{name} can't be used with servers"):
            aftertune.Study(**two, **{name: value})
    with pytest.raises(RunError, match="heads can't be told of served models"):
        measure_served(aftertune.Study(**two, only="heads"), silent)
    for refused in (
        {"method": "gradient"},
        {"removal": "zeroed"},
        {"removal": "mean"},
        {"removal": "averaged"},
        {"removal": "mixed"},
    ):
        with pytest.raises(AttributionError, match="no gradients and nothing of embeddings"):
            measure_served(aftertune.Study(**two, **refused), silent)
    with pytest.raises(AttributionError, match="Leave the removal_budget out"):
        measure_served(aftertune.Study(**two, removal_budget=0.5), silent)
