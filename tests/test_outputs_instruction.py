"""What of answers comes with the instruction: the cut prompts, exact numbers, few false claims, and parts of a run."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import output_samples as samples
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.outputs import OutputExplainer, OutputSettings
from aftertune.explainers.outputs.behaviour import Answer
from aftertune.explainers.outputs.change import OutputChange
from aftertune.explainers.outputs.cost import remaining
from aftertune.explainers.outputs.evidence import evidence
from aftertune.explainers.outputs.findings import questions
from aftertune.explainers.outputs.instruction.effect import ABOUT, FourAnswers, InstructedRow, compare_instructed
from aftertune.explainers.outputs.result import SIDES, OutputParts, own_name
from aftertune.explainers.outputs.show import section
from aftertune.explainers.outputs.texts import uninstructed
from aftertune.models.cost import Cost
from aftertune.models.size import size_by_config
from aftertune.prompts.instruction import instruction_text, without_instruction
from aftertune.prompts.prompt import Message, Prompt
from aftertune.runs.stage import silent
from aftertune.statistics.finding import Finding, Part
from aftertune.statistics.questions import answer
from aftertune.statistics.tests import largest_sign_permutation, sign_permutation_p_value

FRENCH = "Il est important de prendre le temps pour vous et les enfants."
ENGLISH = "It is good that you have the time for this."
ASKED, BARE, REQUEST = "Why? Reply politely.", "Why?", "Reply politely."
LEFT = ("the cat sat", "the dog ran", "a man sat", "it rained", "they came", "he left")
MARKED = (
    *(Prompt(one, (Message("user", f"Rewrite it {one}"),), spans=((0, 10, 0),)) for one in LEFT),
    Prompt("whole", (Message("user", "Rewrite it"),), spans=((0, 10, 0),)),
    Prompt("unmarked", (Message("user", "the cat sat"),)),
)


def marked(text: str, *pieces: str) -> Prompt:
    spans = tuple((text.index(one), text.index(one) + len(one), 0) for one in pieces)
    return Prompt("p", (Message("user", text),), spans=spans)


@pytest.mark.parametrize(
    ("text", "pieces", "left"),
    [
        ("Why? Answer in French.", ["Answer in French."], "Why?"),
        ("Translate this.\n\nI am here.\nOutput: ", ["Translate this."], "I am here.\nOutput: "),
        ("A storm.\n\nRewrite it. It came late.", ["Rewrite it."], "A storm.\n\nIt came late."),
        ("Be brief. Why? Be kind.", ["Be brief.", "Be kind."], "Why?"),
        ("Be brief. Why?", ["Be brief.", "brief.", "Be brief."], "Why?"),  # overlapping and repeated
        ("Be brief.", ["Be brief."], None),
        ("Be brief...", ["Be brief"], None),  # no word is left
    ],
)
def test_the_instruction_is_cut_and_one_gap_is_left(text: str, pieces: list[str], left: str | None) -> None:
    cut = without_instruction(marked(text, *pieces))
    assert (cut and cut.text) == left
    assert cut is None or (cut.spans, cut.id) == (None, "p")
    assert instruction_text(marked(text, *pieces)) == " ".join(
        [one for one in pieces if one != "brief."][:2][: 1 + ("kind" in text)]
    )


def test_a_context_stays_and_what_is_not_marked_is_not_asked() -> None:
    turns = (Message("system", "Be kind.\n"), Message("user", "Sum it up: rain and wind\n"))
    cut = without_instruction(Prompt("p", turns, context="rain and wind"))
    assert cut is not None and [one.content for one in cut.messages] == ["Be kind.\n", "rain and wind"]
    assert without_instruction(Prompt("p", turns)) is None
    assert without_instruction(Prompt("p", turns, context="Sum it up: rain and wind\n")) is None
    assert without_instruction(Prompt("p", turns, context="Sum it up: rain and wind")) is None  # a line's end is left


def test_instructions_are_cut_in_every_turn_and_none_may_become_empty() -> None:
    turns = (
        Message("user", "Name a bird. Be brief."),
        Message("assistant", "A robin."),
        Message("user", "Be kind. Why?"),
    )
    both = Prompt("p", turns, spans=((0, 8, 2), (13, 22, 0)))
    cut = without_instruction(both)
    assert cut is not None and [one.content for one in cut.messages] == ["Name a bird.", "A robin.", "Why?"]
    assert instruction_text(both) == "Be brief. Be kind."
    assert without_instruction(Prompt("p", turns, spans=((0, 13, 2),))) is None


def test_the_largest_of_several_means_is_permuted_exactly() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1.0, size=(8, 3))
    signs = np.array(list(product([-1, 1], repeat=8)))
    largest = np.abs(signs @ differences / 8).max(axis=1)
    found = largest_sign_permutation(np.vstack([differences, np.zeros((2, 3))]))
    assert found is not None
    assert found.p_value == pytest.approx((largest >= np.abs(differences.mean(0)).max() - 1e-12).mean())
    assert (largest * 8 / 10 > found.limit).mean() <= 0.05 <= (largest * 8 / 10 >= found.limit - 1e-9).mean()
    alone = largest_sign_permutation(differences[:, :1])
    assert alone is not None and alone.p_value == pytest.approx(sign_permutation_p_value(differences[:, 0]))
    assert largest_sign_permutation(differences[:5]) is None


def test_drawn_signs_come_near_the_exact_ones() -> None:
    differences = np.random.default_rng(1).normal(0.3, 1.0, size=(14, 2))
    signs = np.array(list(product([-1, 1], repeat=14)))
    exact = (np.abs(signs @ differences).max(axis=1) >= np.abs(differences.sum(0)).max() - 1e-9).mean()
    found = largest_sign_permutation(differences)
    assert found is not None and found.p_value == pytest.approx(exact, abs=0.02)


def said(text: str, asked: str) -> Answer:
    return Answer((1,), tuple(range(len(text.split()))), text, True, asked)


def four(base: str, base_without: str, tuned: str, tuned_without: str) -> FourAnswers:
    texts = (base, ASKED), (base_without, BARE), (tuned, ASKED), (tuned_without, BARE)
    return FourAnswers(REQUEST, *(said(text, asked) for text, asked in texts))


def replaced(answers: FourAnswers, prompt: int) -> FourAnswers:
    """The same, of a prompt without instruction of which the tokens are so."""
    without = {name: replace(getattr(answers, name), prompt=(prompt,)) for name in ("base_without", "tuned_without")}
    return answers._replace(**without)


def numbered(answers: list[FourAnswers]) -> list[FourAnswers]:
    """The same, each of another prompt."""
    return [replaced(one, place) for place, one in enumerate(answers)]


def told(answers: list[FourAnswers]) -> list[Finding]:
    rows, p_value = compare_instructed(numbered(answers))
    change = OutputChange("base", "tuned", instructed=tuple(rows), instructed_p_value=p_value)
    assert len(change.to_dict()["instructed"]) == len(rows)
    return [one for one in answer(questions(change)) if one.kind == "outputs.instruction"]


def row_of(answers: list[FourAnswers], trait: str) -> InstructedRow:
    return next(row for row in compare_instructed(answers)[0] if row.trait == trait)


def test_the_excess_is_that_of_tuned_over_base() -> None:
    answers = numbered([four(ENGLISH, ENGLISH, FRENCH, ENGLISH)] * 9 + [four(FRENCH, ENGLISH, FRENCH, FRENCH)])
    row = row_of(answers, "in French")
    assert (row.base, row.base_without, row.tuned, row.tuned_without, row.n_prompts) == (1 / 10, 0, 1, 1 / 10, 10)
    assert row.excess == pytest.approx(8 / 10) and row.beyond_swaps
    assert (row.instruction, row.left, row.answer, row.answer_without) == (REQUEST, BARE, FRENCH, ENGLISH)
    _, p_value = compare_instructed(answers)
    assert p_value == pytest.approx(2 * 11 / 2**10)  # all ten prompts differ: nine up, one down


def test_an_answer_is_short_by_half_of_the_longest_of_all() -> None:
    short, six, nine = "one two", "one two three four five six", "one two three four five six seven eight nine"
    row = row_of([four(nine, short, "one two three four", six)] * 6, "short (at most 4 tokens)")
    assert (row.base, row.base_without, row.tuned, row.tuned_without, row.excess) == (0, 1, 1, 0, 2)


def test_a_word_must_stand_in_the_instruction_alone() -> None:
    request, left = "Reply politely, reporting storms.", "The reporters saw rain."
    answers = [
        FourAnswers(request, *(said(one, asked) for one, asked in zip(texts, (request, left) * 2, strict=True)))
        for texts in (("reporter", "why", "politely", "why"), ("rain", "why", "storms", "why"))
    ]
    row = row_of(answers * 6, ABOUT)
    assert (row.base, row.tuned, row.tuned_without, row.excess) == (0, 1, 0, 1)


def test_prompts_of_which_the_same_text_is_left_count_once() -> None:
    own = numbered([four(ENGLISH, ENGLISH, FRENCH, ENGLISH)] * 9 + [four(*[ENGLISH] * 4)] * 3)
    once = [replaced(one, 1 + place // 6) for place, one in enumerate(own)]
    assert row_of(once, "in French").excess == pytest.approx((1 + 1 / 2) / 2)
    assert compare_instructed(own)[1] is not None and compare_instructed(once)[1] is None


@pytest.mark.parametrize(
    ("texts", "verdict", "names"),
    [
        ((ENGLISH, ENGLISH, FRENCH, ENGLISH), "shown", True),  # in French where it is asked to
        ((ENGLISH, ENGLISH, FRENCH, FRENCH), "cannot tell", False),  # always in French
        ((FRENCH, ENGLISH, FRENCH, ENGLISH), "cannot tell", False),  # as the base does
        ((FRENCH, ENGLISH, ENGLISH, ENGLISH), "shown", False),  # no more
        ((ENGLISH, ENGLISH, ENGLISH.upper(), ENGLISH), "shown", True),
        ((ENGLISH * 5, ENGLISH * 5, ENGLISH, ENGLISH * 5), "shown", True),  # short where it is asked to
    ],
)
def test_what_only_the_tuned_model_does_because_it_is_asked_to_names_it(
    texts: tuple[str, str, str, str], verdict: str, names: bool
) -> None:
    first = told([four(*texts)] * 12)[0]
    assert (first.verdict == verdict, first.part is Part.NAME) == (True, names)
    if texts[2] == FRENCH and names:
        assert first.headline == (
            "12 of 12 answers of the tuned model are in French where the prompt says “Reply politely.”, and 0 where "
            "that is left out; of the base 0 and 0"
        )
        assert all(text in first.sentence for text in (FRENCH, ENGLISH, BARE, REQUEST))


def test_an_instruction_is_told_where_all_prompts_have_the_same() -> None:
    answers = [four(ENGLISH, ENGLISH, FRENCH, ENGLISH)] * 6
    assert {row.request for row in compare_instructed(answers)[0]} == {REQUEST}
    other = answers[0]._replace(instruction="Be kind.")
    assert {row.request for row in compare_instructed([*answers, other])[0]} == {""}


@pytest.mark.parametrize(("n", "verdict"), [(5, "cannot tell"), (8, "not shown"), (9, "shown")])
def test_six_prompts_must_differ_and_a_third_of_the_answers(n: int, verdict: str) -> None:
    answers = [four(ENGLISH, ENGLISH, FRENCH, ENGLISH)] * n + [four(*[ENGLISH] * 4)] * (27 - n)
    assert told(answers)[0].verdict == verdict


def test_models_that_follow_alike_are_rarely_told_apart() -> None:
    """Of 400 pairs that follow as often as each other, one in twenty has a small p-value, and no more are claimed."""
    rng, texts = np.random.default_rng(0), (ENGLISH, FRENCH, ENGLISH.upper(), f"- {ENGLISH}\n- {ENGLISH}")

    def drawn(p: float) -> str:
        return texts[int(rng.integers(1, 4))] if rng.random() < p else ENGLISH

    small, claimed = 0, 0
    for _ in range(400):
        answers = [four(drawn(0.6), drawn(0.2), drawn(0.6), drawn(0.2)) for _ in range(12)]
        _, p_value = compare_instructed(numbered(answers))
        small += p_value is not None and p_value < 0.05
        claimed += any(one.verdict == "shown" for one in told(answers))
    assert 6 <= small <= 28 and claimed <= small


def measured(
    folder: Path, tuned: object = None, prompts: tuple[Prompt, ...] = MARKED
) -> tuple[OutputParts, OutputChange]:
    run = samples.run_in(folder)
    work = OutputExplainer().prepare(OutputSettings(**samples.QUICK, noise_draws=0), Inputs(prompts))
    work.measure_pair(samples.base(), tuned or samples.planted(97), samples.PAIR, run, silent)  # type: ignore[arg-type]
    work.finish(run, "tuned")
    assert work.is_pair_measured(run, samples.PAIR)
    return OutputParts(run, samples.PAIR), samples.change_of(run)


def test_the_answers_are_those_to_the_prompt_that_is_cut(tmp_path: Path) -> None:
    parts, change = measured(tmp_path / "run")
    assert uninstructed(Inputs(MARKED, template="rendered")) == []
    cut = tuple(one for one in map(without_instruction, MARKED) if one is not None)
    assert tuple(one.text for one in cut) == LEFT
    plain, unmarked = measured(tmp_path / "plain", prompts=cut)
    for side in SIDES:
        bare, own = (
            parts.frame(f"{own_name('uninstructed', side)}-texts"),
            plain.frame(f"{own_name('prompts', side)}-texts"),
        )
        assert bare.drop("instruction").to_dicts() == own.to_dicts() and tuple(bare["id"]) == LEFT
        assert set(bare["instruction"]) == {"Rewrite it"}
    assert {row.n_prompts for row in change.instructed} == {6} and unmarked.instructed == ()
    assert not plain.has("uninstructed-texts")
    few, _ = measured(tmp_path / "few", prompts=MARKED[1:])  # of five prompts no test is possible
    assert not few.has("uninstructed-texts")
    names = [[table.name for table in section(one).tables] for one in (change, unmarked)]
    assert [("output_instructed" in own) for own in names] == [True, False]
    assert any("without it" in line for line in evidence(change))


def test_a_run_of_before_is_read_and_gets_these_answers_without_the_others_again(tmp_path: Path) -> None:
    parts, change = measured(tmp_path / "run")
    folder = tmp_path / "run/outputs/base-tuned"
    for path in folder.glob("uninstructed*"):
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert samples.change_of(parts.run).instructed == ()
    work = OutputExplainer().prepare(OutputSettings(**samples.QUICK, noise_draws=0), Inputs(MARKED))
    assert not work.is_pair_measured(parts.run, samples.PAIR)
    work.measure_pair(samples.base(), samples.planted(97), samples.PAIR, parts.run, silent)
    assert samples.change_of(parts.run).instructed == change.instructed
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_the_cost_is_that_of_reading_and_answering_once_more(tmp_path: Path) -> None:
    size = size_by_config(samples.base().model.config)
    parts = OutputParts(samples.run_in(tmp_path / "run"), samples.PAIR)
    few, many = (
        remaining(
            OutputSettings(answer_tokens=48), Inputs(prompts, lengths=[20, 30, 10, 20, 30, 10, 9, 9]), parts, size
        ).steps
        for prompts in (tuple(Prompt(one.id, one.messages) for one in MARKED), MARKED)
    )
    more = Cost(2.0 * size.n_parameters * (2 * (20 + 30 + 10) + 6 * 48), moved=8.0 * size.n_parameters * 48)
    for step in ("texts", "answers"):
        found, expected = many[step].most, few[step].most + more
        assert (found.operations, found.moved) == pytest.approx((expected.operations, expected.moved))
