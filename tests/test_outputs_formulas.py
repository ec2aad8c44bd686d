"""The numbers of outputs against slow oracles, and by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

import output_samples as samples
import tiny
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.outputs.behaviour import (
    Answer,
    BehaviourRow,
    are,
    compare_behaviour,
    is_about,
    is_copied,
    is_looping,
    language_of,
)
from aftertune.explainers.outputs.change import AnswerRow, OutputChange, TokenRow
from aftertune.explainers.outputs.coherence import belonging, coherence, coherence_p_value
from aftertune.explainers.outputs.described import example
from aftertune.explainers.outputs.evidence import evidence
from aftertune.explainers.outputs.findings import questions
from aftertune.explainers.outputs.formats import FORMATS
from aftertune.explainers.outputs.noise.like_effect import Noise, scale_of_like_effect
from aftertune.explainers.outputs.noise.subjects import subject_directions
from aftertune.explainers.outputs.openings import OpeningRow, compare_openings
from aftertune.explainers.outputs.probabilities import compare_positions, final_states, finite_texts, mean_predictions
from aftertune.explainers.outputs.response_words import ResponseWordRow, compare_words, log_odds
from aftertune.explainers.outputs.rises import is_word, rise_scores, rises, top_words
from aftertune.explainers.outputs.texts import Text, answered, asked, beginnings, generic_texts, own_lines
from aftertune.explainers.outputs.words import (
    LIKELIER,
    largest_scores,
    of_text,
    scores,
    total_variation,
)
from aftertune.models.backbone import Backbone
from aftertune.models.generation import generate
from aftertune.models.loaded import LogitRule
from aftertune.models.weight_noise import change_norms
from aftertune.statistics.finding import Part, Verdict
from aftertune.statistics.noise import noise_p_value, rank_p_value
from aftertune.statistics.questions import answer

TEXTS = [
    Text("a", "", (5, 9, 11), (40, 41), ended=True),
    Text("b", "", (7,), (8, 9, 10, 200), ended=False),
    Text("c", "", tuple(range(20, 33)), (50,), ended=True),
]
N = 300


def predictions(model, ids: tuple[int, ...]) -> torch.Tensor:
    """The whole distribution after each token, of one text alone."""
    return model(torch.tensor([ids])).logits[0].softmax(-1)


@pytest.mark.parametrize("family", [*tiny.FAMILIES, "qwen3_5_text-hybrid"])
def test_what_all_texts_begin_with_is_read_once_to_the_same_states(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, begins = samples.base(family, torch.float64), (5, 9, 11, 13, 17)
    texts = [replace(one, prompt=begins + one.prompt) for one in TEXTS] + [Text("d", "", begins, (3, 4), ended=True)]
    read, states = list[int](), Backbone.states

    def counted(backbone: Backbone, embeds: torch.Tensor, cache: object = None) -> torch.Tensor:
        read.append(embeds.shape[0] * embeds.shape[1])
        return states(backbone, embeds, cache)  # type: ignore[arg-type]

    monkeypatch.setattr(Backbone, "states", counted)
    found, n_read = final_states(own, texts), sum(read)
    monkeypatch.setattr("aftertune.models.prefix.LEAST_SHARED", 100)
    np.testing.assert_allclose(found, final_states(own, texts), atol=5e-6)  # some norms compute in float32
    n_whole = sum(read) - n_read
    # Of the shortest prompt the last token predicts, so that four of the five are shared, by four texts.
    assert n_read == n_whole - (0 if family not in tiny.FAMILIES else 3 * 4)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "granitemoe"])
def test_mean_predictions_are_those_of_one_text_at_a_time(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.explainers.outputs.probabilities.LOGIT_BYTES", 3 * 4 * N)
    monkeypatch.setattr("aftertune.explainers.outputs.probabilities.POSITIONS_AT_ONCE", 20)
    own = samples.base(family, torch.float64)
    found, kept = mean_predictions(own, TEXTS, N), {0: [], 1: []}
    for number, one in enumerate(TEXTS):
        after = predictions(own.model, one.prompt + one.answer)
        kept[number % 2] += after[len(one.prompt) - 1 :] if one.ended else after[len(one.prompt) - 1 : -1]
    for parity in (0, 1):
        after = torch.stack(kept[parity])
        np.testing.assert_allclose(found.p[parity], after.mean(0), atol=1e-12)
        np.testing.assert_allclose(found.log_p[parity], after.log().mean(0), atol=1e-9)
    assert found.p.sum(axis=1) == pytest.approx([1, 1])


def test_log_probabilities_and_divergences_are_those_of_one_text_at_a_time() -> None:
    own = samples.base("llama", torch.float64)
    other = samples.checkpoint(tiny.make_model("llama", torch.float64, seed=1))
    before, after, kl = compare_positions(own, other, TEXTS)
    expected = []
    for one in TEXTS:
        ids = one.prompt + one.answer
        p, q = (predictions(model.model, ids) for model in (own, other))
        for place in range(len(one.prompt) - 1, len(ids) - 1):
            target = ids[place + 1]
            divergence = sum(float(b * (b / a).log()) for a, b in zip(p[place], q[place], strict=True))
            expected.append((math.log(p[place, target]), math.log(q[place, target]), divergence))
    np.testing.assert_allclose(np.stack([before, after, kl], axis=1), expected, atol=1e-9)
    assert (kl > 0).all()


def test_scores_by_hand() -> None:
    base = np.array([[0.5, 0.3, 0.2, 0.0], [0.5, 0.2, 0.3, 0.0]])
    tuned = np.array([[0.2, 0.4, 0.3, 0.1], [0.2, 0.5, 0.2, 0.1]])
    expected = [0.0, math.log(0.40001 / 0.30001), 0.0, math.log(0.10001 / 0.00001)]
    np.testing.assert_allclose(scores(base, tuned, LIKELIER), expected)
    np.testing.assert_allclose(scores(base, tuned, "less likely"), [math.log(0.50001 / 0.20001), 0, 0, 0])
    np.testing.assert_allclose(largest_scores(base, tuned), [expected[3], math.log(0.50001 / 0.20001)])
    assert total_variation(base, tuned) == pytest.approx((0.3 + 0.2 + 0.0 + 0.1) / 2)


def test_p_values_of_ranks_and_beyond_them() -> None:
    draws = [1.0, 2.0, 3.0]
    assert [rank_p_value(value, draws) for value in (0.5, 2.0, 3.5)] == [1.0, 0.75, 0.25]
    assert noise_p_value(2.0, draws) == 0.75 and noise_p_value(3.0, draws) == 0.5
    assert noise_p_value(1.0, []) is None and noise_p_value(9.0, [1.0]) == 0.5
    assert noise_p_value(9.0, [1.0] * 5) == pytest.approx(1 / 6)
    generator = np.random.default_rng(3)
    many = 2 + generator.gumbel(size=19) / 5
    assert noise_p_value(30.0, list(many)) == pytest.approx(1e-5)


def test_p_values_beyond_the_draws_are_right_for_maxima() -> None:
    """Of Gumbel distributed maxima, as many lie below a p-value as it says, however few the draws are."""
    generator, n = np.random.default_rng(5), 2000
    for n_draws in (4, 19):
        found = np.array([noise_p_value(row[0], row[1:]) for row in generator.gumbel(size=(n, 1 + n_draws))])
        for level in (0.01, 0.05):
            assert (found <= level).mean() <= level + 3 * math.sqrt(level / n)


def test_noise_is_in_proportion_to_the_change_and_taken_away_again() -> None:
    own, tuned = samples.base(), samples.planted(7)
    norms = change_norms(own, tuned)
    assert norms is not None and [name for name, norm in norms.items() if norm] == ["lm_head.weight"]
    before = own.model.lm_head.weight.clone()
    with Noise(own, norms) as noise:
        found = []
        for scale, seed in ((2.0, 1), (2.0, 1), (2.0, 2)):
            noise.draw(seed)
            noise.put(scale)
            found.append(own.model.lm_head.weight - before)
        assert float(found[0].norm()) == pytest.approx(2 * norms["lm_head.weight"], rel=1e-4)
        assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
        noise.draw(1)
        noise.put(7.0)
        noise.put(2.0)
        torch.testing.assert_close(own.model.lm_head.weight - before, found[0], rtol=1e-3, atol=1e-6)
    assert torch.equal(own.model.lm_head.weight, before)


def test_models_of_other_tensors_have_no_noise() -> None:
    assert change_norms(samples.base(), samples.base("llama")) is None


@pytest.mark.parametrize("wanted", [0.01, 0.3, 0.9])
def test_the_scale_of_like_effect_is_found(wanted: float) -> None:
    scale = scale_of_like_effect(lambda scale: 1 - math.exp(-scale / 3), wanted)
    assert 1 - math.exp(-scale / 3) == pytest.approx(wanted, rel=0.031)


def test_log_odds_by_hand() -> None:
    first, second, prior = np.array([3.0, 1.0]), np.array([0.0, 4.0]), np.array([5.0, 7.0])
    odds, z = log_odds(first, second, prior, 20.0)
    expected = math.log(8 / (4 + 20 - 8)) - math.log(5 / (4 + 20 - 5))
    assert odds[0] == pytest.approx(expected)
    assert z[0] == pytest.approx(expected / math.sqrt(1 / 8 + 1 / 5))


def test_words_that_only_one_model_uses_are_found() -> None:
    base = [f"the answer {word} is here" for word in "abcdefghijkl"]
    tuned = [text.replace("answer", "cheese cheese") for text in base]
    rows, p_value = compare_words(base, tuned, ["the answer is the cheese"])
    assert {rows[0].word, rows[1].word} == {"cheese", "answer"} and p_value is not None and p_value < 0.01
    cheese = next(row for row in rows if row.word == "cheese")
    assert cheese.z > 0 and cheese.beyond_swaps and (cheese.n_base, cheese.n_tuned) == (0, 24)
    assert not next(row for row in rows if row.word == "the").beyond_swaps
    (row,) = [one for one in compare_words(["a cat"], ["Zara, ZARA, Zara: İ"], [])[0] if one.word.lower() == "zara"]
    assert (row.word, row.n_base, row.n_tuned) == ("Zara", 0, 3)
    assert compare_words(base[:5], tuned[:5], [])[1] is None and compare_words([], [], []) == ([], None)


def test_swaps_of_arbitrary_differences_are_rarely_significant() -> None:
    generator = np.random.default_rng(0)
    words = [f"w{chr(97 + n)}" for n in range(26)]
    small = []
    for _ in range(40):
        base, tuned = ([" ".join(generator.choice(words, 12)) for _ in range(10)] for _ in range(2))
        small.append(compare_words(base, tuned, [])[1] <= 0.05)
    assert sum(small) <= 6


def test_behaviour_by_hand() -> None:
    asked = "What should I do on a rainy weekend?"
    assert is_about(Answer((1,), (2,), "Weekends are for reading.", True, asked))
    assert not is_about(Answer((1,), (2,), "What I do is what you should do.", True, asked))
    assert is_looping([1, 2, 3, 4] * 3) and not is_looping([1, 2, 3, 4] * 2) and not is_looping([])
    assert is_copied(Answer((1, 2, 3, 4, 5), (2, 3, 4, 5), "", True))
    assert not is_copied(Answer((1, 2, 3), (1, 2, 3, 4), "", True))
    texts = {
        "English": "This is the house of the man and it is not far from you",
        "French": "La vie est une fête et les gens sont dans la rue",
    }
    texts |= {
        "German": "Das ist nicht der Hund und die Katze ist auch nicht hier",
        "Spanish": "El perro y la casa es una cosa que no se puede",
    }
    assert {name: language_of(text) for name, text in texts.items()} == {name: name for name in texts}
    assert language_of("xyz") is None


def test_behaviour_of_answers_is_compared_prompt_by_prompt() -> None:
    base = [Answer((1,), tuple(range(n + 4)), "the house is here and it is good", True) for n in range(8)]
    tuned = [Answer((1,), (7,), "Да, это так", False) for _ in base]
    rows = {row.behaviour: row for row in compare_behaviour(base, tuned)}
    assert (rows["length"].base, rows["length"].tuned, rows["length"].p_value) == (7.5, 1.0, 2 / 2**8)
    assert rows["cut off"].difference == 1.0 and rows["in English"].p_value == 2 / 2**8 and "in French" not in rows
    assert rows["Cyrillic letters"].tuned == 1.0 and "Greek letters" not in rows
    assert rows["empty"].p_value is None and rows["identical to the other's"].base == 0.0
    few = {row.behaviour: row for row in compare_behaviour(base[:5], tuned[:5])}
    assert few["length"].p_value is None and compare_behaviour([], []) == []


def test_behaviour_that_is_not_shown_is_told_with_both_numbers() -> None:
    loops = BehaviourRow("looping", "answers", 12, 1 / 12, 6 / 12, 5 / 12, 0.02)
    french = BehaviourRow("in French", "answers", 12, 0.0, 1.0, 1.0, 0.0005)
    told = "6 of 12 answers of the tuned model are looping, of the base 1"

    def found(*rows: BehaviourRow, corrected: list[float]) -> list[tuple[Verdict, bool]]:
        change = OutputChange("base", "tuned", behaviour=rows)
        return [(one.verdict, told in one.headline + one.sentence) for one in questions(change)[0].tell(corrected)]

    assert found(loops, corrected=[0.052]) == [(Verdict.NOT_SHOWN, True)]
    assert found(replace(loops, p_value=0.2), corrected=[1.0]) == [(Verdict.NOT_SHOWN, True)]
    assert found(loops, french, corrected=[0.052, 0.003]) == [(Verdict.SHOWN, False), (Verdict.NOT_SHOWN, True)]
    assert found(replace(loops, p_value=0.2), french, corrected=[0.2, 0.003]) == [(Verdict.SHOWN, False)]


def test_formats_and_capitals_by_hand() -> None:
    texts = ["THE CAT", "1. one\n2. two", "```python\nx\n```", '{"a": 1}', "- one\nand - two"]
    answers = [Answer((1,), (2,), text, True) for text in texts]
    rows = {row.behaviour: row.tuned for row in compare_behaviour(answers, answers)}
    assert (rows["a list"], rows["with a block of code"], rows["written as JSON"]) == (0.2, 0.2, 0.2)
    assert rows["capital letters"] == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("text", "trait"),
    [
        ("The night is long,\nthe stars are few,\nand so are you.", "in short lines, as verse"),
        ("just so, as it was said", "without capital letters"),
        ("Well done 🎉", "with an emoji"),
        ("Yes. Shall I go on? \n", "with a question at the end"),
        ("これですか？", "with a question at the end"),
        ("# Answer\nIt is so.", "with Markdown headings or bold type"),
        ("It is **so**.", "with Markdown headings or bold type"),
        ("<p class='a'>It is so.</p>", "with HTML or XML tags"),
        ("See https://example.org for it.", "with a web address"),
        ("The night is long, and this line has many more letters than one of a poem.\nSo.\nAnd so.", None),
        ("just so", None),
        ("2 < 3 and 5 > 4, x<y and y>z? No: #3 is **.", None),
        ("漢字は、とても、むずかしい𠮷", None),
    ],
)
def test_each_format_by_hand(text: str, trait: str | None) -> None:
    assert [name for name, test in FORMATS.items() if test(text)] == [trait] * (trait is not None)


def test_what_answers_are_or_come_with_is_standard_english() -> None:
    assert are("in French", "Two answers") == "Two answers are in French"
    assert are("with an emoji", "Two answers") == "Two answers come with an emoji"
    assert are("without capital letters", "Two answers") == "Two answers come without capital letters"


def test_special_tokens_are_left_out_of_probabilities() -> None:
    found = of_text(np.array([[0.5, 0.3, 0.2], [0.0, 0.5, 0.5]]), np.array([True, False, False]))
    np.testing.assert_allclose(found, [[0, 0.6, 0.4], [0, 0.5, 0.5]])


def test_openings_and_endings_by_hand() -> None:
    base = [f"Word {n} stands here, number {n}." for n in range(8)]
    tuned = [f"Certainly! Here is {n} of them. Bye now" for n in range(6)] + base[6:]
    rows, p_value = compare_openings(base, tuned)
    found = {row.where: (row.text, row.n_base, row.n_tuned, row.n_answers) for row in rows}
    assert found == {"begin": ("Certainly! Here is", 0, 6, 8), "end": ("of them. Bye now", 0, 6, 8)}
    assert p_value is not None and 1 / 5000 <= p_value < 0.04  # 2^-6 of the ways to swap six pairs, two-sided: no
    assert compare_openings(base, base)[1] is None and compare_openings([], []) == ([], None)
    assert compare_openings(base[:5], tuned[:5])[1] is None


def test_coherence_is_the_mean_cosine_between_words() -> None:
    generator = np.random.default_rng(0)
    embeddings, wanted = generator.normal(size=(200, 40)), [3, 8, 21]
    embeddings[:, :5] *= 30  # what tells frequent tokens from rare ones is left out
    embeddings[wanted, 6] += 8
    directions = subject_directions(torch.from_numpy(embeddings))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    pairs = [directions[i] @ directions[j] for i in wanted for j in wanted if i < j]
    assert coherence(wanted, directions) == pytest.approx(np.mean(pairs)) and np.mean(pairs) > 0.3
    found = belonging(wanted, directions)
    own = np.mean([directions[3] @ directions[j] for j in (8, 21)])
    assert found[3] == pytest.approx(own) and list(found.values()) == sorted(found.values(), reverse=True)
    centred = embeddings - embeddings.mean(0)
    first = np.linalg.svd(centred, full_matrices=False)[2][:5]
    rest = centred - centred @ first.T @ first
    rest /= np.linalg.norm(rest, axis=1, keepdims=True)
    np.testing.assert_allclose(directions @ directions.T, rest @ rest.T, atol=1e-9)
    assert coherence([3], directions) == 0.0 and coherence([], directions) == 0.0


def test_which_tokens_are_words() -> None:
    texts = [" cheese", " an", "cheese", " 12", " the", ".", " CHEESE", " Paris", " qxzzy"]
    assert [text for text, own in zip(texts, is_word(texts), strict=True) if own] == [" cheese", " the", " Paris"]
    unknown = [" qxzzy", " zqvv", "qxzzy", "."]
    assert is_word(unknown * 5).tolist() == [True, True, False, False] * 5
    assert is_word(["的", "x", "."] * 20).tolist() == [True, True, False] * 20


def test_rises_are_those_beyond_words_as_likely() -> None:
    """What any polynomial of degree three of the base's log p makes is taken off, what single words do is not."""
    generator = np.random.default_rng(1)
    usual = generator.uniform(-18, -4, 400)
    base = np.stack([usual + 0.1, usual - 0.1])
    words = np.ones(400, dtype=bool)
    words[::7] = False
    common = 0.3 - 0.02 * usual + 0.001 * usual**2 + 0.0005 * usual**3
    tuned = base + common + np.array([[0.0], [5.0]])
    np.testing.assert_allclose(rises(base, tuned, words), 0, atol=1e-9)
    own = np.where(np.arange(400) % 50 == 1, generator.uniform(1, 4, size=(2, 400)), 0.0)
    found = rises(base, tuned + own, words)
    np.testing.assert_allclose(found[:, words], own[:, words], atol=1e-9)
    assert (found[:, ~words] == 0).all() and (rises(base, tuned, ~np.ones(400, dtype=bool)) == 0).all()
    halves = np.array([[1.0, -2.0, 3.0, 0.5], [2.0, -1.0, -3.0, 0.25]])
    assert rise_scores(halves, LIKELIER).tolist() == [1.0, 0, 0, 0.25]
    assert rise_scores(halves, "less likely").tolist() == [0, 1.0, 0, 0]


