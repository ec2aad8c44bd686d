"""Which prompts should be read first, and why each?

1. What gives a reason is the response of the tuned model: it is empty, one word, looping, copied (`score`), cut off at
   the most tokens that were asked for, or has a low density of use.
2. Low density of use: the score without copied tokens is below half of what is usual, the median over the same model's
   answers to the other prompts of the data set, of which there are five or more. An answer has five tokens or more and
   is not mostly copied; only answers can have this reason.
3. A person's rating counts more: a response that was rated 2 to 4 is not listed, one that was rated 1 is.
4. The base's responses are looked at by the same rules and counted beside: what they show too, tuning did not bring. A
   prompt with a reason that the base's response does not give stands before the others.

Described, not tested: a reason says where to look, not what is wrong. How often each was right is known of one model
(`HITS`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from aftertune.explainers.attribution.density_comparison import FOLLOWED, LEAST_RESPONSE, UNFOLLOWED
from aftertune.explainers.attribution.prompt_pairs import pair_maps, response_texts
from aftertune.explainers.attribution.result import SalientMap
from aftertune.report.chart_style import shorten
from aftertune.runs.readable import visible
from aftertune.statistics.finding import Finding, Link, Verdict

if TYPE_CHECKING:
    from aftertune.explainers.attribution.change import AttributionChange, InstanceRow

LISTED = 20
LEAST_OTHERS = 5
USUAL_SHARE = 0.5
LONGEST_RESPONSE = 150
RATED, LOW = "rated as not following", "low density of use"
# Of Vicuna-7B's rated responses that give each reason: how many had been rated as not following, and how many they are.
HITS = {LOW: (8, 20), "copied": (41, 101), "looping": (28, 66), "cut off": (6, 17), "one word": (2, 14)}
OF_ALL = (63, 330)
COMMAND = "python studies/read_first/hits.py MAPS PROMPTS"


@dataclass(frozen=True)
class Answer:
    """What one model answered to one prompt; ``usual`` is the median score of its answers to other prompts."""

    dataset: str
    id: str
    n_response: int
    is_copied: bool
    is_looping: bool
    is_one_word: bool
    is_cut_off: bool
    score: float
    rating: int | None
    usual: float | None = None

    @property
    def reads_as_answer(self) -> bool:
        """Whether it is long enough to be read as an answer, and not mostly copied."""
        return self.n_response >= LEAST_RESPONSE and not self.is_copied

    @property
    def is_low(self) -> bool:
        """Whether it is an answer that draws on the instruction less than half as densely as is usual."""
        return self.reads_as_answer and self.usual is not None and self.score < USUAL_SHARE * self.usual

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it should be read first, in plain words; none where a person found that it follows."""
        if self.rating in FOLLOWED:
            return ()
        return tuple(name for name, has in REASONS.items() if has(self))


REASONS: Mapping[str, Callable[[Answer], bool]] = {
    RATED: lambda one: one.rating in UNFOLLOWED,
    "empty": lambda one: not one.n_response,
    "one word": lambda one: one.is_one_word,
    "looping": lambda one: one.is_looping,
    "copied": lambda one: one.is_copied,
    "cut off": lambda one: one.is_cut_off,
    LOW: lambda one: one.is_low,
}


@dataclass(frozen=True)
class PromptToRead:
    """A prompt to read first: its ``number`` in the list of prompts, the reasons under both models, both responses.

    Reasons are joined by a comma, "" where there is none; a response is shortened, "" where there is no map of it.
    """

    number: int
    id: str
    dataset: str
    reasons_tuned: str
    reasons_base: str
    response_tuned: str
    response_base: str


