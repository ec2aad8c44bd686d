"""What is there to rate in a run?

1. The prompts, with the messages that the run keeps of them.
2. Of each prompt the responses of all models, in an order that hides who wrote which: a different one for every
   prompt and rater, the same one whenever they come back.
"""

from collections.abc import Sequence
from random import Random

from aftertune.errors import RunError
from aftertune.prompts.prompt import Prompt, from_record
from aftertune.runs.roles import roles_of
from aftertune.runs.run import RunFolder

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
    return [from_record(row) for row in run.read_json(PROMPTS)["record"]["prompts"]]


def read_answer(run: RunFolder, role: str, id: str) -> str:
    """The response of ``role`` to a prompt; raises `RunError` if it is missing or damaged."""
    return str(run.read(run.part("attribution", role, id))["response"])


def blind_order(roles: Sequence[str], rater: str, id: str) -> tuple[str, ...]:
    """The roles in the order in which a rater sees their responses to a prompt."""
    return tuple(Random(f"{rater}\n{id}").sample(list(roles), len(roles)))