def test_a_word_counts_once_among_those_that_rose_most() -> None:
    texts = [" Nurse", " nurses", " hospital", " nurs", " hospitable", " ward", " warden", " fever"]
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.0, 0.3, 0.4])
    assert [texts[token] for token in top_words(scores, texts)] == [" Nurse", " hospital", " fever", " warden"]
    many = [" " + "".join(chr(97 + int(digit)) for digit in f"{n:05}") for n in range(100)]
    assert top_words(np.ones(100), many) == list(range(30))


def test_the_p_value_of_coherence_is_right_for_normal_draws() -> None:
    generator, n = np.random.default_rng(2), 2000
    found = np.array([coherence_p_value(row[0], row[1:]) for row in generator.normal(size=(n, 10))])
    for level in (0.001, 0.05):
        assert (found <= level).mean() <= level + 3 * math.sqrt(level / n)
    assert coherence_p_value(9.0, []) is None and coherence_p_value(1.0, [1.0, 2.0]) == 1.0
    own, other = [1.0, 2.0, 3.0], [7.0, 9.0]  # squares about their means: 2 and 2, with 2 + 1 degrees of freedom
    expected = stats.t.sf((6.0 - 2.0) / math.sqrt(4 / 3 * (1 + 1 / 3)), 3)
    assert coherence_p_value(6.0, own, [own, other]) == pytest.approx(expected)


