"""The parts of a pair of models in a run -> what was found between their outputs.  No torch."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.outputs import result
from aftertune.explainers.outputs.behaviour import Answer, compare_behaviour
from aftertune.explainers.outputs.change import (
    AnswerRow,
    FirstTokenRow,
    NoiseRow,
    OutputChange,
    RisingWordRow,
    SampleRow,
    TokenRow,
    WordRow,
)
from aftertune.explainers.outputs.coherence import coherence_p_value
from aftertune.explainers.outputs.instruction.effect import FourAnswers, compare_instructed
from aftertune.explainers.outputs.openings import compare_openings
from aftertune.explainers.outputs.response_words import compare_words
from aftertune.explainers.outputs.result import (
    ANSWERED,
    CONTEXTS,
    GENERIC,
    MOST_PROMPTS,
    PROMPTS,
    UNINSTRUCTED,
    OutputParts,
    answers_name,
    sampled_name,
)
from aftertune.explainers.outputs.sampled import SampledRow, compare_sampled
from aftertune.explainers.outputs.words import (
    DIRECTIONS,
    Array,
    scores,
    total_variation,
)
from aftertune.runs.records import identity_of, record_of
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.statistics.noise import noise_p_value, rank_p_value

MOST_LISTED = 100
COHERENCE = "coherence_"
Draws = Sequence[dict[str, float]]


def compare_outputs(run: RunFolder, pair: Pair, names: tuple[str, str]) -> OutputChange:
    """The outputs of two models of a run, under the ``names`` that the report shows.

    Raises `RunError` if they are not compared yet, or a part is missing or damaged.
    """
    parts = OutputParts(run, pair)
    shown: result.Shown = {"sampled_answers": 0, **record_of(run, result.SHOWN, result.Shown)}
    settings = {**identity_of(run, result.SETTINGS, result.Asked), **shown}
    words, rising_words, noise = _words(parts, int(shown["noise_draws"]))
    answers = _Answers.of(parts)
    response_words, p_value = compare_words(
        answers.base_texts, answers.tuned_texts, parts.frame(f"{GENERIC}-texts")["text"].to_list()
    )
    instructed, instructed_p_value = compare_instructed(_with_and_without(parts, answers))
    openings, openings_p_value = compare_openings(answers.base_texts, answers.tuned_texts)
    return OutputChange(
        *names,
        words=tuple(words),
        rising_words=tuple(rising_words),
        noise=tuple(noise),
        response_words=tuple(response_words),
        response_words_p_value=p_value,
        openings=tuple(openings),
        openings_p_value=openings_p_value,
        first_tokens=tuple(_first_tokens(answers.rows)),
        behaviour=tuple(compare_behaviour(*answers.judged)),
        sampled=tuple(_sampled(parts, shown["sampled_answers"], answers)),
        instructed=tuple(instructed),
        instructed_p_value=instructed_p_value,
        answers=tuple(answers.rows),
        n_left_out=_n_left_out(parts, settings),
        added_share=_added_share(parts),
        samples=tuple(_samples(parts.frame(result.SAMPLES))),
        settings=settings,
    )


def _n_left_out(parts: OutputParts, settings: Mapping[str, Any]) -> int:
    """How many of the user's prompts that were to be read leave no room for an answer, or overflow."""
    read = parts.frame(f"{PROMPTS}-texts").height
    return min(int(settings["prompts"]["n"]), MOST_PROMPTS) - read if read else 0


def _added_share(parts: OutputParts) -> float | None:
    """The largest share of its probability that the tuned model gives to tokens that only it has, of any context."""
    if not parts.has(result.ADDED):
        return None
    found: Any = parts.frame(result.ADDED).filter(pl.col("side") == "tuned")["share"].max()
    return None if found is None else float(found)


def _sampled(parts: OutputParts, n: int, answers: "_Answers") -> list[SampledRow]:
    """The traits of ``n`` sampled answers of each model to each prompt that has greedy answers of both."""
    pairs: list[tuple[Answer, Answer]] = []
    asked = {(one.context, one.id) for one in answers.rows}
    for number in range(n):
        names = [sampled_name(number, side) for side in result.SIDES]
        both = _answered_by_both(parts, names, "context", "id")
        pairs += [sides for row, sides in both if (row["context"], row["id"]) in asked]
    return compare_sampled([one for one, _ in pairs], [one for _, one in pairs], answers.judged[0])


