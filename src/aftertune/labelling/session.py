"""One rater at work on one run: what the page asks for and what it says, as plain data.

Nothing is kept here: every answer is read from the run and the rater's file, so that what the page shows is what the
disk has. The models' names never leave this module: the page knows responses by their place only.

What is there to rate in a run?

1. The prompts, with the messages that the run keeps of them.
2. Of each prompt the responses of all models, in an order that hides who wrote which: a different one for every
   prompt and rater, the same one whenever they come back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from aftertune.errors import AnnotationError, PromptError, RunError
from aftertune.labelling.labels import RaterLabels
from aftertune.labelling.store import append, labels_of, read_actions, read_rater
from aftertune.prompts.instruction import locate_spans
from aftertune.prompts.prompt import Prompt, SavedPrompts
from aftertune.runs.readable import in_place, visible
from aftertune.runs.records import record_of
from aftertune.runs.roles import roles_of
from aftertune.runs.run import RunFolder


class Asked(BaseModel):
    """What a page sends; nothing is converted, nothing else is taken."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Rated(Asked):
    """A rating of the response at place ``answer``, or None to take it back."""

    answer: Annotated[int, Field(ge=0)]
    helpfulness: Annotated[int, Field(ge=1, le=4)] | None


class Marked(Asked):
    """The instruction: all its spans [start, end, message], in characters."""

    spans: list[Annotated[list[int], Field(min_length=3, max_length=3)]]


class Undone(Asked):
    """Take back the last of so many actions; asked again after it was done, nothing more is taken back."""

    n_actions: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Session:
    """The prompts of a run, the roles that answered them, and who rates."""

    run: RunFolder
    rater: str
    roles: tuple[str, ...]
    prompts: Sequence[Prompt]

    def overview(self) -> dict[str, Any]:
        """Who rates, and for each prompt what is done."""
        held = read_actions(self.run, self.rater)
        labels = labels_of(held)
        return {
            "rater": self.rater,
            "n_actions": len(held),
            "prompts": [self._state(prompt, labels) for prompt in self.prompts],
        }

    def task(self, number: int) -> dict[str, Any]:
        """All that is shown of one prompt; control and direction signs are made visible."""
        prompt = self.prompts[number]
        return {
            "messages": [{"role": one.role, "text": in_place(one.content)} for one in prompt.messages],
            "answers": [visible(read_answer(self.run, role, prompt.id)) for role in self._order(prompt)],
            "given": [list(span) for span in prompt.spans or ()],
        }

    def rate(self, number: int, asked: Rated) -> dict[str, Any]:
        """Keep a rating; raises `AnnotationError` for a response that is not there, `RunError` if it can't be kept."""
        prompt = self.prompts[number]
        if asked.answer >= len(self.roles):
            raise AnnotationError(f"There is no response {asked.answer}. A prompt has {len(self.roles)}, from 0.")
        role = self._order(prompt)[asked.answer]
        if read_rater(self.run, self.rater).ratings.get((prompt.id, role)) != asked.helpfulness:
            self._keep({"prompt": prompt.id, "role": role, "helpfulness": asked.helpfulness})
        return self._after(number)

    def mark(self, number: int, asked: Marked) -> dict[str, Any]:
        """Keep the spans of a prompt; raises `AnnotationError` for one that is not in it, or is white space only."""
        prompt, spans = self.prompts[number], tuple((a, b, c) for a, b, c in asked.spans)
        try:
            located = locate_spans(spans, prompt.messages)
        except PromptError as error:
            raise AnnotationError(f"{prompt.id}: {error}") from None
        if any(not prompt.messages[at].content[start:end].strip() for start, end, at in located):
            raise AnnotationError(f"{prompt.id}: a span holds white space only. Mark words.")
        if read_rater(self.run, self.rater).spans.get(prompt.id, ()) != spans:
            self._keep({"prompt": prompt.id, "spans": spans})
        return self._after(number)

    def undo(self, asked: Undone) -> dict[str, Any]:
        """Take back the last action, if it is the one that was meant; says in which prompt it was."""
        held = read_actions(self.run, self.rater)
        if len(held) != asked.n_actions:
            return {"n_actions": len(held), "number": None}
        self._keep({"undo": True})
        number = next((n for n, prompt in enumerate(self.prompts) if prompt.id == held[-1]["prompt"]), 0)
        return self._after(number)

    def _keep(self, action: dict[str, Any]) -> None:
        append(self.run, self.rater, [action])

    def _after(self, number: int) -> dict[str, Any]:
        held = read_actions(self.run, self.rater)
        return {"number": number, "state": self._state(self.prompts[number], labels_of(held)), "n_actions": len(held)}

    def _order(self, prompt: Prompt) -> tuple[str, ...]:
        return blind_order(self.roles, self.rater, prompt.id)

    def _state(self, prompt: Prompt, labels: RaterLabels) -> dict[str, Any]:
        return {
            "id": visible(prompt.id),
            "dataset": visible(prompt.dataset),
            "ratings": [labels.ratings.get((prompt.id, role)) for role in self._order(prompt)],
            "spans": [list(span) for span in labels.spans.get(prompt.id, ())],
            "given": prompt.spans is not None,
        }


PROMPTS = "prompts.json"


def must_be_rateable(run: RunFolder) -> None:
    """Raise `RunError` where a run has no responses to prompts, or not all of them yet."""
    if not run.exists(PROMPTS):
        raise RunError(f"{run.address} holds no responses, so there is nothing to rate. Compare without skipping them.")
    roles, ids = roles_of(run), [prompt.id for prompt in read_run_prompts(run)]
    missing = sum(not run.exists(*run.part("attribution", role, id)) for role in roles for id in ids)
    if missing:
        raise RunError(
            f"{missing} of {len(roles) * len(ids)} responses are not measured yet in {run.address}. Start the same "
            "comparison again; it goes on where it stopped."
        )


def read_run_prompts(run: RunFolder) -> list[Prompt]:
    """The prompts of a run, in its order."""
    return list(record_of(run, PROMPTS, SavedPrompts)["prompts"])


def read_answer(run: RunFolder, role: str, id: str) -> str:
    """The response of ``role`` to a prompt; raises `RunError` if it is missing or damaged."""
    return str(run.read(run.part("attribution", role, id))["response"])


def blind_order(roles: Sequence[str], rater: str, id: str) -> tuple[str, ...]:
    """The roles in the order in which a rater sees their responses to a prompt."""
    return tuple(Random(f"{rater}\n{id}").sample(list(roles), len(roles)))