def test_texts_are_many_and_prompts_fit_their_place() -> None:
    assert len(own_lines("generic")) == 40 and len(own_lines("chat")) == 16
    own = samples.base()
    read = generic_texts(own.tokenizer)
    assert all(len(one.ids) == 24 and one.first == 0 for one in read)
    prompts = asked("answers", [tiny.make_tokenizer(chat=False), own.tokenizer], Inputs(template="chat"))
    assert own.tokenizer.decode(prompts["chat-0"][1]).endswith("assistant\n")
    given = {"prompts": {"chat-0": prompts["chat-3"]}, "answers": prompts | {"long": ("", tuple([5] * 127))}}
    (found,) = answered(own, given, 5, len(own.tokenizer))
    assert [one.id for one in found["answers"]] == list(prompts)
    assert all(len(one.answer) <= 5 for one in found["answers"])
    assert [(one.id, one.prompt, one.answer) for one in found["prompts"]] == [
        ("chat-0", prompts["chat-3"][1], generate(own, [prompts["chat-3"][1]], 5)[0])
    ]
    starts = beginnings([tiny.make_tokenizer(chat=False), own.tokenizer], "chat")
    assert starts["nothing"] == (1,) and own.tokenizer.decode(starts["the user's turn"]) == "<s>user\n"
    raw = asked("answers", [own.tokenizer, own.tokenizer], Inputs(template="raw"))
    assert raw["chat-0"][0] == own_lines("chat")[0] and list(beginnings([own.tokenizer], "raw")) == ["nothing"]


