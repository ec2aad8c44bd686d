"""Many requests at once, at most so many at a time; equal ones are asked once, answered ones not again."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.answers import Answers
from aftertune.explainers.annotation.request import Reply, Request
from aftertune.explainers.annotation.settings import AnnotationPlan

Progress = Callable[[str, float, float], None]


def collect(
    requests: Iterable[Request], answers: Answers, plan: AnnotationPlan, what: str, tell: Progress
) -> dict[Request, Reply]:
    """The answers to all ``requests``, those that lie on disk from there.

    Raises `AnnotationError` if the server fails for good or ``max_requests`` is used up; all that came till then is
    kept, also that of requests which were under way.
    """
    found = {request: answers.find(request) for request in dict.fromkeys(requests)}
    left = [request for request, reply in found.items() if reply is None]
    allowed = left if plan.max_requests is None else left[: plan.max_requests - answers.n_sent]
    tell(what, len(found) - len(left), len(found))
    fresh = _ask_all(allowed, answers, plan, lambda done: tell(what, len(found) - len(left) + done, len(found)))
    if len(allowed) < len(left):
        raise AnnotationError(
            f"The {plan.max_requests} requests that were allowed are used up; {len(left) - len(allowed)} are left "
            f"in this step ({what}). All answers are kept: the same command goes on where it stopped."
        )
    return {request: reply or fresh[request] for request, reply in found.items()}


def _ask_all(
    requests: list[Request], answers: Answers, plan: AnnotationPlan, tell: Callable[[int], None]
) -> dict[Request, Reply]:
    found: dict[Request, Reply] = {}
    failed = Event()

    def ask(request: Request) -> Reply | None:
        try:
            return None if failed.is_set() else answers.ask(request)  # else a free thread would take the next at once
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(min(plan.concurrency, answers.model.concurrency or plan.concurrency)) as pool:
        try:
            asked = {pool.submit(ask, request): request for request in requests}
            answers.n_sent += len(asked)
            for one in as_completed(asked):
                if (reply := one.result()) is not None:
                    found[asked[one]] = reply
                tell(len(found))
        except BaseException:
            failed.set()
            pool.shutdown(wait=True, cancel_futures=True)  # those under way are paid for: they end, and are kept
            raise
    return found
