"""What did people say of a run, and what do several of them come to?

1. A rater gives a response its helpfulness, 1 to 4 (appendix B.1), and marks characters of the prompt as instruction.
2. Several ratings of one response come to their median; between two levels, to the lower one: where raters are split
   between "not followed" (1) and "followed", nobody should count on the response.
3. A character is instruction if at least half of those who marked this prompt marked it. Who marked nothing in a
   prompt has no vote there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aftertune.prompts.instruction import MarkedSpan
from aftertune.prompts.prompt import Prompt

LEVELS = (1, 2, 3, 4)

Key = tuple[str, str]
Judged = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RaterLabels:
    """One rater's ``ratings`` by (prompt's id, role), and ``spans`` (start, end, message) by prompt's id."""

    ratings: Mapping[Key, int] = field(default_factory=dict)
    spans: Mapping[str, tuple[MarkedSpan, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Labels:
    """The labels of all raters of a run, by rater's name."""

    raters: Mapping[str, RaterLabels]

    def prompts(self) -> set[str]:
        """The ids of the prompts that somebody labelled."""
        return {id for one in self.raters.values() for id in (*one.spans, *(id for id, _ in one.ratings))}

    def rating(self, id: str, role: str) -> int | None:
        """The rating of the response of ``role``, rule 2; None where nobody rated it."""
        given = sorted(one.ratings[id, role] for one in self.raters.values() if (id, role) in one.ratings)
        return given[(len(given) - 1) // 2] if given else None

    def spans(self, id: str) -> tuple[MarkedSpan, ...] | None:
        """The instruction of a prompt, rule 3; None where nobody marked it."""
        given = [one.spans[id] for one in self.raters.values() if id in one.spans]
        if not given:
            return None
        messages = sorted({message for spans in given for _, _, message in spans})
        return tuple((start, end, message) for message in messages for start, end in _majority(_marked(given, message)))

    def judged_ratings(self, roles: Collection[str]) -> list[Judged]:
        """For each prompt the ratings of its responses by ``roles`` (n_responses, n_raters), NaN for a missing one."""
        rated = sorted({key for one in self.raters.values() for key in one.ratings if key[1] in roles})
        return [
            np.array([[one.ratings.get(key, np.nan) for one in self.raters.values()] for key in rated if key[0] == id])
            for id in dict.fromkeys(id for id, _ in rated)
        ]

    def judged_characters(self, prompts: Iterable[Prompt]) -> list[Judged]:
        """For each prompt that someone marked, what raters made of the characters of what the user said.

        Arrays (n_characters, n_raters): 1 marked, 0 not, NaN for a rater who marked nothing there; white space is
        left out.
        """
        return [self._characters(prompt) for prompt in prompts if self.spans(prompt.id) is not None]

    def _characters(self, prompt: Prompt) -> Judged:
        given = [one.spans.get(prompt.id) for one in self.raters.values()]
        said = [(index, one.content) for index, one in enumerate(prompt.messages) if one.role == "user"]
        return np.concatenate([np.array([_said(spans, index, text) for spans in given]).T for index, text in said])


def _said(spans: Sequence[MarkedSpan] | None, message: int, text: str) -> Judged:
    seen = np.array([not character.isspace() for character in text])
    if spans is None:
        return np.full(int(seen.sum()), np.nan)
    marked = _mark(spans, message, len(text))
    return np.asarray(marked[seen], dtype=np.float64)


def _marked(given: Sequence[Sequence[MarkedSpan]], message: int) -> npt.NDArray[np.bool_]:
    """Which characters of a message each rater marked (n_raters, n_characters)."""
    length = max(end for spans in given for _, end, at in spans if at == message)
    return np.array([_mark(spans, message, length) for spans in given])


def _mark(spans: Iterable[MarkedSpan], message: int, length: int) -> npt.NDArray[np.bool_]:
    marked = np.zeros(length, dtype=np.bool_)
    for start, end, at in spans:
        if at == message:
            marked[start:end] = True
    return marked


def _majority(marked: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The ranges of characters that at least half of the raters marked."""
    chosen = 2 * marked.sum(axis=0) >= len(marked)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