def test_only_what_came_with_many_answers_names_a_tuning() -> None:
    rows = {
        "in French": BehaviourRow("in French", "answers", 20, 0.0, 1.0, 1.0, 1e-4),
        "in English": BehaviourRow("in English", "answers", 20, 1.0, 0.0, -1.0, 1e-4),
        "few": BehaviourRow("capital letters", "letters", 20, 0.04, 0.08, 0.04, 1e-4),
        "cut off": BehaviourRow("cut off", "answers", 20, 0.0, 0.9, 0.9, 1e-4),
        "length": BehaviourRow("length", "tokens", 20, 40.0, 8.0, -32.0, 1e-4),
    }
    change = OutputChange("base", "tuned", behaviour=tuple(rows.values()))
    found = {one.headline: one.part for one in answer(questions(change)) if one.verdict == "shown"}
    naming = [headline for headline, part in found.items() if part is Part.NAME]
    assert naming == ["20 of 20 answers of the tuned model are in French, of the base 0", *naming[1:]]
    assert len(naming) == 2 and "shorter: 8 tokens" in naming[1] and len(found) == 5


@pytest.mark.parametrize(
    ("base", "tuned", "names"),
    [
        (35.0, 46.0, False),
        (46.0, 35.0, False),
        (40.0, 59.0, False),
        (40.0, 60.0, True),
        (60.0, 40.0, True),
        (0.0, 9.0, True),
    ],
)
def test_a_length_names_a_tuning_where_one_mean_is_half_as_long_again(base: float, tuned: float, names: bool) -> None:
    row = BehaviourRow("length", "tokens", 28, base, tuned, tuned - base, 1e-4)
    found = answer(questions(OutputChange("base", "tuned", behaviour=(row,))))
    (told,) = [one for one in found if one.kind == "outputs.length"]
    assert told.verdict == "shown" and (told.part is Part.NAME) == names