def prompts_to_read(change: AttributionChange) -> Iterator[Finding]:
    """The prompts to read first, if there are any, with how many responses of each model give each reason."""
    rows = rows_to_read(change)
    if not rows:
        return
    pair = {role: answers_of(change.instances, role) for role in ("base", "tuned")}
    counts = {role: Counter(reason for one in own for reason in one.reasons) for role, own in pair.items()}
    n_same = sum(_is_known(row) for row in rows)
    evidence = {
        **{"n": len(rows), "n_prompts": len(pair["tuned"]), "n_base": len(pair["base"]), "n_in_base_too": n_same},
        **{role: dict(own) for role, own in counts.items()},
    }
    told = [name for name in REASONS if counts["base"][name] or counts["tuned"][name]]
    reasons = "; ".join(
        f"{name} {counts['tuned'][name]} (the base: {counts['base'][name]} of {len(pair['base'])})" for name in told
    )
    same = f" {n_same} of them have the same reasons under {change.base}: tuning did not bring those." if n_same else ""
    sentence = (
        f"Reasons, by the responses of {change.tuned}: {reasons}.{same} {_hit_rates(told)}A reason says where to look, "
        "not what is wrong: read both responses beside the prompt."
    )
    links = tuple(Link(f"{visible(row.id)} ({row.reasons_tuned})", f"prompt-{row.number}") for row in rows[:LISTED])
    headline = f"Prompts to read first: {len(rows)} of {len(pair['tuned'])}"
    yield Finding("attribution.read_first", headline, sentence, Verdict.NOT_TESTED, evidence, links)


def rows_to_read(change: AttributionChange) -> list[PromptToRead]:
    """The prompts to read first: those with a reason that the base's response does not give, then the others."""
    base, tuned = (
        {(one.dataset, one.id): one.reasons for one in answers_of(change.instances, role)} for role in ("base", "tuned")
    )
    found = []
    for pair in pair_maps(change):
        key = pair.row.dataset, pair.row.id
        if tuned.get(key):
            reasons = ", ".join(tuned[key]), ", ".join(base.get(key, ()))
            found.append(PromptToRead(pair.number, key[1], key[0], *reasons, _shown(pair.tuned), _shown(pair.base)))
    return sorted(found, key=_is_known)


def answers_of(rows: Sequence[InstanceRow], role: str) -> list[Answer]:
    """What the model of that role, "base" or "tuned", answered to each prompt that it has a map of."""
    found = [_answer(row, role) for row in rows if getattr(row, f"n_response_{role}") is not None]
    return [replace(one, usual=_usual(one, found)) for one in found]


def _answer(row: InstanceRow, role: str) -> Answer:
    return Answer(
        dataset=row.dataset,
        id=row.id,
        n_response=getattr(row, f"n_response_{role}"),
        is_copied=bool(getattr(row, f"repetitive_{role}")),
        is_looping=bool(getattr(row, f"looping_{role}")),
        is_one_word=bool(getattr(row, f"one_word_{role}")),
        is_cut_off=bool(getattr(row, f"cut_off_{role}")),
        score=getattr(row, f"score_novel_{role}"),
        rating=getattr(row, f"helpfulness_{role}"),
    )


def _usual(own: Answer, answers: Sequence[Answer]) -> float | None:
    others = [one.score for one in answers if one.reads_as_answer and one.dataset == own.dataset and one is not own]
    return median(others) if len(others) >= LEAST_OTHERS else None


def _is_known(row: PromptToRead) -> bool:
    """Whether the base's response gives all reasons that the tuned model's gives."""
    return set(row.reasons_tuned.split(", ")) <= set(row.reasons_base.split(", "))


def _shown(salient: SalientMap | None) -> str:
    return "" if salient is None else shorten(" ".join("".join(response_texts(salient)).split()), LONGEST_RESPONSE)


def _hit_rates(told: Sequence[str]) -> str:
    """How often such reasons were right where people rated; nothing where none of these was looked at."""
    known = [f"{name} {HITS[name][0]} of {HITS[name][1]}" for name in told if name in HITS]
    if not known:
        return ""
    return (
        "How often a reason was right is known of Vicuna-7B alone (the paper's maps). Rated as not following were: "
        f"{'; '.join(known)}; of all its rated responses {OF_ALL[0]} of {OF_ALL[1]} ({COMMAND}). "
    )
