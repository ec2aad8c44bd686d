"""Which prompts should be read first: those that the tuned model only pretends to follow, and those that it ignores?

1. A response reads as an answer if it has five tokens or more and is not mostly copied (`repetition`).
2. It hardly uses its instruction if its score without copied tokens is below half of what is usual: the median over
   the same model's answers to the other prompts of the data set, of which there are five or more.
3. It follows if a person rated it 2 to 4, and does not if rated 1. Without a rating, it does not follow if it is empty
   or hardly uses its instruction; one of fewer than five tokens is given the benefit of the doubt.
4. What does not follow and reads as an answer, pretends; what does not follow and is empty, a word or mostly copied,
   ignores.
5. Beside it stands how many of these the base does the same to: there tuning is not the cause.

Described, not tested: the rule says where to look, not what is wrong. In the paper's released responses of Vicuna 20
read as an answer and score that low; 8 of them were rated 1, as against 22 of all 218 that read as an answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from aftertune.explainers.attribution.change import AttributionChange, InstanceRow
from aftertune.explainers.attribution.density_comparison import FOLLOWED, LEAST_RESPONSE
from aftertune.runs.readable import visible
from aftertune.statistics.finding import Finding, Link, Verdict

LISTED = 20
LEAST_OTHERS = 5
USUAL_SHARE = 0.5
TO_DO = {
    "pretends": (
        "Read them beside their prompts. Where they are wrong, add examples of such tasks to the tuning data, each "
        "worded in several ways, so that the wording has to be read."
    ),
    "ignores": (
        "Where many are empty, check the chat template and the end-of-sequence token, which may differ from those in "
        "tuning; where they repeat the prompt, look for examples in the tuning data that do."
    ),
}
HEADLINES = {"pretends": "seems only to pretend to follow", "ignores": "ignores"}
BEHAVIOUR = {
    "pretends": "They read as answers, but were rated as not following or hardly use the instruction",
    "ignores": "They are empty, or mostly copy and were rated as not following or hardly use the instruction",
}
HARDLY = "without copied words, a score below half of the median of the model's answers to the other prompts"
Key = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """What one model answered to one prompt; ``usual`` is the median score of its answers to other prompts."""

    dataset: str
    id: str
    n_response: int
    is_copied: bool
    score: float
    rating: int | None
    usual: float | None = None

    @property
    def reads_as_answer(self) -> bool:
        """Whether it is long enough to be read as an answer, and not mostly copied."""
        return self.n_response >= LEAST_RESPONSE and not self.is_copied

    @property
    def follows(self) -> bool:
        """As a person rated it; without a rating, whether it draws on the instruction about as much as is usual."""
        if self.rating is not None:
            return self.rating in FOLLOWED
        if self.n_response < LEAST_RESPONSE:
            return self.n_response > 0  # of a word or two a score says nothing
        return self.usual is None or self.score >= USUAL_SHARE * self.usual


def prompts_to_read(change: AttributionChange) -> Iterator[Finding]:
    """The prompts that the tuned model pretends to follow, and those that it ignores, each if there are any."""
    base, tuned = (answers_of(change.instances, role) for role in ("base", "tuned"))
    for what, reads in (("pretends", True), ("ignores", False)):
        found, before = (_keys(answers, reads) for answers in (tuned, base))
        if found:
            yield _finding(what, found, before, change, len(tuned))


def answers_of(rows: Sequence[InstanceRow], role: str) -> list[Answer]:
    """What the model of that role, "base" or "tuned", answered to each prompt that it has a map of."""
    found = [_answer(row, role) for row in rows if getattr(row, f"n_response_{role}") is not None]
    return [replace(one, usual=_usual(one, found)) for one in found]


def _answer(row: InstanceRow, role: str) -> Answer:
    names = ("n_response", "repetitive", "score_novel", "helpfulness")
    return Answer(row.dataset, row.id, *(getattr(row, f"{name}_{role}") for name in names))


def _usual(own: Answer, answers: Sequence[Answer]) -> float | None:
    others = [one.score for one in answers if one.reads_as_answer and one.dataset == own.dataset and one is not own]
    return median(others) if len(others) >= LEAST_OTHERS else None


def _keys(answers: Sequence[Answer], reads: bool) -> dict[Key, Answer]:
    """The answers that do not follow, and read as an answer or do not, by data set and id."""
    return {(one.dataset, one.id): one for one in answers if one.reads_as_answer == reads and not one.follows}


def _finding(
    what: str, found: Mapping[Key, Answer], before: Mapping[Key, Answer], change: AttributionChange, n_prompts: int
) -> Finding:
    n_rated, n_before = sum(one.rating is not None for one in found.values()), len(found.keys() & before.keys())
    rated = f" People rated {n_rated} of them 1, not following." if n_rated else ""
    sentence = (
        f"{BEHAVIOUR[what]} ({HARDLY}).{rated} {_of_base(change.base, len(before), n_before)} {TO_DO[what]} The rule "
        "says where to look, not what is wrong."
    )
    evidence = {"what": what, "n": len(found), "n_prompts": n_prompts, "n_rated": n_rated}
    evidence |= {"n_in_base_too": n_before, "n_of_base": len(before)}
    headline = f"{change.tuned} {HEADLINES[what]} {len(found)} of {n_prompts} prompts"
    links = _links(list(found)[:LISTED], change)
    return Finding("attribution.read_first", headline, sentence, Verdict.NOT_TESTED, evidence, links)


def _links(keys: Sequence[Key], change: AttributionChange) -> tuple[Link, ...]:
    """Where the page lists these prompts: in the order of the instances."""
    numbers = {(row.dataset, row.id): number for number, row in enumerate(change.instances)}
    return tuple(Link(visible(key[1]), f"prompt-{numbers[key]}") for key in keys)


def _of_base(base: str, n_all: int, n_same: int) -> str:
    """What the base does by the same rule, which is the control: what it does too, tuning did not bring."""
    if not n_same:
        return f"Tuning brought them: by the same rule {base} does so for {n_all} prompts, none of these."
    return f"Tuning did not bring all of them: by the same rule {base} does so for {n_all} prompts, {n_same} of these."