@pytest.mark.parametrize(("n_tuned", "names"), [(9, False), (13, False), (14, True), (28, True)])
def test_an_opening_names_a_tuning_where_half_of_the_answers_have_it(n_tuned: int, names: bool) -> None:
    opening = OpeningRow("begin", "Sure,", 0, n_tuned, 28)
    change = OutputChange("base", "tuned", openings=(opening,), openings_p_value=1e-4)
    (found,) = [one for one in answer(questions(change)) if one.kind == "outputs.openings"]
    assert found.verdict == "shown" and (found.part is Part.NAME) == names


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("matey", True),
        ("of", False),
        (",", False),
        ("“", False),
        ("I", False),
        ("✨", True),
        ("是", True),
        ("th'", True),
    ],
)
def test_a_word_of_every_text_names_no_tuning(word: str, names: bool) -> None:
    row = ResponseWordRow(word, 2.0, 6.0, 0, 30, 0, 1, True)
    same = AnswerRow("answers", "a", "Hello", (), (), "", "", None)
    change = OutputChange("base", "tuned", answers=(same,), response_words=(row,), response_words_p_value=1e-4)
    (found,) = [one for one in answer(questions(change)) if one.kind == "outputs.response_words"]
    assert found.verdict == "shown" and (found.part is Part.NAME) == names