def _with_and_without(parts: OutputParts, answers: "_Answers") -> list[FourAnswers]:
    """Answers to the user's prompts that both models answered with and without their marked instruction."""
    names = [answers_name(UNINSTRUCTED, side) for side in result.SIDES]
    if not all(map(parts.has, names)):
        return []
    bare = {row["id"]: (row["instruction"], *sides) for row, sides in _answered_by_both(parts, names, "id")}
    return [
        FourAnswers(bare[row.id][0], own, bare[row.id][1], other, bare[row.id][2])
        for row, own, other in zip(answers.rows, *answers.judged, strict=True)
        if row.context == PROMPTS and row.id in bare
    ]


def _words(parts: OutputParts, n_draws: int) -> tuple[list[WordRow], list[RisingWordRow], list[NoiseRow]]:
    texts, words, rising, noise = parts.texts_of_tokens, list[WordRow](), list[RisingWordRow](), list[NoiseRow]()
    every = parts.draws(n_draws)
    together = parts.frame(result.COHERENCE) if every.height else pl.DataFrame(schema=result.BELONGING)
    groups = [
        one[_column(COHERENCE, direction)].to_list()
        for one in every.partition_by("context", maintain_order=True)
        for direction in DIRECTIONS
    ]
    for context in CONTEXTS:
        if not parts.has(f"{context}-base"):
            continue
        base, tuned = (parts.probabilities(context, side) for side in ("base", "tuned"))
        means = base.mean(0), tuned.mean(0)
        draws = every.filter(pl.col("context") == context).to_dicts()
        for direction in DIRECTIONS:
            found = scores(base, tuned, direction)
            own = together.filter(pl.col("context") == context, pl.col("direction") == direction)
            test = _noise_row(
                context, direction, found, total_variation(base, tuned), draws, own["cosine"].to_list(), groups
            )
            noise.append(test)
            words += _word_rows(test, found, *means, texts)
            rising += _rising_rows(own, *means, texts)
    return words, rising, noise


def _noise_row(
    context: str,
    direction: str,
    found: Array,
    moved: float,
    draws: Draws,
    cosines: Sequence[float],
    groups: Sequence[Sequence[float]],
) -> NoiseRow:
    own = [draw[_column("", direction)] for draw in draws]
    limit, largest = max(own, default=None), float(found.max())
    together = [draw[_column(COHERENCE, direction)] for draw in draws]
    coherent = float(np.mean(cosines)) if len(cosines) > 1 else 0.0 if draws else None
    return NoiseRow(
        context=context,
        direction=direction,
        largest=largest,
        n_beyond=None if limit is None else int((found > limit).sum()),
        total_variation=moved,
        noise_total_variation=float(np.mean([draw["total_variation"] for draw in draws])) if draws else None,
        scale=draws[0]["scale"] if draws else None,
        n_draws=len(draws),
        limit=limit,
        p_value=noise_p_value(largest, own),
        p_value_rank=rank_p_value(largest, own),
        coherence=coherent,
        noise_coherence=float(np.mean(together)) if together else None,
        coherence_limit=max(together, default=None),
        p_value_coherence=None if coherent is None else coherence_p_value(coherent, together, groups),
    )


def _column(prefix: str, direction: str) -> str:
    """The column of a direction in the parts: ``likelier``, ``coherence_less_likely``."""
    return f"{prefix}{direction.replace(' ', '_')}"


def _word_rows(test: NoiseRow, found: Array, base: Array, tuned: Array, texts: Sequence[str]) -> Iterator[WordRow]:
    """The tokens of the largest scores, and all beyond noise."""
    listed = max(MOST_LISTED, test.n_beyond or 0)
    for token in np.argsort(-found, kind="stable")[:listed].tolist():
        if found[token] > 0:
            numbers = float(found[token]), float(base[token]), float(tuned[token]), test.limit
            beyond = None if test.limit is None else bool(found[token] > test.limit)
            yield WordRow(test.context, test.direction, token, texts[token], *numbers, beyond)


