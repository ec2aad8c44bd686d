"""How the prompts of a study are put: auto, chat and raw, with chat templates in both models, in one, in none."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import aftertune
from aftertune.models.checkpoint import read_tokenizer
from aftertune.prompts.templates import choose_template
from aftertune.runs.run import RunFolder
from aftertune.study.announce import prepare
from aftertune.study.templates import Template
from command_line import save_checkpoint
from test_bad_input_adapters import save_adapter
from tiny import make_model, make_tokenizer

PROMPT = "the cat"
PUT = "<s>user\nthe cat</s>\n<s>assistant\n"
OTHER = "{% for m in messages %}<s>[{{ m.content }}]{% endfor %}"


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """A base and a tune of it, each with a chat template ("base", "tuned") and without ("plain", "plain-tuned")."""
    found = {name: save_checkpoint(tmp_path / name, seed=seed) for name, seed in (("base", 0), ("tuned", 1))}
    for name in ("base", "tuned"):
        found |= {f"plain-{name}": without_template(found[name], tmp_path / f"plain-{name}")}
    return found


def without_template(folder: Path, place: Path) -> Path:
    shutil.copytree(folder, place)
    (place / "chat_template.jinja").unlink()
    make_tokenizer(chat=False).save_pretrained(place)
    return place


def compared(
    tmp_path: Path, base: Any, tuned: Any, name: str = "run", told: list[str] | None = None, **given: Any
) -> Path:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"id": "p", "prompt": PROMPT, "response": " on the mat"}))
    asked = {"only": "attribution", "check": 0, "device": "cpu", "prompts": prompts} | given
    study = aftertune.Study(base, tuned, run=tmp_path / name, **asked)
    aftertune.compare(study, announce=lambda intent: (told if told is not None else []).append(prepare(intent)[0]))
    return tmp_path / name


def put(run: Path, role: str) -> str:
    return pl.read_parquet(run / "attribution" / role / "p.parquet")["text"][0]


def said(run: Path) -> dict[str, Any]:
    return RunFolder.open(run).read_json("template.json")["record"]


def test_what_is_chosen() -> None:
    chat, plain = make_tokenizer(), make_tokenizer(chat=False)
    assert choose_template("auto", [plain, chat]) == ("chat", chat)
    assert choose_template("auto", [plain, plain]) == ("raw", plain)
    assert choose_template("raw", [plain, chat]) == ("raw", plain)
    assert choose_template("chat", [plain]) == ("chat", plain)
    with pytest.raises(aftertune.PromptError, match=r"'plain' is not known. Allowed: auto, chat, raw, rendered."):
        choose_template("plain", [chat])


def test_auto_is_chat_where_both_have_a_template(tmp_path: Path, folders: dict[str, Path]) -> None:
    run = compared(tmp_path, folders["base"], folders["tuned"])
    assert put(run, "base") == put(run, "tuned") == PUT
    nothing = {"lent": None, "owner": "", "lent_to": [], "for_all": False, "arguments": {}, "moment": ""}
    nothing |= {"added": [], "unread_by": ""}
    assert said(run) == {"name": "chat", "asked": "auto"} | nothing
    assert RunFolder.open(run).read_json("attribution.json")["identity"]["template"] == "chat"


def test_auto_is_raw_where_none_has_a_template(tmp_path: Path, folders: dict[str, Path]) -> None:
    run = compared(tmp_path, folders["plain-base"], folders["plain-tuned"])
    assert put(run, "base") == put(run, "tuned") == PROMPT and said(run)["name"] == "raw"
    with pytest.raises(aftertune.PromptError, match=r"None of the models has a chat template \(base, tuned\)"):
        compared(tmp_path, folders["plain-base"], folders["plain-tuned"], "chat", template="chat")


@pytest.mark.parametrize("owner", ["base", "tuned"])
@pytest.mark.parametrize("asked", ["auto", "chat"])
def test_a_template_that_one_has_is_used_for_both_and_that_is_said(
    tmp_path: Path, folders: dict[str, Path], owner: str, asked: str
) -> None:
    other = "tuned" if owner == "base" else "base"
    pair = {owner: folders[owner], other: folders[f"plain-{other}"]}
    told: list[str] = []
    run = compared(tmp_path, pair["base"], pair["tuned"], told=told, template=asked)
    assert put(run, "base") == put(run, "tuned") == PUT
    assert (said(run)["owner"], said(run)["lent_to"]) == (owner, [other])
    note = f"plain-{other} has no chat template: the prompts are put in that of {owner}"
    assert f"{note}." in (run / "report.html").read_text("utf-8") and f"template    {note}\n" in told[0]


def test_raw_is_the_text_as_it_stands(tmp_path: Path, folders: dict[str, Path]) -> None:
    run = compared(tmp_path, folders["base"], folders["plain-tuned"], template="raw")
    assert put(run, "base") == put(run, "tuned") == PROMPT and said(run)["name"] == "raw"


def test_a_run_of_another_template_is_refused_and_one_of_the_same_goes_on(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    run = compared(tmp_path, folders["base"], folders["plain-tuned"])
    with pytest.raises(aftertune.RunError, match=r'attribution.template was "chat", is now "raw"'):
        compared(tmp_path, folders["base"], folders["plain-tuned"], template="raw")
    (run / "attribution" / "tuned" / "p.parquet").unlink()
    (folders["base"] / "chat_template.jinja").unlink()  # the run knows what it used
    assert put(compared(tmp_path, folders["base"], folders["plain-tuned"]), "tuned") == PUT


def test_templates_that_differ_are_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    (folders["tuned"] / "chat_template.jinja").write_text(OTHER)
    with pytest.raises(aftertune.CheckpointError, match=r"chat templates differ.*use the template raw"):
        compared(tmp_path, folders["base"], folders["tuned"])
    assert put(compared(tmp_path, folders["base"], folders["tuned"], template="raw"), "tuned") == PROMPT


@pytest.mark.parametrize("form", ["file", "config", "named"])
def test_the_template_of_an_adapters_folder(tmp_path: Path, folders: dict[str, Path], form: str) -> None:
    pytest.importorskip("peft")
    adapter, plain = save_adapter(make_model(), tmp_path / "adapter"), folders["plain-base"]
    if form == "file":
        (adapter / "chat_template.jinja").write_text(OTHER)
    else:
        given = OTHER if form == "config" else [{"name": "default", "template": OTHER}]
        (adapter / "tokenizer_config.json").write_text(json.dumps({"chat_template": given}))
    run = compared(tmp_path, plain, aftertune.Subject(plain, adapter))
    assert put(run, "base") == put(run, "tuned") == "<s>[the cat]"
    assert (said(run)["owner"], said(run)["lent_to"]) == ("tuned", ["base"])
    alone = aftertune.load(plain, adapter)
    assert aftertune.attribute(alone, PROMPT, " on").prompt_tokens[:2] == ("<s>", "[")
    assert read_tokenizer(plain).chat_template is None


def test_an_adapter_without_a_template_has_that_of_its_model(tmp_path: Path, folders: dict[str, Path]) -> None:
    pytest.importorskip("peft")
    adapter = save_adapter(make_model(), tmp_path / "adapter")
    run = compared(tmp_path, folders["base"], aftertune.Subject(folders["base"], adapter))
    assert put(run, "tuned") == PUT and not said(run)["lent_to"]
    (adapter / "tokenizer_config.json").write_text("{")
    with pytest.raises(aftertune.CheckpointError, match=r"chat template of the adapter .* can't be read"):
        compared(tmp_path, folders["base"], aftertune.Subject(folders["base"], adapter), "again")


def test_attribute_puts_a_prompt_as_it_is_asked(folders: dict[str, Path]) -> None:
    chat, plain = aftertune.load(folders["base"]), aftertune.load(folders["plain-base"])
    n_raw = len(aftertune.attribute(plain, PROMPT, " on").prompt_tokens)
    assert n_raw == len(aftertune.attribute(chat, PROMPT, " on", template="raw").prompt_tokens) == 2
    assert aftertune.attribute(chat, PROMPT, " on").text == PUT


def test_what_is_said_of_a_lent_template() -> None:
    names = {"base": "b", "tuned": "t", "tuned-2": "u"}
    lent = Template("chat", "auto", "{{ x }}", "tuned", ("base", "tuned-2"))
    assert lent.said(names, ["base", "tuned"]) == "b has no chat template: the prompts are put in that of t"
    assert lent.said(names, names) == "b and u have no chat template: the prompts are put in that of t"
    assert Template().said(names, names) == "" and lent.said(names, ["tuned"]) == ""
