"""Concepts that go out to a person and come back; the command line; what can't be used."""

import csv
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from aftertune.errors import AnnotationError, RunError
from aftertune.explainers.annotation.result import ANNOTATIONS, open_annotations, recall_annotations, write_annotations
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.runs.run import RunFolder
from aftertune.study.annotate import export_concepts, import_annotations
from annotation_samples import save_concepts
from command_line import CommandLine
from fault_server import fault_server

pytest_plugins = ("cli_fixtures",)

CONCEPTS = [[["red", 'blue, "deep"'], ["odd", "uneven"], ["walk", "run"]]]  # in the order of their ids
FIRST_ID = sha256(json.dumps(CONCEPTS[0][0]).encode()).hexdigest()[:12]
Row = dict[str, str]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_concepts(tmp_path / "run", {"model": CONCEPTS})


def fill(file: Path, change: Callable[[list[Row]], None]) -> Path:
    """Change the rows of a CSV as a person would."""
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    change(rows)
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def filled(rows: list[Row]) -> None:
    rows[0] |= {"description": "colours", "scenarios": "daily writing; Coding", "level": "Semantics"}
    rows[1] |= {"description": "Cannot Tell"}


@pytest.fixture
def table(run: Path, tmp_path: Path) -> Path:
    assert export_concepts(run, tmp_path / "table.csv") == 3
    return fill(tmp_path / "table.csv", filled)


def test_a_table_goes_out_and_comes_back(run: Path, table: Path) -> None:
    found = import_annotations(run, table, "ann")
    assert found.schema == pl.Schema(ANNOTATIONS)
    assert found.select("rank", "repeat", "description", "scenarios", "level").rows() == [
        (1, 0, "colours", ["writing", "coding"], "semantics"),
        (2, 0, None, None, None),
    ], "the third row was not annotated"
    kept = open_annotations(RunFolder.open(run))
    assert kept is not None and kept.equals(found)


def test_a_rater_sees_neither_model_nor_place(tmp_path: Path) -> None:
    """Two lists are of both models at other ranks, one is of tuned alone; an answer counts wherever its list stands."""
    (lists,) = CONCEPTS
    run = save_concepts(tmp_path / "run", {"base": [lists[2:0:-1]], "tuned": [lists]})
    file = tmp_path / "table.csv"
    assert export_concepts(run, file) == 3
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert list(rows[0]) == ["id", "words", "description", "scenarios", "level"]
    assert [row["words"] for row in rows] == [", ".join(words) for words in lists], "by id, not by model and rank"
    assert not any(word in file.read_text() for word in ("base", "tuned", "layer", "rank"))
    fill(file, lambda rows: rows[1].update(description="numbers", level="semantics"))
    found = import_annotations(run, file, "ann")
    assert found.select("role", "layer", "rank", "description").rows() == [
        ("base", 0, 2, "numbers"),
        ("tuned", 0, 2, "numbers"),
    ]
    assert export_concepts(run, tmp_path / "first.jsonl", 1) == 2


def test_json_lines_go_out_and_come_back(run: Path, table: Path, tmp_path: Path) -> None:
    file = tmp_path / "table.jsonl"
    export_concepts(run, file, 1)
    row = json.loads(file.read_text())
    assert row["words"] == CONCEPTS[0][0] and row["description"] == ""
    file.write_text(
        json.dumps(row | {"description": "colours", "scenarios": ["writing", "coding"], "level": "semantics"})
    )
    found = import_annotations(run, file, "bob")
    assert found.equals(import_annotations(run, table, "bob").head(1)), "the same rater gives other answers"


def test_each_rater_is_a_repeat(run: Path, table: Path) -> None:
    import_annotations(run, table, "zoe")
    fill(table, lambda rows: rows[0].update(scenarios="", level="syntax"))
    found = import_annotations(run, table, "ann")
    assert found.filter(rank=1).select("repeat", "scenarios", "level").rows() == [
        (0, [], "syntax"),
        (1, ["writing", "coding"], "semantics"),
    ]
    about = recall_annotations(RunFolder.open(run))
    assert about and about["annotator"] == {"name": "people", "kind": "people", "weak": False, "raters": ["ann", "zoe"]}
    assert about["counts"] == {"ann": 2, "zoe": 2}