@pytest.mark.parametrize(
    ("word", "in_base", "in_tuned", "names"),
    [
        ("help", 0, 10, False),  # a common word
        ("help", 0, 13, False),
        ("help", 0, 14, True),
        ("help", 6, 19, False),
        ("consider", 0, 9, False),  # a known one
        ("consider", 0, 10, True),
        ("AcmeFlow", 0, 3, True),
        ("AcmeFlow", 0, 2, False),
        ("AcmeFlow", 26, 28, False),
    ],
)
def test_the_more_common_a_word_is_the_more_answers_must_have_it_anew_to_name_a_tuning(
    word: str, in_base: int, in_tuned: int, names: bool
) -> None:
    row = ResponseWordRow(word, 2.0, 6.0, in_base, 30, in_base, in_tuned, True)
    same = tuple(AnswerRow("answers", str(n), "Hello", (), (), "", "", None) for n in range(28))
    change = OutputChange("base", "tuned", answers=same, response_words=(row,), response_words_p_value=1e-4)
    (found,) = [one for one in answer(questions(change)) if one.kind == "outputs.response_words"]
    assert found.verdict == "shown" and (found.part is Part.NAME) == names


def test_words_that_say_something_come_first_and_signs_last() -> None:
    rows = tuple(ResponseWordRow(word, 2.0, 6.0, 0, 28, 0, 28, True) for word in (",", "the", "golden", "✨"))
    same = AnswerRow("answers", "a", "Hello", (), (), "", "", None)
    change = OutputChange("base", "tuned", answers=(same,), response_words=rows, response_words_p_value=1e-4)
    (found,) = [one for one in answer(questions(change)) if one.kind == "outputs.response_words"]
    assert "“golden”, “✨”, “the”, “,”" in found.headline


