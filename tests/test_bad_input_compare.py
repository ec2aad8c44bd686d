"""``aftertune compare`` with prompts and checkpoints that cannot be compared: one message, exit code 2, no folder."""

import json
from pathlib import Path

import pytest

from command_line import QUICK, CommandLine, save_checkpoint, save_prompts
from tokenizers_for_tests import byte_level

pytest_plugins = ("cli_fixtures",)

GOOD = '{"prompt": "a"}\n'


def refusal(cli: CommandLine, base: str | Path, tuned: str | Path, prompts: Path, *more: str | Path) -> str:
    return cli.refuses("compare", base, tuned, "--run", "run", "--prompts", prompts, *QUICK, *more)


def test_missing_checkpoints(cli: CommandLine, base: Path, prompts: Path) -> None:
    expected = "There is no folder '/no/model'. Give a folder, a .gguf file, or a hub id (owner/name)."
    assert refusal(cli, "/no/model", base, prompts) == expected
    assert refusal(cli, base, "/no/model", prompts) == expected  # and not only after the base was measured


def test_missing_adapters(cli: CommandLine, base: Path, prompts: Path) -> None:
    for option in ("--base-adapter", "--tuned-adapter"):
        assert refusal(cli, base, base, prompts, option, base).endswith(
            " holds no adapter (no adapter_config.json). Give a folder that PEFT saved."
        )


@pytest.mark.parametrize("option", ["--dtype", "--device", "--template", "--route", "--removal"])
def test_unknown_settings(cli: CommandLine, base: Path, tuned: Path, prompts: Path, option: str) -> None:
    message = refusal(cli, base, tuned, prompts, option, "odd")
    assert message.startswith(f"The {option[2:]} 'odd' ") and " Allowed: " in message


def test_route_that_is_not_for_the_architecture(cli: CommandLine, base: Path, prompts: Path, tmp_path: Path) -> None:
    other = save_checkpoint(tmp_path / "other", family="gpt2")
    for model, dtype, named in ((other, "float32", "gpt2"), (base, "bfloat16", "llama")):
        message = refusal(
            cli, model, model, prompts, "--method", "gradient", "--route", "forward-bfloat16", "--dtype", dtype
        )
        assert message.startswith("Route 'forward-bfloat16' is for models in float32 of these architectures: Llama, ")
        assert message.endswith(f"The architecture {named!r} in {dtype} is not one. Take route forward or auto.")


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--limit", "0", "limit is 0; it must be greater than or equal to 1."),
        ("--max-new-tokens", "0", "max_new_tokens is 0; it must be greater than or equal to 1."),
        ("--check", "-1", "check is -1; it must be greater than or equal to 0."),
    ],
)
def test_numbers_out_of_range(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, option: str, value: str, expected: str
) -> None:
    assert refusal(cli, base, tuned, prompts, option, value) == expected


@pytest.mark.parametrize("more", [("--limit", "x"), ("--check", "x"), ("--nothing",)])
def test_usage(cli: CommandLine, base: Path, tuned: Path, prompts: Path, more: tuple[str, ...]) -> None:
    assert more[0] in cli.refuses_usage("compare", base, tuned, "--run", "run", "--prompts", prompts, *more)


def test_missing_arguments(cli: CommandLine, base: Path) -> None:
    assert cli.refuses("compare", base, "--run", "run") == (
        "No tuned checkpoint was given. Give two (aftertune compare BASE TUNED), or one adapter that lies here: "
        f"{base} has no adapter_config.json. Of an adapter on the hub: compare BASE BASE --tuned-adapter {base}."
    )
    assert cli.refuses("compare", "--run", "run") == (
        "No base checkpoint was given. Give a hub id, a folder, or a .gguf file."
    )


def test_missing_prompts(cli: CommandLine, base: Path, tuned: Path) -> None:
    assert refusal(cli, base, tuned, Path("none.jsonl")) == (
        "There is no file at none.jsonl. Give the path of a prompt file."
    )


FILES = {
    "empty": ("", " is empty. Give a file with one JSON object a line, one prompt each."),
    "blank lines": ("\n \n", " holds only blank lines. Give a file with one JSON object a line, one prompt each."),
    "line 7": (
        GOOD * 6 + "{prompt: 1}\n",
        ", line 7 is not JSON: expecting property name enclosed in double quotes, column 2. "
        "Each line must be one whole JSON object.",
    ),
    "duplicate ids": (
        json.dumps({"id": "a", "prompt": "a"}) + "\n" + json.dumps({"id": "a", "prompt": "b"}),
        ", line 2: the id 'a' stands on line 1 as well. Ids must be unique; change one.",
    ),
    "span": (
        json.dumps({"prompt": "Add 1 and 2.", "instruction_spans": ["Subtract"]}),
        ", line 1: the span 'Subtract' does not stand in the prompt. A span must be copied from the prompt letter by "
        "letter; correct it, or give [start, end] in characters.",
    ),
    "blank prompt": ('{"prompt": " "}', ", line 1: \"prompt\" is ' '. It must be a text that is not blank."),
    "blank response": (
        '{"prompt": "a", "response": ""}',
        ", line 1: \"response\" is ''. It must be a text that is not blank; leave it out to have it generated.",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_prompt_files(cli: CommandLine, base: Path, tuned: Path, tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    assert refusal(cli, base, tuned, path, "--strict") == f"{path}{expected}"


def test_prompts_that_do_not_fit_the_context(cli: CommandLine, base: Path, tuned: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    save_prompts(path, ["the cat", "x" * 129])
    assert refusal(cli, base, tuned, path, "--template", "raw", "--strict") == (
        "Prompt 'p1' has 129 tokens, the model's context 128. Shorten it, or leave it out."
    )
    save_prompts(path, ["the cat", "x" * 128])
    assert refusal(cli, base, tuned, path, "--template", "raw", "--strict") == (
        "Prompt 'p1' has 128 tokens, which leaves no room for a response in the model's context of 128. Shorten it, or "
        "leave it out."
    )
    save_prompts(path, ["the cat", {"prompt": "x" * 100, "response": "y" * 50}])
    assert refusal(cli, base, tuned, path, "--template", "raw", "--strict") == (
        "Prompt 'p1' has 100 + 50 of its response tokens, the model's context 128. Shorten it, or leave it out."
    )


def test_a_folder_that_was_refused_serves_for_the_corrected_command(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, tmp_path: Path
) -> None:
    long = save_prompts(tmp_path / "long.jsonl", ["x" * 129])
    refusal(cli, base, tuned, long)
    refusal(cli, base, "/no/model", prompts)
    cli.succeeds("compare", base, tuned, "--run", "run", "--prompts", prompts, "--limit", "1", *QUICK)


def test_other_tokenizers(cli: CommandLine, base: Path, prompts: Path, tmp_path: Path) -> None:
    other = save_checkpoint(tmp_path / "other", seed=1)
    byte_level().save_pretrained(other)
    message = refusal(cli, base, other, prompts)
    assert message.startswith("The checkpoints read 6 of 6 prompts as different tokens (the first is 'p0')")