def test_words_are_shown_to_a_person(table: Path) -> None:
    with table.open(newline="") as opened:
        assert next(csv.DictReader(opened))["words"] == 'red, blue, "deep"'


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (0, {"scenarios": "poetry"}, "Row 2 has 'poetry' as scenarios. Allowed: writing; coding; math; translation"),
        (0, {"level": "pragmatics"}, "Row 2 has 'pragmatics' as level. Allowed: phonology, morphology, syntax"),
        (0, {"level": ""}, "Row 2 has nothing as level."),
        (0, {"description": ""}, "Row 2 has nothing as description."),
        (1, {"level": "syntax"}, "Row 3 has the description 'Cannot Tell', so its scenarios and level must be empty"),
        (1, {"id": "7"}, "Row 3 has the id 7, which the run does not have"),
        (1, {"id": FIRST_ID}, f"Row 3 has the id {FIRST_ID}, as has one before"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(run: Path, table: Path, number: int, change: Row, message: str) -> None:
    fill(table, lambda rows: rows[number].update(change))
    with pytest.raises(AnnotationError) as refused:
        import_annotations(run, table, "ann")
    assert message in str(refused.value)
    assert open_annotations(RunFolder.open(run)) is None


def test_files_that_cannot_be_used(run: Path, table: Path, tmp_path: Path) -> None:
    def refuses(file: Path, message: str, rater: str = "ann") -> None:
        with pytest.raises(AnnotationError) as refused:
            import_annotations(run, file, rater)
        assert message in str(refused.value)

    refuses(tmp_path / "none.csv", "There is no file at")
    refuses(tmp_path / "table.xlsx", "Name it .csv or .jsonl")
    refuses(table, "The rater has no name", rater=" ")
    fill(table, lambda rows: [row.update(description="", scenarios="", level="") for row in rows] and None)
    refuses(table, "is filled in")
    table.write_text("role,layer\nmodel,0\n")
    refuses(table, "lacks id, description, scenarios, level")
    (tmp_path / "bad.jsonl").write_text('{"role": ')
    refuses(tmp_path / "bad.jsonl", "could not be read")
    (tmp_path / "bad.jsonl").write_text("[1]\n")
    refuses(tmp_path / "bad.jsonl", "line 1 is no JSON object")
    with pytest.raises(AnnotationError, match="Name it"):
        export_concepts(run, tmp_path / "table.txt")


def test_the_command_annotates_through_a_server(cli: CommandLine, run: Path) -> None:
    with fault_server() as served:
        command = ("annotate", run, "--server", served.address, "--model", "m", "--repeats", "2")
        ended = cli.run(*command)
        assert ended.code == 0 and "At most 18 requests are left (6 descriptions, 12 tasks and levels)" in ended.err
        assert ended.out.splitlines() == [
            "model: 4 of 6 annotations describe something; 0 had unusable answers.",
            "model: all repeats are equal, since the annotator does not sample: they say nothing about it.",
            f"Written: {run}/annotations/m/annotations.parquet",
        ]
        told = json.loads(cli.succeeds(*command, "--json"))
    assert len(told["annotations"]) == 6 and told["counts"]["requests"]["description"] == 6


def test_the_command_asks_on_a_terminal(cli: CommandLine, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda text, **_: bool(asked.append(text)))
    with fault_server() as served:
        command = ("annotate", run, "--server", served.address, "--model", "m", "--repeats", "1")
        ended = cli.run(*command)
        assert (ended.code, len(asked), len(served.seen)) == (2, 1, 0)
        assert "aftertune: Nothing was asked." in ended.err
        cli.succeeds(*command, "--yes")
    assert len(asked) == 1


def test_the_command_exports_and_imports(cli: CommandLine, run: Path) -> None:
    assert cli.succeeds("annotate", run, "--export", "table.csv") == "Written: table.csv, 3 lists of words\n"
    fill(cli.folder / "table.csv", filled)
    out = cli.succeeds("annotate", run, "--import", "table.csv", "--rater", "ann")
    assert out.startswith("model: 1 of 2 annotations describe something; 0 had unusable answers.\nWritten: ")


ONE_OF = "Give one of --server, --export FILE, or --import FILE with --rater NAME."
SERVER = ("--server", "http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), ONE_OF),
        ((*SERVER, "--export", "x.csv"), ONE_OF),
        (("--import", "x.csv"), ONE_OF),
        (("--export", "x.csv", "--rater", "ann"), ONE_OF),
        (SERVER, "Which model of http://127.0.0.1:9/v1 is to annotate? Give its name."),
        (("--server", "gpt"), "The annotator 'gpt' is not known. Allowed: the address of"),
        (("--server", "local:"), "The annotator 'local:' is not known."),
        (("--server", "words", "--model", "m"), "The model 'm' is not needed with the annotator words."),
        (("--server", "http://me:sk-1@host/v1", "--model", "m"), "does not belong in it: set OPENAI_API_KEY"),
        (("--server", "http://host/v1?key=sk-1", "--model", "m"), "does not belong in it: set OPENAI_API_KEY"),
        (
            (*SERVER, "--model", "m", "--structured", "perhaps"),
            "The structured 'perhaps' is not known. Allowed: auto, on, off.",
        ),
        ((*SERVER, "--model", "m", "--templates", "none"), "There is no folder none."),
        (("--import", "none.csv", "--rater", "ann"), "There is no file at none.csv."),
        (("--server", "local:none/none/none"), "none"),
        (("--server", "words:none.txt"), "There is no file at none.txt."),
    ],
)
def test_bad_input_is_one_message(cli: CommandLine, run: Path, arguments: tuple[str, ...], message: str) -> None:
    told = cli.refuses("annotate", run, *arguments)
    assert message in told and "sk-1" not in told


def test_a_folder_without_concepts_is_refused(cli: CommandLine, run: Path) -> None:
    assert "There is no run at none" in cli.refuses("annotate", "none", "--server", "words")
    (run / "concepts-model.json").unlink()
    assert "No components are read in" in cli.refuses("annotate", run, "--server", "words")


@pytest.mark.parametrize(
    "values", [{"repeats": 0}, {"components": 1.5}, {"concurrency": None}, {"max_requests": True}, {"structured": "no"}]
)
def test_settings_that_cannot_be(values: dict[str, int]) -> None:
    with pytest.raises(AnnotationError, match=f"{next(iter(values))} .*(it must be|Allowed: auto, on, off)"):
        AnnotationSettings(**values)


def test_annotations_of_another_version_are_refused(run: Path) -> None:
    folder = RunFolder.open(run)
    write_annotations(folder, "m", pl.DataFrame({"role": ["model"]}), {})
    with pytest.raises(RunError, match="another version"):
        open_annotations(folder)
