"""Any words of the prompt beside its instruction: by hand, against a slow oracle, and how often nothing is claimed."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import statsmodels.api as sm

from aftertune.explainers.attribution.change import compare_maps
from aftertune.explainers.attribution.controls import Controlled, controlled, table1_controls, table2_controls
from aftertune.explainers.attribution.faithfulness import FaithfulnessCheck, RemovalCheck
from aftertune.explainers.attribution.findings import questions
from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.score import copied, novel_score
from aftertune.statistics.finding import Verdict
from aftertune.statistics.questions import answer

N_USER, N_INSTRUCTION, N_RESPONSE = 10, 4, 24
N_RUNS = 200


def random_map(generator: np.random.Generator, id: str, model: str, of_all: float, of_instruction: float) -> SalientMap:
    """Two words of a template, then ten of the user's, the first four of them the instruction.

    Each word matters for a share of the response's tokens, ``of_all``; those of the instruction for more.
    """
    shares = np.full(2 + N_USER, of_all)
    shares[2 : 2 + N_INSTRUCTION] += of_instruction
    levels = np.where(generator.random((2 + N_USER, N_RESPONSE)) < shares[:, None], 10, 0).astype(np.uint8)
    response = tuple(f"r{n}" for n in range(N_RESPONSE - 8)) + ("a", "b", "c", "d") * 2
    return SalientMap(
        id=id,
        dataset="d",
        model=model,
        text=f"{chr(97 + sum(map(ord, id)) % 26)} " * (2 + N_USER),  # another instruction in each prompt
        prompt_tokens=tuple(f"p{n}" for n in range(2 + N_USER)),
        response_tokens=response,
        offsets=np.array([(2 * n, 2 * n + 1) for n in range(2 + N_USER)], dtype=np.int64),
        is_user=np.arange(2 + N_USER) >= 2,
        is_instruction=(np.arange(2 + N_USER) >= 2) & (np.arange(2 + N_USER) < 2 + N_INSTRUCTION),
        levels=levels,
    )


def test_the_control_is_the_mean_score_of_as_many_of_the_users_words() -> None:
    one = random_map(np.random.default_rng(0), "a", "m", 0.4, 0.3)
    found, marked = controlled(one), copied(one.prompt_tokens, one.response_tokens)
    assert marked.sum() == 4 and found.copied_share == 4 / N_RESPONSE  # the second "a b c d"
    scores = []
    for chosen in combinations(np.flatnonzero(one.is_user), N_INSTRUCTION):
        words = np.isin(np.arange(one.n_prompt), chosen)
        scores.append(novel_score(one.levels, marked, words))
    assert found.control == pytest.approx(np.mean(scores)) and found.score in scores
    assert found.excess == pytest.approx(found.score - found.control)
    whole = controlled(replace(one, is_instruction=one.is_user))
    assert whole.excess == pytest.approx(0.0, abs=1e-12)
    silent = controlled(replace(one, levels=np.zeros((2 + N_USER, 0), np.uint8), response_tokens=()))
    assert silent == Controlled(0.0, 0.0, 0.0, 0)


def pairs(seed: int, of_all: float, of_instruction: float, n: int = 20) -> list[SalientMap]:
    """The words of the instruction are like any others in the base; tuning raises all, and those of the instruction."""
    generator = np.random.default_rng(seed)
    base = [random_map(generator, str(k), "old", 0.3, 0.0) for k in range(n)]
    return base + [random_map(generator, str(k), "new", 0.3 + of_all, of_instruction) for k in range(n)]


def headline(maps: list[SalientMap], **known: object) -> tuple[Verdict, str, dict]:
    change = replace(compare_maps(maps, "old", "new"), **known)
    (found,) = [one for one in answer(questions(change)) if one.kind == "attribution.density"]
    return found.verdict, found.headline, found.evidence


def test_what_any_words_do_is_not_claimed_of_instructions() -> None:
    verdict, told, evidence = headline(pairs(1, 0.35, 0.0))
    assert verdict is Verdict.SHOWN and "prompts more evenly, which is not shown of instructions" in told
    assert evidence["control"]["difference"] > 0.1 and abs(evidence["excess"]["difference"]) < 0.1
    verdict, told, evidence = headline(pairs(1, 0.0, 0.45))
    assert verdict is Verdict.SHOWN and told.endswith("uses its instructions more densely")
    assert evidence["of_instruction"] and evidence["p_value_instruction_corrected"] < 0.05


def test_of_one_instruction_in_all_prompts_nothing_is_said() -> None:
    """A change of weights moves what one sentence does a little, in all prompts that hold it."""
    maps = pairs(1, 0.0, 0.45)
    assert table2_controls(maps, "old", "new")[0].n_instructions == len({m.text for m in maps}) >= 6
    same = [replace(m, text=maps[0].text) for m in maps]
    verdict, told, evidence = headline(same)
    assert evidence["n_instructions"] == 1 and not evidence["of_instruction"]
    assert verdict is Verdict.SHOWN and told.endswith("which is not shown of instructions in particular")


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """No interval is looked at in many runs."""
    monkeypatch.setattr("aftertune.statistics.effects.bootstrap_interval", lambda *_: (0.0, 1.0))


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("of_all", [0.0, 0.2])
def test_of_200_runs_without_a_change_of_instructions_few_claim_one(of_all: float) -> None:
    claims = sum(headline(pairs(seed, of_all, 0.0, n=12))[2]["of_instruction"] for seed in range(N_RUNS))
    assert claims <= 0.05 * N_RUNS


def test_a_difference_that_goes_with_copying_is_told_as_that() -> None:
    maps = pairs(1, 0.0, 0.45)
    (row,) = table2_controls(maps, "old", "new")
    told = {
        interval: headline(maps, table2_controls=(replace(row, adjusted=0.1, adjusted_interval=interval),))
        for interval in ((-0.1, 0.3), (0.05, 0.15))
    }
    verdict, text, evidence = told[-0.1, 0.3]
    assert verdict is Verdict.SHOWN and text.endswith("which goes with how much it copies")
    assert not evidence["of_instruction"] and told[0.05, 0.15][1].endswith("uses its instructions more densely")


def test_maps_that_predict_nothing_claim_nothing() -> None:
    poor = FaithfulnessCheck(4, 0.02, 0.1, 0.9, 1.0, 1.0, 0.1, {})
    maps = pairs(1, 0.0, 0.45)
    verdict, told, _ = headline(maps, faithfulness=poor)
    assert verdict is Verdict.CANNOT_TELL and "can't be told from these maps" in told
    assert headline(maps, faithfulness=replace(poor, spearman_mean=0.46))[0] is Verdict.SHOWN
    disagree = RemovalCheck(4, 0.1, 0.1, 0.2, "zeroed", {})
    assert headline(maps, agreement=disagree, settings={"method": "removal"})[0] is Verdict.CANNOT_TELL
    assert headline(maps, agreement=disagree, settings={"method": "gradient"})[0] is Verdict.SHOWN


def test_the_adjusted_difference_is_that_of_a_regression_on_the_copied_share() -> None:
    generator, maps = np.random.default_rng(4), pairs(2, 0.2, 0.1, n=24)
    for place in range(24, 48, 2):
        copies = maps[place].prompt_tokens[:8] if generator.random() < 0.7 else maps[place].prompt_tokens[:5]
        maps[place] = replace(maps[place], response_tokens=(*copies, *maps[place].response_tokens[len(copies) :]))
    (row,) = table2_controls(maps, "old", "new")
    known = [controlled(one) for one in maps]
    score = np.array([new.score - old.score for old, new in zip(known[:24], known[24:], strict=True)])
    share = np.array([new.copied_share - old.copied_share for old, new in zip(known[:24], known[24:], strict=True)])
    fitted = sm.OLS(score, sm.add_constant(share)).fit(cov_type="HC3")
    assert row.adjusted == pytest.approx(fitted.params[0]) and row.score.difference == pytest.approx(score.mean())
    np.testing.assert_allclose(row.adjusted_interval, fitted.conf_int()[0])
    assert table2_controls(maps[:5] + maps[24:29], "old", "new")[0].adjusted is None


def test_ratings_beside_any_words() -> None:
    generator = np.random.default_rng(3)
    maps = [
        replace(random_map(generator, str(k), "m", 0.3 + 0.2 * (k % 2), 0.1), helpfulness=1 + 3 * (k % 2))
        for k in range(60)
    ]
    (row,) = table1_controls(maps, {("d", str(k), "m"): k % 3 == 0 for k in range(60)})
    known = [controlled(one) for one in maps]
    wins = [
        (known[i].excess > known[j].excess) + 0.5 * (known[i].excess == known[j].excess)
        for i in range(1, 60, 2)
        for j in range(0, 60, 2)
    ]
    assert row.auroc_excess == pytest.approx(np.mean(wins)) and row.auroc_score > 0.6 and row.auroc_control > 0.8
    columns = np.column_stack([np.ones(60), np.arange(60) % 2, np.arange(60) % 3 == 0])
    fitted = sm.OLS([one.score for one in known], columns.astype(float)).fit(cov_type="HC3")
    assert row.adjusted == pytest.approx(fitted.params[1])  # length and copies never vary here
    np.testing.assert_allclose(row.adjusted_interval, fitted.conf_int()[1])
