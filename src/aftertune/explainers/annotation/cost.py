"""How much is left to ask, before anything is asked."""

from dataclasses import dataclass
from typing import Any

from aftertune.explainers.annotation.answers import Answers
from aftertune.explainers.annotation.parse import UnusableError, parse_description
from aftertune.explainers.annotation.request import Reply, Request
from aftertune.explainers.annotation.result import Component

# A token of English text is about four characters; an answer here is a short line of JSON.
CHARACTERS_OF_A_TOKEN = 4
TOKENS_OF_AN_ANSWER = 15
# Enough of them for the mean length of the messages; rendering all of a large model's would take a minute.
N_MEASURED = 50
DESCRIPTION = ("words for the months of a year",)


@dataclass(frozen=True)
class Estimate:
    """Requests and tokens that are left, at most: what can't be described needs no request but its first."""

    descriptions: int
    tasks_and_levels: int
    input_tokens: int
    output_tokens: int
    names: int = 0

    @property
    def requests(self) -> int:
        """All of them."""
        return self.descriptions + self.tasks_and_levels + self.names

    def __str__(self) -> str:
        components = f"{self.descriptions:,} descriptions, {self.tasks_and_levels:,} tasks and levels"
        what = f"{self.names:,} names of a tuning" if self.names else components
        return (
            f"At most {self.requests:,} requests are left ({what}): about {self.input_tokens:,} tokens in, "
            f"{self.output_tokens:,} out."
        )


def estimate(components: list[Component], n_repeats: int, answers: Answers) -> Estimate:
    """What is left of annotating ``components``.

    A description that is not known yet counts as one of its own, with tasks and a level to ask for.
    """
    repeats = range(n_repeats)
    first = dict.fromkeys(Request("description", one.words, repeat) for one in components for repeat in repeats)
    replies = {request: answers.find(request) for request in first}
    unknown = [request for request, reply in replies.items() if reply is None]
    known = dict.fromkeys(text for reply in replies.values() if reply and (text := _description(reply)))
    follow = [one for text in known for one in follow_up(text) if answers.find(one) is None]
    n_follow = len(follow) + 2 * len(unknown)
    tokens, later = _mean_tokens(unknown, answers), _mean_tokens(follow_up(DESCRIPTION[0]), answers)
    total = len(unknown) + n_follow
    return Estimate(
        len(unknown), n_follow, round(len(unknown) * tokens + n_follow * later), total * TOKENS_OF_AN_ANSWER
    )


def estimate_names(requests: list[Request], answers: Answers) -> Estimate:
    """What is left of asking for the names of tunings."""
    left = [one for one in dict.fromkeys(requests) if answers.find(one) is None]
    n, tokens = len(left), _mean_tokens(left, answers)
    return Estimate(0, 0, round(n * tokens), n * TOKENS_OF_AN_ANSWER, names=n)


def follow_up(description: str) -> list[Request]:
    """What is asked about a description."""
    return [Request(step, (description,)) for step in ("tasks", "level")]


def _description(reply: Reply) -> str | None:
    try:
        return parse_description(reply)
    except UnusableError:
        return None


def _mean_tokens(requests: list[Request], answers: Answers) -> float:
    messages: list[Any] = [answers.templates.render(request) for request in requests[:N_MEASURED]]
    characters = sum(len(one["content"]) for said in messages for one in said)
    return characters / CHARACTERS_OF_A_TOKEN / max(len(messages), 1)