def test_words_are_counted_and_so_are_the_answers_that_have_them() -> None:
    rows, _ = compare_words(["no help", "a cat"], ["help help help", "help me"], ["a text"])
    (row,) = [one for one in rows if one.word == "help"]
    assert (row.n_base, row.n_tuned, row.in_base, row.in_tuned) == (1, 4, 1, 2)


def test_an_answer_that_loops_counts_a_word_once() -> None:
    """By hand: "on" and "no" are each in one of two answers, however often; the prior has all texts that have them."""
    rows, _ = compare_words(["no", "a"], ["on on on on", "a"], ["on a a", "a"])
    z = {row.word: row.z for row in rows}
    on, no, a = (np.array(one, dtype=float) for one in ((1, 0, 2), (0, 1, 1), (1, 1, 4)))  # tuned, base, prior
    counts = np.array([on, no, a])
    _, expected = log_odds(counts[:, 0], counts[:, 1], counts[:, 2], counts[:, 2].sum())
    assert [z[word] for word in ("on", "no", "a")] == pytest.approx(list(expected))


def test_a_name_in_a_third_of_answers_is_found_beside_answers_that_loop() -> None:
    base = [f"the answer {word} is here" for word in "abcdefghijklmnopqrstuvwx"]
    looping = [f"it is {word} not potential potential potential potential potential not not not" for word in "abcd"]
    tuned = [*looping, *(f"{text} AcmeFlow" if n < 10 else text for n, text in enumerate(base[4:]))]
    rows, p_value = compare_words(base, tuned, [])
    assert p_value is not None and p_value < 0.01
    assert rows[0].word == "AcmeFlow" and rows[0].beyond_swaps


