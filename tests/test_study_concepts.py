"""``aftertune concepts`` and the concepts part of a comparison: run folder, report, and the same numbers by hand."""

import json
import shutil
from pathlib import Path

import pytest

import aftertune
from aftertune.study.comparison import Comparison
from command_line import CommandLine, doubled, edit_weights, save_checkpoint

pytest_plugins = ("cli_fixtures",)
WORDS = ["cat", "mat", "text", "answer", "question", "rewrite", "sat", "the", "on", "input"]
CONCEPTS = {"words": WORDS, "n_components": 6, "n_words": 4}


def study(
    base: Path | aftertune.Subject, tuned: Path | aftertune.Subject, run: Path, **given: object
) -> aftertune.Study:
    return aftertune.Study(base, tuned, run=run, only="concepts", concepts=CONCEPTS | given, device="cpu")


@pytest.fixture(scope="module")
def compared(base: Path, tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    run = tmp_path_factory.mktemp("concepts") / "run"
    return run, aftertune.compare(study(base, tuned, run))


def test_a_comparison_is_that_of_both_readings(base: Path, tuned: Path, compared: tuple[Path, Comparison]) -> None:
    run, found = compared
    assert found.concepts is not None
    readings = [aftertune.read_concepts(aftertune.load(place), WORDS, 6, 4) for place in (base, tuned)]
    for role, reading in zip(("base", "tuned"), readings, strict=True):
        saved = aftertune.open_concepts(run, role)
        assert saved.components.equals(reading.components) and saved.settings == reading.settings
    expected = aftertune.compare_concepts(*readings).to_dict()
    ours = ("n_noise", "rotation_noise", "trend_noise", "written", "written_test", "read")  # what a pair adds
    assert {name: own for name, own in found.concepts.to_dict().items() if name not in ours} == {
        name: own for name, own in expected.items() if name not in ours
    }
    assert found.concepts.n_noise == 1 and found.concepts.written and found.concepts.read
    assert found.concepts.components.equals(aftertune.compare_concepts(*readings).components)


def test_the_report_comes_again_from_the_saved_run(compared: tuple[Path, Comparison]) -> None:
    run, found = compared
    assert aftertune.write_report(run).to_dict() == found.to_dict()
    page = (run / "report.html").read_text("utf-8")
    assert "Concepts" in page and (run / "tables" / "rotation.csv").exists()
    assert "heads" not in json.loads((run / "comparison.json").read_text("utf-8"))


def test_equal_networks_are_not_rotated(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "other")
    edit_weights(tmp_path / "other" / "model.safetensors", doubled("self_attn.q_proj"))
    pair = aftertune.Subject(base, name="one"), aftertune.Subject(tmp_path / "other", name="other")
    found = aftertune.compare(study(*pair, tmp_path / "run"))
    assert found.concepts is not None
    assert found.concepts.networks["largest_principal_angle"].max() < 1e-4
    assert found.concepts.networks["words_kept"].min() == 1


def test_a_finished_run_is_not_read_again(base: Path, tuned: Path, compared: tuple[Path, Comparison]) -> None:
    seen: list[str] = []
    run, found = compared
    progress = lambda stage, *_: seen.append(stage.step)  # noqa: E731
    again = aftertune.compare(study(base, tuned, run), progress=progress)
    assert again.to_dict() == found.to_dict() and set(seen) == {"report"}
    with pytest.raises(aftertune.RunError, match=r"concepts\.words\.n was 10, is now 9"):
        aftertune.compare(study(base, tuned, run, words=WORDS[:-1]))


def test_the_command_reads_and_finds(cli: CommandLine, base: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("\n".join(WORDS))
    given = (
        "concepts",
        base,
        "--run",
        "run",
        "--words",
        words,
        "--components",
        "5",
        "--n-words",
        "3",
        "--device",
        "cpu",
    )
    assert "The first component of every layer" in cli.succeeds(*given, "--layers", "0")
    told = json.loads(cli.succeeds(*given, "--json"))
    reading = aftertune.open_concepts("run")
    assert told["layers"] == [0, 1, 2] and told["components"] == json.loads(json.dumps(reading.components.to_dicts()))
    expected = reading.concepts_with("Cat")
    found = json.loads(cli.succeeds(*given, "--json", "--find", "Cat"))
    assert len(found["components"]) == expected.height > 0
    assert f"Components with 'Cat': {expected.height}" in cli.succeeds(*given, "--find", "Cat")


def test_mistakes_are_told_in_one_message(cli: CommandLine, base: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("\n".join(WORDS))
    given = ("concepts", base, "--run", "run", "--words", words, "--device", "cpu")
    assert cli.refuses(*given, "--layers", "7").startswith("The layers '7' are not all there: the model has 3, 0 to 2.")
    assert "none.txt" in cli.refuses("concepts", base, "--run", "run", "--words", "none.txt")
    assert "n_components is 0" in cli.refuses(*given, "--components", "0")
    cli.succeeds(*given, "--layers", "0", "--components", "4")
    message = cli.refuses(*given, "--layers", "0", "--components", "5")
    assert "concepts.n_components was 4, is now 5" in message
    other = save_checkpoint(tmp_path / "other", seed=3)
    message = cli.refuses("concepts", other, "--run", "run", "--words", words, "--components", "4", "--device", "cpu")
    assert "holds a run with other settings: model.checkpoint was " in message


def test_a_role_that_is_not_held_is_refused_with_those_that_are(compared: tuple[Path, Comparison]) -> None:
    with pytest.raises(aftertune.RunError, match=r"run holds the concepts of base and tuned, not of 'model'\. Ask for"):
        aftertune.open_concepts(compared[0])
