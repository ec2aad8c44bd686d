"""Labels as prompt files, out and in; the command line; table 1 and the instruction's tokens in the report."""

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aftertune
from aftertune.errors import AnnotationError, RunError
from aftertune.explainers.attribution import AttributionExplainer
from aftertune.explainers.attribution.change import AttributionChange
from aftertune.explainers.attribution.released import mark_instruction
from aftertune.explainers.attribution.result import Attribution, InstructionFall, SalientMap
from aftertune.explainers.attribution.score import instruction_score
from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.labelling import export_labels, import_labels
from aftertune.labelling.store import append, read_labels, read_rater
from aftertune.prompts.encoding import encode
from aftertune.prompts.prompt import Message, Prompt
from aftertune.runs.held import Held
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from command_line import CommandLine
from label_samples import many_prompts, save_run, session
from tokenizers_for_tests import byte_level

pytest_plugins = ("cli_fixtures",)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_run(tmp_path / "run")


def keep(run: Path, rater: str, *actions: dict[str, Any]) -> None:
    append(RunFolder.open(run), rater, actions)


def rating(id: str, role: str, helpfulness: int) -> dict[str, Any]:
    return {"prompt": id, "role": role, "helpfulness": helpfulness}


def compared(run: Path, base: str = "base", tuned: str = "tuned") -> AttributionChange:
    found = AttributionExplainer().change(Held(RunFolder.open(run)), Pair(base, tuned), AttributionSettings(), {})
    assert found is not None
    return found


def maps_of(run: Path) -> dict[str, list[SalientMap]]:
    maps = compared(run).maps
    return {role: [one for one in maps if one.model == role] for role in ("base", "tuned")}


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_labels_go_out_as_a_prompt_file_and_come_back(run: Path, tmp_path: Path) -> None:
    keep(run, "ann", rating("birds", "base", 1), rating("birds", "tuned", 4), {"prompt": "emoji", "spans": [(4, 5, 0)]})
    file = tmp_path / "out.jsonl"
    assert export_labels(run, file, "ann") == 2
    birds, emoji, odd = rows_of(file)
    assert (birds["base_helpfulness"], birds["tuned_helpfulness"], "instruction_spans" in birds) == (1, 4, False)
    assert (emoji["instruction_spans"], emoji["tuned_helpfulness"]) == ([[4, 5]], 2)
    assert odd == {"id": "odd", "dataset": "demo", "prompt": "<script>alert(1)</script> a\u202eb"}
    prompts = aftertune.read_prompts(file)
    assert prompts[1].spans == ((4, 5, 0),) and prompts[0].rating("tuned") == 4
    assert import_labels(run, file, "bob") == 4
    ann, bob = (read_rater(RunFolder.open(run), rater) for rater in ("ann", "bob"))
    assert bob.ratings == {**ann.ratings, ("emoji", "tuned"): 2} and bob.spans == ann.spans


def test_all_raters_together_go_out_by_the_rule(run: Path, tmp_path: Path) -> None:
    keep(run, "ann", rating("birds", "base", 1), {"prompt": "birds", "spans": [(0, 17, 0)]})
    keep(run, "bob", rating("birds", "base", 2), {"prompt": "birds", "spans": [(5, 27, 0)]})
    keep(run, "cid", {"prompt": "birds", "spans": [(18, 27, 0)]})
    assert export_labels(run, tmp_path / "out.jsonl") == 1
    row = rows_of(tmp_path / "out.jsonl")[0]
    assert row["base_helpfulness"] == 1 and row["instruction_spans"] == [[5, 17], [18, 27]]


def test_a_conversation_keeps_which_message_a_span_is_of(tmp_path: Path) -> None:
    turns = (Message("user", "Go on."), Message("assistant", "Yes."), Message("user", "Go on."))
    run = save_run(tmp_path / "run", [Prompt("turns", turns)], {"base": ["a b"], "tuned": ["c d"]})
    keep(run, "ann", {"prompt": "turns", "spans": [(0, 6, 2)]})
    export_labels(run, tmp_path / "out.jsonl")
    assert rows_of(tmp_path / "out.jsonl")[0]["instruction_spans"] == [[0, 6, 2]]
    import_labels(run, tmp_path / "out.jsonl", "bob")
    assert read_rater(RunFolder.open(run), "bob").spans == {"turns": ((0, 6, 2),)}
    (tmp_path / "bad.jsonl").write_text(
        json.dumps(rows_of(tmp_path / "out.jsonl")[0] | {"instruction_spans": [[0, 2, 1]]})
    )
    with pytest.raises(aftertune.PromptError, match="names message 1, not a user's"):
        import_labels(run, tmp_path / "bad.jsonl", "bob")


