"""``aftertune attribute`` with settings, prompts, responses and places that cannot be used."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from aftertune.runs import parts
from command_line import SHORT, CommandLine, snapshot
from tiny import make_tokenizer

pytest_plugins = ("cli_fixtures",)

SUFFIXES = ("json", "html", "svg", "png", "pdf", "parquet")
RAW = ("--template", "raw")


def refusal(cli: CommandLine, base: Path, *more: str | Path, prompt: str = "the cat") -> str:
    return cli.refuses("attribute", base, "--prompt", prompt, *SHORT, *more)


SETTINGS = {
    "route": (
        "--route",
        "sideways",
        "The route 'sideways' is not known. Allowed: auto, forward, reverse, forward-bfloat16.",
    ),
    "removal": (
        "--removal",
        "burnt",
        "The removal 'burnt' is not known. Allowed: deleted, zeroed, mean, averaged, mixed.",
    ),
    "template": ("--template", "fancy", "The template 'fancy' is not known. Allowed: auto, chat, raw, rendered."),
    "unit": (
        "--unit",
        "letter",
        "The unit 'letter' is not known. Allowed: token, word, sentence, line.",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_unknown_settings(cli: CommandLine, base: Path, name: str) -> None:
    option, value, expected = SETTINGS[name]
    assert refusal(cli, base, option, value) == expected


def test_chat_template_that_the_tokenizer_has_not(cli: CommandLine, broken: Path) -> None:
    (broken / "chat_template.jinja").unlink()
    make_tokenizer(chat=False).save_pretrained(broken)
    assert refusal(cli, broken, "--template", "chat") == (
        "This tokenizer has no chat template. Use the template raw, give the file of one, or a tokenizer that has one."
    )


@pytest.mark.parametrize("prompt", ["", " ", "\n\t "])
def test_empty_prompt(cli: CommandLine, base: Path, prompt: str) -> None:
    assert refusal(cli, base, prompt=prompt) == (
        "Prompt 'prompt' is empty: the user says nothing in it. Give it a text."
    )


def test_empty_response(cli: CommandLine, base: Path) -> None:
    assert refusal(cli, base, "--response", "") == (
        "The response of prompt 'prompt' has no token. Give a text, or none to have it generated."
    )


def test_prompt_that_is_not_unicode(cli: CommandLine, base: Path) -> None:
    assert refusal(cli, base, *RAW, prompt="a\udc80").startswith(
        "The text holds half a surrogate pair ('\\udc80', character 1)"
    )


def test_prompt_longer_than_the_context(cli: CommandLine, base: Path) -> None:
    assert refusal(cli, base, *RAW, prompt="x" * 129) == (
        "Prompt 'prompt' has 129 tokens, the model's context 128. Shorten it, or leave it out."
    )


def test_prompt_that_fills_the_context(cli: CommandLine, base: Path) -> None:
    message = refusal(cli, base, *RAW, prompt="x" * 128)
    assert "has 128 tokens, which leaves no room for a response in the model's context of 128." in message
    cli.succeeds("attribute", base, "--prompt", "x" * 127, *RAW, *SHORT)


def test_response_that_does_not_fit_the_context(cli: CommandLine, base: Path) -> None:
    assert refusal(cli, base, *RAW, "--response", "y" * 125, prompt="xxxx") == (
        "Prompt 'prompt' has 4 + 125 of its response tokens, the model's context 128. Shorten it, or leave it out."
    )
    cli.succeeds("attribute", base, "--prompt", "xxxx", "--response", "y" * 124, *RAW, *SHORT)


@pytest.mark.parametrize(("name", "given"), [("map.gif", "ends in '.gif'"), ("map", "has no suffix")])
def test_unknown_suffix(cli: CommandLine, base: Path, name: str, given: str) -> None:
    assert (
        refusal(cli, base, "--out", name)
        == f"{name} {given}. Name the file .json, .html, .svg, .png, .pdf or .parquet."
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_place_below_a_file(cli: CommandLine, base: Path, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "folder" / f"map.{suffix}"
    message = refusal(cli, base, "--out", place)
    assert message.startswith(f"{place} could not be written: {tmp_path / 'file'} is a file, not a folder. Choose a ")


def test_place_that_is_a_folder(cli: CommandLine, base: Path, tmp_path: Path) -> None:
    place = tmp_path / "map.json"
    place.mkdir()
    assert refusal(cli, base, "--out", place).startswith(f"{place} could not be written: it is a folder. Choose a ")


def test_folder_without_permission(
    cli: CommandLine, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.os, "access", lambda path, _: path != tmp_path)
    message = refusal(cli, base, "--out", "new/map.json")
    assert message.startswith(f"new/map.json could not be written: you may not write in {tmp_path}. Choose a place ")


def fail_to_write(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Whatever is opened for writing fails as on a disk that is full, or mounted for reading only."""
    whole = LocalFileSystem.open

    def half(self: LocalFileSystem, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> Any:
        file = whole(self, path, mode, *args, **kwargs)
        if "w" in mode:

            def write(data: bytes) -> int:
                type(file).write.__get__(file)(data[: len(data) // 2])
                raise OSError(code, "No space left on device" if code == errno.ENOSPC else "Read-only file system")

            monkeypatch.setattr(file, "write", write, raising=False)
        return file

    monkeypatch.setattr(LocalFileSystem, "open", half)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk_leaves_the_old_file(
    cli: CommandLine, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, code: int
) -> None:
    place = tmp_path / f"map.{suffix}"
    place.write_bytes(b"an earlier one")
    fail_to_write(monkeypatch, code)
    message = refusal(cli, base, "--out", place)
    reason = "No space left on device" if code == errno.ENOSPC else "Read-only file system"
    assert message.startswith(f"{place} could not be written: [Errno {code}] {reason}. Choose a place ")
    assert place.read_bytes() == b"an earlier one"


def test_whole_files_are_written(cli: CommandLine, base: Path, tmp_path: Path) -> None:
    for suffix in ("json", "parquet"):
        cli.succeeds("attribute", base, "--prompt", "the cat", "--out", f"new/map.{suffix}", *RAW, *SHORT)
    assert sorted(snapshot(tmp_path)) == ["new", "new/map.json", "new/map.parquet"]
    assert json.loads((tmp_path / "new/map.json").read_text())["prompt_tokens"] == ["the", " cat"]


@pytest.mark.parametrize("more", [("--max-new-tokens", "0"), ("--max-new-tokens", "x"), ("--limit", "3")])
def test_usage(cli: CommandLine, base: Path, more: tuple[str, ...]) -> None:
    assert more[0] in cli.refuses_usage("attribute", base, "--prompt", "the cat", *more)


def test_missing_arguments(cli: CommandLine, base: Path) -> None:
    assert "--prompt" in cli.refuses_usage("attribute", base)
    assert "MODEL" in cli.refuses_usage("attribute", "--prompt", "the cat")
    assert "frobnicate" in cli.refuses_usage("frobnicate")
