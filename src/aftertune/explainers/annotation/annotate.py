"""What do the words of each concept have in common, which tasks does it serve, at which level of language does it lie?

Appendix D.1, with any annotator:

1. A description of the words, in every repeat; "Cannot Tell" means that the concept is not interpretable.
2. For each different description: the tasks that it serves, and its linguistic level.
3. A row for each concept and repeat, in ``annotations/ANNOTATOR`` of the run.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import polars as pl

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.answers import Answers
from aftertune.explainers.annotation.ask import Progress, collect
from aftertune.explainers.annotation.concepts import Concept, find_concepts
from aftertune.explainers.annotation.estimate import Estimate, estimate, follow_up
from aftertune.explainers.annotation.parse import PARSERS, UnusableError
from aftertune.explainers.annotation.parts import write_annotations
from aftertune.explainers.annotation.request import TOP_P, ChatModel, Reply, Request
from aftertune.explainers.annotation.result import ANNOTATIONS, STEPS
from aftertune.explainers.annotation.settings import AnnotationPlan
from aftertune.explainers.annotation.templates import read_templates
from aftertune.runs.run import RunFolder

WORDS, LOCAL = "words", "local:"
ALLOWED = (
    "Allowed: the address of an OpenAI-compatible server (http://host:8000/v1), local:MODEL, words, words:VECTORS."
)
ADDRESS = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")

Found = Mapping[Request, Reply]


def annotate(
    run: str | Path,
    server: str,
    model: str | None = None,
    plan: AnnotationPlan | None = None,
    *,
    confirm: Callable[[Estimate], bool] | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Annotate the concepts of a run; an interrupted annotation goes on where it stopped, and pays for nothing twice.

    ``server`` is the address of an OpenAI-compatible server, which is then asked for ``model``, with the key in the
    environment variable OPENAI_API_KEY; "local:MODEL", a chat model that is loaded here; or "words" or "words:VECTORS",
    a baseline by word vectors alone (see `aftertune.load_vectors`), which gives one repeat whatever the ``plan`` says.
    ``confirm`` is shown what is left to ask, where there is something, and says whether to start.

    Returns the rows of `ANNOTATIONS`, which also lie in the run.

    Raises `AnnotationError` for an annotator or templates that can't be used, a server that fails after the last try,
    ``max_requests`` used up, or no confirmation; `RunError` if the run has no complete concepts; `WordError` for
    vectors, `CheckpointError` for a local model.
    """
    plan, tell, folder = plan or AnnotationPlan(), progress or (lambda *_: None), RunFolder.open(run)
    _must_be_known(server, model)
    templates = read_templates(plan.templates)
    concepts = find_concepts(folder, plan.components)
    if server == WORDS or server.startswith(f"{WORDS}:"):
        from aftertune.explainers.annotation.baseline import annotate_by_vectors

        return annotate_by_vectors(folder, concepts, server.removeprefix(WORDS).removeprefix(":") or None, plan)
    with _chat_model(server, model, plan) as chat:
        answers = Answers.open(folder, chat, templates)
        expected = estimate(concepts, plan.repeats, answers)
        if expected.requests:
            chat.check()
        if expected.requests and confirm is not None and not confirm(expected):
            raise AnnotationError("Nothing was asked. Give fewer components or repeats for fewer requests.")
        return _ask(folder, concepts, answers, plan, tell)


def _must_be_known(server: str, model: str | None) -> None:
    remote = server.startswith(("http://", "https://"))
    if not (remote or server == WORDS or server.startswith((f"{WORDS}:", LOCAL))) or server == LOCAL:
        raise AnnotationError(f"The annotator {server!r} is not known. {ALLOWED}")
    if remote and not ADDRESS.fullmatch(server):  # not shown: it may hold a password
        raise AnnotationError(
            "The address of the server must be a scheme, a host and a path, as http://host:8000/v1. A name, a password "
            "or a key does not belong in it: set OPENAI_API_KEY in the environment."
        )
    if remote and not model:
        raise AnnotationError(f"Which model of {server} is to annotate? Give its name (--model).")
    if not remote and model:
        raise AnnotationError(f"The model {model!r} is not needed with the annotator {server}. Leave it out.")


def _chat_model(server: str, model: str | None, plan: AnnotationPlan) -> AbstractContextManager[ChatModel]:
    if server.startswith(LOCAL):
        from aftertune.explainers.annotation.local import load_chat_model

        return nullcontext(load_chat_model(server.removeprefix(LOCAL)))
    from aftertune.explainers.annotation.server import serve

    return serve(server, str(model), plan.structured)


def _ask(
    run: RunFolder, concepts: Sequence[Concept], answers: Answers, plan: AnnotationPlan, tell: Progress
) -> pl.DataFrame:
    asked = [(one, Request("description", one.words, number)) for one in concepts for number in range(plan.repeats)]
    found = collect((request for _, request in asked), answers, plan, "describing", tell)
    described = {request: read(reply, "description") for request, reply in found.items()}
    later = [one for text, _ in described.values() if text is not None for one in follow_up(text)]
    found |= collect(later, answers, plan, "tasks and levels", tell)
    rows = [concept.place() | {"repeat": request.repeat} | _row(request, found) for concept, request in asked]
    frame = pl.DataFrame(rows, ANNOTATIONS)
    write_annotations(run, answers.model.name, frame, _about(answers, plan, found))
    return frame


def read(reply: Reply, step: str) -> tuple[Any, bool]:
    """What the answer says (None where it can't tell) and whether it could be used."""
    try:
        return PARSERS[step](reply), True
    except UnusableError:
        return None, False


def _row(request: Request, found: Found) -> dict[str, Any]:
    description, usable = read(found[request], "description")
    row = {"description": description, "scenarios": None, "level": None}
    unparsed = [] if usable else ["description"]
    for one, column in zip(follow_up(description) if description else [], ("scenarios", "level"), strict=False):
        row[column], usable = read(found[one], one.step)
        unparsed += [] if usable else [one.step]
    return row | {"unparsed": unparsed}


def _about(answers: Answers, plan: AnnotationPlan, found: Found) -> dict[str, Any]:
    model, templates = answers.model, answers.templates
    settings = {"repeats": plan.repeats, "components": plan.components, "top_p": TOP_P, "templates": templates.digest}
    steps, unparsed = Counter(one.step for one in found), Counter[str]()
    unparsed.update(request.step for request, reply in found.items() if not read(reply, request.step)[1])
    counts = {
        "requests": {step: steps[step] for step in STEPS},
        "unparsed": {step: unparsed[step] for step in STEPS},
        "input_tokens": sum(reply.input_tokens for reply in found.values()),
        "output_tokens": sum(reply.output_tokens for reply in found.values()),
    }
    left_out = sorted({name for reply in found.values() for name in reply.left_out})
    about = {"name": model.name, "model": model.model, **model.about(), "left_out": left_out}
    return {"annotator": about, "settings": settings | {"replaced": templates.replaced}, "counts": counts}