BAD = {
    "unknown": ({"id": "nobody", "prompt": "x"}, r"1 of 1 prompts are not in .* \(first: 'nobody'\)"),
    "text": ({"id": "birds", "prompt": "Name four birds."}, "prompt 'birds' has another text than that of the run"),
    "model": ({"vicuna_helpfulness": 2}, "rates 'vicuna', the run compares base, tuned"),
    "nothing": ({}, "has neither spans nor ratings"),
    "response": ({"response": "Never said.", "helpfulness": 2}, "has neither spans nor ratings"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_does_not_fit_leaves_nothing(run: Path, tmp_path: Path, name: str) -> None:
    row, why = BAD[name]
    whole = {"id": "birds", "prompt": "Name three birds. Be brief.\n\nInput: none", **row}
    (tmp_path / "in.jsonl").write_text(json.dumps(whole) + "\n")
    with pytest.raises(AnnotationError, match=why):
        import_labels(run, tmp_path / "in.jsonl", "ann")
    assert not read_labels(RunFolder.open(run)).raters


def test_a_rating_of_the_rows_response_counts_for_who_gave_it(run: Path, tmp_path: Path) -> None:
    prompt, response = "Name three birds. Be brief.\n\nInput: none", "A robin, an owl, and a wren."
    row = {"id": "birds", "prompt": prompt, "response": response, "helpfulness": 4}
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    import_labels(run, tmp_path / "in.jsonl", "ann")
    assert read_rater(RunFolder.open(run), "ann").ratings == {("birds", "tuned"): 4}


def test_ratings_make_table_1_appear(tmp_path: Path) -> None:
    prompts, answers = many_prompts(8)
    run = save_run(tmp_path / "run", prompts, answers)
    keep(run, "ann", *(rating(p.id, role, 1 + n % 2) for n, p in enumerate(prompts) for role in ("base", "tuned")))
    keep(run, "bob", *(rating(p.id, role, 1 + n % 2) for n, p in enumerate(prompts) for role in ("base", "tuned")))
    keep(run, "bob", {"prompt": "p3", "spans": [(0, 8, 0)]})
    found = aftertune.write_report(run)
    assert found is not None
    change = compared(run)
    scores = {row.id: row.score_base for row in change.instances}
    base, _ = change.table1
    assert (base.model, base.followed.n, base.unfollowed.n) == ("base", 4, 4)
    assert base.followed.mean == pytest.approx(np.mean([scores[f"p{n}"] for n in (1, 3, 5, 7)]))
    (row,) = change.raters
    assert (row.what, row.alpha, row.n_units, row.n_prompts) == ("ratings", 1.0, 16, 8)
    page = (run / "report.html").read_text("utf-8")
    assert "There is no table 1" not in page and "People rated 16 of 16 responses" in page
    assert "marked the instruction of 1 of 8 prompts (aftertune label: ann, bob)" in page


def test_labels_come_before_the_prompt_file_which_holds_where_nobody_labelled(run: Path) -> None:
    def helpfulness() -> dict[str, Any]:
        maps = maps_of(run)
        return {
            base.id: (base.helpfulness, tuned.helpfulness)
            for base, tuned in zip(maps["base"], maps["tuned"], strict=True)
        }

    assert helpfulness() == {"birds": (None, None), "emoji": (None, 2), "odd": (None, None)}
    keep(run, "ann", rating("emoji", "tuned", 4), rating("odd", "base", 1))
    assert helpfulness() == {"birds": (None, None), "emoji": (None, 4), "odd": (1, None)}


def test_marked_spans_make_other_tokens_the_instruction(run: Path) -> None:
    before = maps_of(run)
    assert before["base"][0].is_instruction.all() and before["base"][1].is_instruction.tolist() == [True] * 3 + [False]
    keep(run, "ann", {"prompt": "birds", "spans": [(0, 17, 0)]}, {"prompt": "emoji", "spans": [(6, 17, 0)]})
    after = maps_of(run)
    for role in ("base", "tuned"):
        assert after[role][0].is_instruction.tolist() == [True] * 3 + [False] * 4  # Name three birds. | Be brief. ...
        assert after[role][1].is_instruction.tolist() == [False, False, True, True]
        assert np.array_equal(after[role][0].levels, before[role][0].levels)
    score = after["base"][0].score()
    expected = instruction_score(before["base"][0].density(), np.array([True] * 3 + [False] * 4))
    assert score == pytest.approx(expected) and score != pytest.approx(before["base"][0].score())


def test_what_leaving_an_instruction_out_did_is_not_told_of_another(run: Path) -> None:
    """As marked by the prompt file it is a row for both models; where a person marks other words it is none."""
    folder = RunFolder(str(run))
    for role, fall in (("base", 1.0), ("tuned", 3.0)):
        row = folder.read(part := folder.part("attribution", role, "emoji"))
        found = replace(Attribution.from_row(row), instruction=InstructionFall(fall, 2.0, 1))
        folder.write(part, {"id": "emoji", "dataset": "demo", **found.to_row()})
    (told,) = compared(run).instruction
    assert (told.dataset, told.n_prompts, told.base, told.tuned, told.fall.n_pairs) == ("demo", 1, 1.0, 3.0, 1)
    keep(run, "ann", {"prompt": "emoji", "spans": [(0, 12, 0)]})
    assert compared(run).instruction == (told,)
    keep(run, "ann", {"prompt": "emoji", "spans": [(6, 17, 0)]})
    assert compared(run).instruction == ()


def test_a_chats_tokens_are_marked_as_if_the_prompt_file_had_marked_them() -> None:
    words = "hello hello"
    turns = (
        Message("system", words),
        Message("user", words),
        Message("assistant", "hello"),
        Message("user", " hello "),
    )
    prompt = Prompt("a", turns, spans=((6, 11, 1), (1, 6, 3)))
    encoded = encode(prompt, byte_level(), "chat")
    found = mark_instruction(encoded.text, encoded.offsets, encoded.is_user, prompt)
    assert found.any() and np.array_equal(found, encoded.is_instruction)


def test_the_command_line_takes_labels_in_and_out(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    prompt = "Name three birds. Be brief.\n\nInput: none"
    row = {"id": "birds", "prompt": prompt, "instruction_spans": ["Name three birds."], "tuned_helpfulness": 3}
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    out = cli.succeeds("label", run, "--import", tmp_path / "in.jsonl", "--rater", "ann")
    assert out == f"Taken over: 2 labels\nIn the report: aftertune report {run}\n"
    assert json.loads(cli.succeeds("label", run, "--export", tmp_path / "out.jsonl", "--json")) == {"prompts": 1}
    assert rows_of(tmp_path / "out.jsonl")[0] == {
        "id": "birds",
        "dataset": "demo",
        "prompt": prompt,
        "instruction_spans": [[0, 17]],
        "tuned_helpfulness": 3,
    }


def test_what_the_command_line_refuses(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    assert "--import needs --rater NAME" in cli.refuses("label", run, "--import", "x.jsonl")
    assert "There is no file at x.jsonl" in cli.refuses("label", run, "--import", "x.jsonl", "--rater", "ann")
    assert "Nobody labelled" in cli.refuses("label", run, "--export", tmp_path / "out.jsonl")
    message = cli.refuses("label", run, "--export", tmp_path / "out.jsonl", "--rater", "bob")
    assert "'bob' labelled nothing" in message and "Raters: none" in message
    assert "There is no run at nowhere" in cli.refuses("label", "nowhere")
    assert "The rater's name is '.x'" in cli.refuses("label", run, "--rater", ".x")
    cli.refuses_usage("label", run, "--port", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} of 127.0.0.1 can't be used: " in cli.refuses("label", run, "--port", str(port))


def test_runs_that_have_nothing_to_rate(cli: CommandLine, tmp_path: Path) -> None:
    weights = RunFolder.start(tmp_path / "weights", {"base": {}, "tuned": {}, "settings": {}}, {})
    weights.claim("base.json", {}, {})
    assert "holds no responses, so there is nothing to rate" in cli.refuses("label", tmp_path / "weights")
    run = save_run(tmp_path / "half")
    (run / "attribution" / "tuned" / "odd.parquet").unlink()
    assert "1 of 6 responses are not measured yet" in cli.refuses("label", run)
    with pytest.raises(RunError, match="not measured yet"):
        export_labels(run, tmp_path / "out.jsonl")


def test_of_three_models_each_pair_has_its_own_ratings(tmp_path: Path) -> None:
    prompts, answers = many_prompts(2)
    run = save_run(tmp_path / "run", prompts, answers | {"tuned-2": ["one two three four five"] * 2})
    assert sorted(session(run).task(0)["answers"])[0] == "one two three four five"
    for rater in ("ann", "bob"):
        keep(run, rater, *(rating("p0", role, level) for role, level in (("base", 1), ("tuned", 2), ("tuned-2", 4))))
    later = compared(run, "tuned", "tuned-2")
    first, second = later.instances[0].helpfulness_base, later.instances[0].helpfulness_tuned
    assert (compared(run).instances[0].helpfulness_base, first, second) == (1, 2, 4)
    (row,) = later.raters
    assert (row.n_units, row.n_prompts, row.alpha) == (2, 1, 1.0)
