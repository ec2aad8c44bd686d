"""A secret in an address is in no file of a run, in no message, and nothing that is printed."""

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from aftertune.addresses import place_of, without_secrets
from aftertune.errors import PromptError, RunError
from command_line import CommandLine
from head_files import save_head_files

pytest_plugins = ("cli_fixtures",)
SECRET = "S3CR3T"
# Nothing listens at port 9, and nothing beyond this machine is asked.
PLANTED = f"http://me:{SECRET}@127.0.0.1:9/place.txt?sig={SECRET}/{SECRET}&x=1#{SECRET}"
TAKEN = {
    "compare": "BASE TUNED --config --reuse --out --prompts --template --base-adapter --tuned-adapter "
    "--base-server --tuned-server --tokenizer --architecture --words --vectors --verbs",
    "report": "RUN --out --verbs",
    "attribute": "MODEL --adapter --tokenizer --template --out",
    "heads": "MODEL --adapter --tokenizer --words --vectors",
    "concepts": "MODEL --adapter --tokenizer --words",
    "annotate": "RUN --server --export --templates",
    "label": "RUN --import --export",
    "score": "MAPS --prompts",
}
CALLS = {
    "compare": ["BASE", "TUNED", "--max-new-tokens", "2", "--only", "heads", "--layers", "0", "--noise-models", "0"],
    "report": ["RUN"],
    "attribute": ["MODEL", "--prompt", "the cat"],
    "heads": ["MODEL"],
    "concepts": ["MODEL"],
    "annotate": ["RUN"],
    "label": ["RUN", "--no-browser"],
    "score": ["MAPS", "--prompts", "p.jsonl"],
}
MORE = {"--export": ["--rater", "a"], "--import": ["--rater", "a"], "--templates": ["--server", "words"]}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://host/a/b.txt", "https://host/a/b.txt"),
        ("https://me:pw@host/b?sig=1&t=2#f", "https://***@host/b?***"),
        ("https://token@host:8000/v1", "https://***@host:8000/v1"),
        ("https://me:p/w?@host/b", "https://***@host/b"),
        ("zip://a.csv::https://me:pw@h/x.zip?sig=a::b", "zip://a.csv::https://***@h/x.zip?***"),
        ("http:/me:pw@host/b?sig=1", "http:/***@host/b?***"),
        (
            "Not at s3://k:s@b/x?q=1. Give another (see https://h/?t=2).",
            "Not at s3://***@b/x?***. Give another (see https://h/?***).",
        ),
        ("'https://h/x?sig=a'b' is", "'https://h/x?***' is"),
        ("What is 1/2? Ask me@home.org: C:/a?b", "What is 1/2? Ask me@home.org: C:/a?b"),
        ("http://localhost:8000/v1 and me@home", "http://localhost:8000/v1 and me@home"),
    ],
)
def test_what_may_be_secret_is_hidden(given: str, shown: str) -> None:
    assert without_secrets(given) == shown
    assert without_secrets(shown) == shown, "once hidden, it stays as it is"
    assert str(RunError(given)) == shown


def test_a_file_name_is_read_before_the_query() -> None:
    assert place_of("https://h/words.txt?sig=a/b.zip") == "https://h/words.txt"
    assert place_of("what?.txt") == "what?.txt"


def calls() -> Iterator[tuple[str, str]]:
    return ((command, place) for command, places in TAKEN.items() for place in places.split())


@pytest.mark.parametrize(("command", "place"), list(calls()))
def test_no_message_shows_it(cli: CommandLine, base: Path, tuned: Path, run: Path, command: str, place: str) -> None:
    known = {"BASE": base, "TUNED": tuned, "MODEL": base, "RUN": run, "MAPS": run / "maps.parquet"}
    call = [PLANTED if word == place else known.get(word, word) for word in CALLS[command]]
    if place.startswith("--"):
        call += [place, PLANTED, *(MORE.get(place, []) if command != "annotate" or place == "--templates" else [])]
    ended = cli.run(command, *call)
    assert ended.code in (0, 2), (ended, call)  # 0 where there is no need of it, as of a tokenizer
    assert SECRET not in ended.out + ended.err and not held(cli.folder)


def planted(file: Path) -> str:
    """The file at an address with secrets in it, where it can be read."""
    address = f"memory://me:{SECRET}@host/{file.name}?sig={SECRET}"
    with fsspec.open(address, "wb") as copy:
        copy.write(file.read_bytes())
    return address


def held(folder: Path) -> list[str]:
    return [
        str(file)
        for file in folder.rglob("*")
        if SECRET in str(file) or (file.is_file() and SECRET.encode() in file.read_bytes())
    ]


def test_nothing_of_a_run_holds_it(cli: CommandLine, base: Path, tuned: Path, prompts: Path, tmp_path: Path) -> None:
    files = save_head_files(tmp_path)
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages[0]['content'] }}")
    options = ["--prompts", planted(prompts), "--template", planted(template), "--verbs", planted(files.verbs)]
    options += ["--words", planted(files.words), "--vectors", planted(files.vectors)]
    how = ["--only", "outputs", "--only", "heads", "--max-new-tokens", "3", "--device", "cpu", "--noise-models", "0"]
    first = cli.run("compare", base, tuned, "--run", "run", *options, *how, "--noise-draws", "0")
    assert first.code == 0, first.err
    again = cli.succeeds("report", "run", "--json")
    assert json.loads(again) and SECRET not in first.out + first.err + again and not held(tmp_path / "run")
    assert "memory://***@host/" in (tmp_path / "run" / "settings.yaml").read_text()


def test_a_run_at_such_an_address_does_not_tell_it(cli: CommandLine, base: Path, tuned: Path, prompts: Path) -> None:
    run = f"memory://me:{SECRET}@host/run"
    how = ["--only", "outputs", "--max-new-tokens", "3", "--device", "cpu", "--noise-draws", "0"]
    ended = cli.run("compare", base, tuned, "--prompts", prompts, "--run", run, *how)
    assert ended.code == 0, ended.err
    assert SECRET not in ended.out + ended.err and "Report: memory://***@host/run/report.html" in ended.out
    system, path = fsspec.core.url_to_fs(run)
    found = [place for place in system.find(path) if SECRET.encode() in system.cat_file(place)]
    assert not found


def test_a_prompt_may_name_an_address() -> None:
    with pytest.raises(PromptError, match=r"https://h/\?\*\*\*"):
        raise PromptError("The prompt asks for https://h/?a=1")
