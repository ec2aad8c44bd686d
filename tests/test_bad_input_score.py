"""``aftertune score`` with maps and prompts that cannot be used: one message, exit code 2."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from command_line import CommandLine, save_prompts

pytest_plugins = ("cli_fixtures",)

NAMES = ("--base", "base", "--tuned", "tuned")


@pytest.fixture
def maps(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(finished / "maps.parquet", tmp_path / "maps.parquet"))


def refusal(cli: CommandLine, maps: str | Path, prompts: str | Path, *names: str) -> str:
    return cli.refuses("score", maps, "--prompts", prompts, *(names or NAMES))


def test_whole_files_are_taken(cli: CommandLine, maps: Path, prompts: Path) -> None:
    cli.succeeds("score", maps, "--prompts", prompts, *NAMES, "--json")


def test_missing_files(cli: CommandLine, maps: Path, prompts: Path) -> None:
    assert refusal(cli, "none", prompts) == "There is no file at none. Give the path of a Parquet file of maps."
    assert refusal(cli, maps, "none") == "There is no file at none. Give the path of a prompt file."
    assert "--prompts" in cli.refuses_usage("score", maps)


def test_maps_that_are_not_parquet(cli: CommandLine, maps: Path, prompts: Path) -> None:
    assert refusal(cli, prompts, prompts).startswith(f"{prompts} could not be read as a Parquet file of maps: ")
    maps.write_bytes(maps.read_bytes()[:500])
    assert refusal(cli, maps, prompts).startswith(f"{maps} could not be read as a Parquet file of maps: ")


def test_missing_columns(cli: CommandLine, maps: Path, prompts: Path) -> None:
    pq.write_table(pq.read_table(maps).drop(["levels", "dataset"]), maps)
    message = refusal(cli, maps, prompts)
    assert message.startswith(f"{maps} has no dataset, levels; it has id, model, ")
    assert message.endswith(
        "Maps need the columns id, dataset, model, prompt_tokens, response_tokens, n_prompt, n_response, levels."
    )


def test_prompts_that_are_missing_or_others(cli: CommandLine, maps: Path, prompts: Path) -> None:
    save_prompts(prompts, ["the cat sat"])
    assert refusal(cli, maps, prompts).startswith("5 maps have no prompt of their id (first: 'p1').")
    save_prompts(prompts, ["something else"] * 6)
    assert refusal(cli, maps, prompts).startswith("Prompt 'p0' under 'base': its user message 'something else' is not ")


@pytest.mark.parametrize("names", [("--base", "nobody", "--tuned", "tuned"), ("--base", "base", "--tuned", "nobody")])
def test_names_that_the_maps_have_not(cli: CommandLine, maps: Path, prompts: Path, names: tuple[str, ...]) -> None:
    message = refusal(cli, maps, prompts, *names)
    assert "base, tuned" in message and "nobody" in message


def test_the_same_name_twice(cli: CommandLine, maps: Path, prompts: Path) -> None:
    assert refusal(cli, maps, prompts, "--base", "base", "--tuned", "base") == (
        "Base and tuned are both 'base'. Name two models; there are maps of 'base', 'tuned'."
    )


def test_names_left_out_where_they_are_needed(cli: CommandLine, maps: Path, prompts: Path) -> None:
    for names in ((), ("--base", "base"), ("--tuned", "tuned")):
        assert cli.refuses("score", maps, "--prompts", prompts, *names) == (
            "The maps are of base, tuned. Say which model is the base and which is the tuned one."
        )


def test_maps_without_a_row(cli: CommandLine, maps: Path, prompts: Path) -> None:
    pq.write_table(pq.read_table(maps).slice(0, 0), maps)
    assert refusal(cli, maps, prompts) == (
        "The maps are of no model, not of base. Say which model is the base and which is the tuned one."
    )
