"""A template of a file, of a role, with arguments, with today's date, and texts that are rendered already."""

import html
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import aftertune
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from aftertune.study import templates
from aftertune.study.announce import prepare
from aftertune.study.measure import measure
from command_line import CommandLine, save_checkpoint
from test_study_template import OTHER, PROMPT, PUT, folders, put, said, without_template

__all__ = ["folders"]
pytest_plugins = ("cli_fixtures",)
THINKING = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}{% if enable_thinking %}<think>{% endif %}"
)
TODAY = "<s>{{ strftime_now('%d %b %Y') }}\n{{ messages[0].content }}</s>"


def measured(
    tmp_path: Path, base: Path, tuned: Path, name: str = "run", told: list[str] | None = None, **given: Any
) -> Path:
    """As `compared`, without the report, which takes longest."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"id": "p", "prompt": PROMPT, "response": " on"}))
    asked = {"only": "attribution", "check": 0, "device": "cpu", "prompts": prompts} | given
    study = aftertune.Study(base, tuned, run=tmp_path / name, **asked)
    measure(study, silent, lambda intent: (told if told is not None else []).append(prepare(intent)[0]))
    return tmp_path / name


class LaterDay(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> "LaterDay":
        return cls(2031, 1, 2, 3, 4, 5, tzinfo=tz)


def test_a_file_is_used_for_all_and_another_one_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    file, told = tmp_path / "mine.jinja", list[str]()
    file.write_text(OTHER)
    pair = folders["base"], folders["plain-tuned"]
    run = measured(tmp_path, *pair, told=told, template=str(file))
    assert put(run, "base") == put(run, "tuned") == "<s>[the cat]"
    assert f"template    {file}: its chat template is used for every model\n" in told[0]
    assert said(run)["lent"] == OTHER and said(run)["for_all"]
    (run / "attribution" / "tuned" / "p.parquet").unlink()
    asked = said(run)["asked"]
    file.rename(tmp_path / "away")  # the run knows what it used
    with pytest.raises(aftertune.RunError, match="is not known, and no file"):
        measured(tmp_path, *pair, template=str(file))
    (tmp_path / "away").rename(file)
    assert put(measured(tmp_path, *pair, template=asked), "tuned") == "<s>[the cat]"
    file.write_text(OTHER.replace("[", "("))
    with pytest.raises(aftertune.RunError, match=r'template.chat_template was "[0-9a-f]{12}\.\.\.", is now "'):
        measured(tmp_path, *pair, template=str(file))


def test_the_template_of_a_role_is_used_for_all(tmp_path: Path, folders: dict[str, Path]) -> None:
    (folders["tuned"] / "chat_template.jinja").write_text(OTHER)
    run = measured(tmp_path, folders["base"], folders["tuned"], template="tuned")
    assert put(run, "base") == put(run, "tuned") == "<s>[the cat]"
    assert put(measured(tmp_path, folders["base"], folders["tuned"], "other", template="base"), "tuned") == PUT
    with pytest.raises(aftertune.RunError, match=r"template.chat_template was not set, is now|attribution"):
        measured(tmp_path, folders["base"], folders["tuned"], template="raw")
    with pytest.raises(aftertune.PromptError, match=r"^The tuned has no chat template\. Give the file"):
        measured(tmp_path, folders["base"], folders["plain-tuned"], "none", template="tuned")


def test_arguments_reach_the_template_and_others_are_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    for name in ("base", "tuned"):
        (folders[name] / "chat_template.jinja").write_text(THINKING)
    pair = folders["base"], folders["tuned"]
    run = measured(tmp_path, *pair, template_arg=["enable_thinking=true"])
    assert put(run, "tuned") == "<s>user\nthe cat</s><think>" and said(run)["arguments"] == {"enable_thinking": True}
    assert measured(tmp_path, *pair, template_arg={"enable_thinking": True}) == run
    with pytest.raises(aftertune.RunError, match=r"template.arguments.enable_thinking was true, is now false"):
        measured(tmp_path, *pair, template_arg={"enable_thinking": False})
    with pytest.raises(aftertune.RunError, match=r"template.arguments.* is now not set"):
        measured(tmp_path, *pair)
    with pytest.raises(aftertune.PromptError, match=r"has no argument 'enable_thinkin'"):
        measured(tmp_path, *pair, "other", template_arg={"enable_thinkin": False})
    with pytest.raises(aftertune.PromptError, match=r"^The template raw reads no arguments, and 'enable_thinking'"):
        measured(tmp_path, *pair, "other", template="raw", template_arg={"enable_thinking": False})


def test_a_run_keeps_its_date(tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("base", "tuned"):
        (folders[name] / "chat_template.jinja").write_text(TODAY)
    run = measured(tmp_path, folders["base"], folders["tuned"])
    before = put(run, "tuned")
    assert said(run)["moment"][:10] in {datetime.now().date().isoformat(), before}
    (run / "attribution" / "tuned" / "p.parquet").unlink()
    monkeypatch.setattr(templates, "datetime", LaterDay)
    assert put(measured(tmp_path, folders["base"], folders["tuned"]), "tuned") == before
    later = put(measured(tmp_path, folders["base"], folders["tuned"], "later"), "tuned")
    assert later == "<s>02 Jan 2031\nthe cat</s>" != before


def test_rendered_text_is_told_under_raw_and_read_as_such(tmp_path: Path, folders: dict[str, Path]) -> None:
    told, text = list[str](), PUT.removesuffix("\n")
    prompts = [aftertune.Prompt("p", (aftertune.Message("user", text),), response=" on"), plain("q")]
    pair = folders["base"], folders["tuned"]
    run = measured(tmp_path, *pair, told=told, template="raw", prompts=prompts)
    note = "1 prompt holds control tokens of the tokenizer as text ('<s>' in 'p'): "
    note += "the template rendered reads them as such"
    assert f"rows        {note}\n" in told[0] and RunFolder.open(run).read_json("rows.json")["record"]["notes"] == [
        f"{note}."
    ]
    run = measured(tmp_path, *pair, "rendered", told=told, template="rendered", prompts=prompts)
    assert "rows        1 prompt of 2 hold no control token: put in no chat template yet?\n" in told[1]
    with pytest.raises(aftertune.PromptError, match=r"is read by the template rendered"):
        measured(tmp_path, *pair, "chat", prompts=prompts[:1])


def plain(id: str) -> aftertune.Prompt:
    return aftertune.Prompt(id, (aftertune.Message("user", PROMPT),), response=" on")


def test_prompts_that_a_template_refuses_are_left_out_and_stay_so(tmp_path: Path, folders: dict[str, Path]) -> None:
    template = "{% if messages | length > 1 %}{{ raise_exception('One turn, please') }}{% endif %}" + OTHER
    for name in ("base", "tuned"):
        (folders[name] / "chat_template.jinja").write_text(template)
    turns = [{"role": "system", "content": "sat"}, {"role": "user", "content": PROMPT}]
    file, told = tmp_path / "mixed.jsonl", list[str]()
    rows = [{"id": "p", "prompt": PROMPT, "response": " on", "topic": "cats"}, {"id": "two", "messages": turns}, {}]
    file.write_text("\n".join(map(json.dumps, rows)))
    pair = folders["base"], folders["tuned"]
    run = measured(tmp_path, *pair, told=told, prompts=file)
    refused = (
        "1 of 2 prompts was skipped: The chat template refuses prompt 'two': One turn, please. Change its messages, "
    )
    assert "rows        1 of 3 rows was skipped: line 3: it has neither prompt nor messages" in told[0]
    assert "rows        Not used of the rows: topic (1 row)\n" in told[0] and f"rows        {refused}" in told[0]
    aftertune.write_report(run)
    kept = json.loads((run / "comparison.json").read_text())["rows"]
    assert (kept["rows"], kept["used"], kept["skipped"], kept["unused"]) == (3, 1, 1, {"topic": 1})
    assert list(kept["left_out"]) == ["two"] and kept == aftertune.open_comparison(run).to_dict()["rows"]
    assert refused in html.unescape((run / "report.html").read_text("utf-8"))
    (run / "attribution" / "tuned" / "p.parquet").unlink()
    assert measured(tmp_path, *pair, prompts=file) == run and put(run, "tuned") == "<s>[the cat]"
    with pytest.raises(aftertune.PromptError, match="line 3: it has neither"):
        measured(tmp_path, *pair, "strict", prompts=file, strict=True)
    file.write_text(json.dumps(rows[1]) + "\n" + json.dumps(rows[1] | {"id": "three"}))
    with pytest.raises(
        aftertune.PromptError, match=r"^None of the 2 prompts can be used\. The first: The chat template"
    ):
        measured(tmp_path, *pair, "none", prompts=file)


def test_on_the_command_line(cli: CommandLine, tmp_path: Path) -> None:
    base, tuned = (save_checkpoint(tmp_path / name, seed=seed) for seed, name in enumerate(("base", "tuned")))
    (cli.folder / "mine.jinja").write_text(THINKING)
    row = {"prompt": PROMPT, "response": " on", "output": "x"}
    (cli.folder / "p.jsonl").write_text(json.dumps(row) + "\n{")
    quick = ("--only", "attribution", "--check", "0", "--device", "cpu", "--prompts", "p.jsonl", "--run", "run")
    asked = ("--template", "mine.jinja", "--template-arg", "enable_thinking=true", "--template-arg", "x=1")
    assert "has no argument 'x'" in cli.refuses("compare", base, tuned, *quick, *asked)
    found = json.loads(cli.succeeds("compare", base, tuned, *quick, *asked[:4], "--json"))
    assert (found["rows"]["skipped"], found["rows"]["unused"]) == (1, {"output": 1})
    assert "enable_thinking: true" in (cli.folder / "run" / "settings.yaml").read_text()
    assert f"template: {cli.folder / 'mine.jinja'}" in (cli.folder / "run" / "settings.yaml").read_text()
    again = ("compare", "--config", "run/settings.yaml", "--run")
    cli.succeeds(*again, "run")
    assert "line 2 is not JSON" in cli.refuses(*again, "other", "--strict")
    assert "enable_thinking was true, is now false" in cli.refuses(
        *again, "run", "--template-arg", "enable_thinking=false"
    )
    text = ("--prompt", PROMPT, "--response", " on", "--device", "cpu", "--json")
    told = json.loads(cli.succeeds("attribute", base, *asked[:4], *text))["text"]
    assert told == "<s>user\nthe cat</s><think>"
    (base / "chat_template.jinja").write_text("{% for i in range(100000000) %}x{% endfor %}{{ messages[0].content }}")
    assert "Range too big" in cli.refuses("attribute", base, *text)


def test_a_conversation_without_a_chat_template_says_what_is_missing(tmp_path: Path) -> None:
    plain = without_template(save_checkpoint(tmp_path / "base"), tmp_path / "plain")
    turns = (aftertune.Message("system", "a"), aftertune.Message("user", "b"))
    with pytest.raises(
        aftertune.PromptError, match=r"has 2 messages; .* The model has no chat template: give the file"
    ):
        aftertune.attribute(aftertune.load(plain), aftertune.Prompt("p", turns), " on")