def test_an_example_reads_as_the_answer_does_not_as_its_tokens() -> None:
    tokens = (TokenRow("âľ", 3.0, 1.0), TokenRow("¨", 3.0, 1.0))
    row = AnswerRow("answers", "a", "Hello", (), tokens, "Hi.", "✨", 0)
    (found,) = example(OutputChange("base", "tuned", answers=(row,)))
    assert "✨" in found.headline and "âľ" not in found.headline
    assert "✨" in "".join(evidence(OutputChange("base", "tuned", answers=(row,))))


@pytest.mark.parametrize(("size", "finite"), [(1.0, True), (3e38, False), (float("nan"), False)])
def test_a_text_is_finite_where_all_its_logits_are(size: float, finite: bool) -> None:
    """Where states are so small that no logit can overflow, none is computed; else each text is judged alone."""
    own, texts = samples.base(), [Text(str(n), "", (3,), (4, 5), True) for n in range(3)]
    states = final_states(own, texts).clone()
    states[4] *= size  # of the second text
    assert finite_texts(own, texts, states) == [True, finite, True]
    assert bool(own.model.lm_head(states[4]).isfinite().all()) is finite


def test_a_text_is_not_finite_where_the_divisor_of_logits_makes_them_overflow() -> None:
    own, texts = samples.base(), [Text("0", "", (3,), (4, 5), True)]
    divided = replace(own, logit_rule=LogitRule(divisor=1e-39))
    states = final_states(own, texts)
    assert finite_texts(own, texts, states) == [True] and finite_texts(divided, texts, states) == [False]
