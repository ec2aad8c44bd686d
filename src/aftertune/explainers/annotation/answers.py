"""Every answer of a chat model on disk as soon as it is there: paid for once, kept also where the process is killed.

A file for each request, named by the request's digest, written whole or not at all. Requests are sent many at once, at
most so many at a time; equal ones are sent once, answered ones not again.
"""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

import fsspec

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.completion import reply_of
from aftertune.explainers.annotation.request import ChatModel, Reply, Request, Templates
from aftertune.explainers.annotation.result import FOLDER
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.models.served.checked import UnusableAnswerError, mapping, parse
from aftertune.runs.at_once import do_at_once
from aftertune.runs.disk import at_home
from aftertune.runs.parts import is_partial, remove_strays, write_text
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress

READERS = 16
KEPT = {"text", "finish", "refusal", "input_tokens", "output_tokens"}


@dataclass(eq=False)
class Answers:
    """The answers of one chat model to one set of templates, in a run at ``home``; ``n_sent`` counts the new ones."""

    home: str
    folder: str
    model: ChatModel
    templates: Templates
    known: dict[str, Reply] = field(default_factory=dict)
    n_sent: int = 0
    _digests: dict[Request, str] = field(default_factory=dict)

    @classmethod
    def open(cls, run: RunFolder, model: ChatModel, templates: Templates) -> "Answers":
        """With what lies in the run already; an answer that can't be read counts as none, and is asked for again."""
        folder = run.path(FOLDER, model.name, "answers")
        remove_strays(folder)
        return cls(run.address, folder, model, templates, _read_all(folder))

    def find(self, request: Request) -> Reply | None:
        """The answer to a request, if it was ever asked."""
        if request not in self._digests:
            self._digests[request] = request.digest(self.model.model, self.templates.render(request))
        return self.known.get(self._digests[request])

    def ask(self, request: Request) -> Reply:
        """Ask, and keep the answer on disk before it is returned; may be called from several threads."""
        messages = self.templates.render(request)
        reply = self.model.ask(request, messages)
        digest = request.digest(self.model.model, messages)
        # What was asked is for a reader; the file's name is what counts.
        row = {"step": request.step, "about": request.about, "repeat": request.repeat, "model": self.model.model}
        text = json.dumps(row | asdict(reply), ensure_ascii=False, indent=1)
        with at_home(self.home):
            write_text(f"{self.folder}/{digest[:2]}/{digest}.json", text + "\n")
        self.known[digest] = reply
        return reply


def collect(
    requests: Iterable[Request], answers: Answers, settings: AnnotationSettings, step: str, progress: StepProgress
) -> dict[Request, Reply]:
    """The answers to all ``requests``, those that lie on disk from there.

    Raises `AnnotationError` if the server fails for good or ``max_requests`` is used up; all that came till then is
    kept, also that of requests which were under way.
    """
    found = {request: answers.find(request) for request in dict.fromkeys(requests)}
    left = [request for request, reply in found.items() if reply is None]
    allowed = left if settings.max_requests is None else left[: settings.max_requests - answers.n_sent]
    progress(step, len(found) - len(left), len(found))
    answers.n_sent += len(allowed)
    at_once = min(settings.concurrency, answers.model.concurrency or settings.concurrency)
    fresh = do_at_once(
        answers.ask, allowed, at_once, lambda done: progress(step, len(found) - len(left) + done, len(found))
    )
    if len(allowed) < len(left):
        raise AnnotationError(
            f"The {settings.max_requests} requests that were allowed are used up; {len(left) - len(allowed)} are left "
            f"in this step ({step}). All answers are kept: the same command goes on where it stopped."
        )
    return {request: reply or fresh[request] for request, reply in found.items()}


def _read_all(folder: str) -> dict[str, Reply]:
    system, path = fsspec.core.url_to_fs(folder)
    found = [place for place in system.find(path) if place.endswith(".json") and not is_partial(place)]
    with ThreadPoolExecutor(READERS) as pool:  # one after another takes long at a remote address
        replies = list(pool.map(lambda place: _read(system.cat_file(place)), found))
    return {name: reply for name, reply in zip(_names(found), replies, strict=True) if reply is not None}


def _names(places: Sequence[str]) -> list[str]:
    return [place.rsplit("/", 1)[-1].removesuffix(".json") for place in places]


def _read(content: bytes) -> Reply | None:
    try:
        row = mapping(parse(content))
    except UnusableAnswerError:
        return None
    return reply_of(row) if row.keys() >= KEPT else None