def _rising_rows(own: pl.DataFrame, base: Array, tuned: Array, texts: Sequence[str]) -> Iterator[RisingWordRow]:
    """The words whose coherence is told, the most typical first."""
    for context, direction, token, rise, cosine in own.iter_rows():
        numbers = rise, cosine, float(base[token]), float(tuned[token])
        yield RisingWordRow(context, direction, token, texts[token], *numbers)


class _Answers:
    """Both models' answers to the prompts that both answered."""

    def __init__(self, rows: list[AnswerRow], pairs: list[tuple[Answer, Answer]]) -> None:
        self.rows = rows
        self.judged = [one for one, _ in pairs], [one for _, one in pairs]
        self.base_texts, self.tuned_texts = ([one.text for one in own] for own in self.judged)

    @classmethod
    def of(cls, parts: OutputParts) -> "_Answers":
        rows: list[AnswerRow] = []
        pairs: list[tuple[Answer, Answer]] = []
        for context in ANSWERED:
            names = [answers_name(context, side) for side in result.SIDES]
            tokens = _tokens(parts.frame(f"{context}-positions"))
            for row, sides in _answered_by_both(parts, names, "id"):
                own, other = (tuple(tokens.get((row["id"], side), ())) for side in ("base", "tuned"))
                parts_at = _parts_at(sides[0].ids, sides[1].ids)
                read = sides[0].text, sides[1].text
                rows.append(AnswerRow(context, row["id"], row["shown"], own, other, *read, parts_at))
                pairs.append(sides)
        return cls(rows, pairs)


def _answered_by_both(
    parts: OutputParts, names: Sequence[str], *on: str
) -> Iterator[tuple[dict[str, Any], tuple[Answer, Answer]]]:
    """The rows of the parts of both models' answers that have the same in the columns ``on``, and both answers."""
    base, tuned = map(parts.frame, names)
    for row in base.join(tuned, on=on, suffix="_tuned", maintain_order="left").iter_rows(named=True):
        yield row, (_judged(row, ""), _judged(row, "_tuned"))


def _judged(row: dict[str, object], side: str) -> Answer:
    prompt, answer, text, ended = (row[f"{name}{side}"] for name in ("prompt", "answer", "text", "ended"))
    return Answer(tuple(prompt), tuple(answer), str(text), bool(ended), str(row["shown"]))  # type: ignore[arg-type]


def _parts_at(base: Sequence[int], tuned: Sequence[int]) -> int | None:
    if base == tuned:
        return None
    differing = (n for n, (one, other) in enumerate(zip(base, tuned, strict=False)) if one != other)
    return next(differing, min(len(base), len(tuned)))


def _tokens(positions: pl.DataFrame) -> dict[tuple[str, str], list[TokenRow]]:
    found: dict[tuple[str, str], list[TokenRow]] = {}
    for row in positions.iter_rows(named=True):
        ratio = row["log_p_tuned"] - row["log_p_base"]
        found.setdefault((row["id"], row["side"]), []).append(TokenRow(row["token"], ratio, row["kl"]))
    return found


def _first_tokens(answers: Sequence[AnswerRow]) -> list[FirstTokenRow]:
    """What the answers begin with, the largest difference first; an empty answer begins with its end."""
    base, tuned = (Counter(own[0].token if own else "(end)" for own in sides) for sides in _sides(answers))
    rows = [FirstTokenRow(one, base[one], tuned[one], tuned[one] - base[one]) for one in sorted(base | tuned)]
    return sorted(rows, key=lambda row: (-abs(row.difference), -row.n_tuned, row.text))


def _sides(answers: Sequence[AnswerRow]) -> tuple[list[tuple[TokenRow, ...]], list[tuple[TokenRow, ...]]]:
    return [one.base for one in answers], [one.tuned for one in answers]


def _samples(frame: pl.DataFrame) -> list[SampleRow]:
    rows = [
        SampleRow(beginning, text, n, after - before, before, after)
        for beginning, text, n, before, after in frame.iter_rows()
    ]
    return sorted(rows, key=lambda row: -row.gap)
