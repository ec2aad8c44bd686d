"""What do the words of each component have in common, which tasks does it serve, at which linguistic level is it?

Appendix D.1, with any annotator:

1. A description of the words, in every repeat; "Cannot Tell" means that the component is not interpretable.
2. For each different description: the tasks that it serves, and its linguistic level.
3. A row for each component and repeat, in ``annotations/ANNOTATOR`` of the run.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import polars as pl

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.answers import Answers, collect
from aftertune.explainers.annotation.cost import Estimate, estimate, follow_up
from aftertune.explainers.annotation.parse import PARSERS, UnusableError
from aftertune.explainers.annotation.request import TOP_P, ChatModel, Reply, Request, read_templates
from aftertune.explainers.annotation.result import (
    ANNOTATIONS,
    STEPS,
    Component,
    Components,
    listed,
    write_annotations,
)
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.models.served.address import must_be_address
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress, silent

WORDS, LOCAL = "words", "local:"
ALLOWED = (
    "Allowed: the address of an OpenAI-compatible server (http://host:8000/v1), local:MODEL, words, words:VECTORS."
)

Found = Mapping[Request, Reply]
Confirm = Callable[[Estimate], bool]


def annotate_components(
    run: RunFolder,
    components: Components,
    annotator: tuple[str, str | None],
    settings: AnnotationSettings,
    confirm: Confirm | None = None,
    progress: StepProgress = silent,
) -> pl.DataFrame:
    """Annotate the ``components`` of each role; an interrupted annotation goes on where it stopped.

    ``annotator`` is a server and the model that it is asked for, None where it needs none (`must_be_known`).
    ``confirm`` is shown what is left to ask, where there is something, and says whether to start. Returns the rows of
    `ANNOTATIONS`, which also lie in the run.

    Raises `AnnotationError` for an annotator or templates that can't be used, a server that fails after the last try,
    ``max_requests`` used up, or no confirmation; `WordError` for vectors, `CheckpointError` for a local model.
    """
    server, model = annotator
    must_be_known(server, model)
    templates, chosen = read_templates(settings.templates), listed(components, settings.components)
    if server == WORDS or server.startswith(f"{WORDS}:"):
        from aftertune.explainers.annotation.baseline import annotate_by_vectors

        return annotate_by_vectors(run, chosen, server.removeprefix(WORDS).removeprefix(":") or None, settings)
    with chat_model(server, model, settings) as chat:
        answers = Answers.open(run, chat, templates)
        must_be_confirmed(estimate(chosen, settings.repeats, answers), chat, confirm)
        return _ask(run, chosen, answers, settings, progress)


def must_be_known(server: str, model: str | None) -> None:
    """Raise `AnnotationError` unless ``server`` is an address, with a ``model``, or one of our own annotators."""
    remote = server.startswith(("http://", "https://"))
    if not (remote or server == WORDS or server.startswith((f"{WORDS}:", LOCAL))) or server == LOCAL:
        raise AnnotationError(f"The annotator {server!r} is not known. {ALLOWED}")
    if remote:
        must_be_address(server, AnnotationError)
    if remote and not model:
        raise AnnotationError(f"Which model of {server} is to annotate? Give its name.")
    if not remote and model:
        raise AnnotationError(f"The model {model!r} is not needed with the annotator {server}. Leave it out.")


def chat_model(server: str, model: str | None, settings: AnnotationSettings) -> AbstractContextManager[ChatModel]:
    """The chat model of an annotator, connected or loaded."""
    if server.startswith(LOCAL):
        from aftertune.explainers.annotation.local import load_chat_model

        return nullcontext(load_chat_model(server.removeprefix(LOCAL)))
    from aftertune.explainers.annotation.server import serve

    return serve(server, str(model), settings.structured)


def must_be_confirmed(expected: Estimate, chat: ChatModel, confirm: Confirm | None) -> None:
    """Raise `AnnotationError` where something is to be asked and it can't be, or is not to be."""
    if expected.requests:
        chat.check()
    if expected.requests and confirm is not None and not confirm(expected):
        raise AnnotationError("Nothing was asked. Give fewer components or repeats for fewer requests.")


def _ask(
    run: RunFolder,
    components: Sequence[Component],
    answers: Answers,
    settings: AnnotationSettings,
    progress: StepProgress,
) -> pl.DataFrame:
    repeats = range(settings.repeats)
    first = [(one, Request("description", one.words, repeat)) for one in components for repeat in repeats]
    found = collect((request for _, request in first), answers, settings, "describing", progress)
    described = (read(reply, "description")[0] for reply in found.values())
    later = [one for text in described if text is not None for one in follow_up(text)]
    found |= collect(later, answers, settings, "tasks and levels", progress)
    rows = [one.place() | {"repeat": request.repeat} | _row(request, found) for one, request in first]
    frame = pl.DataFrame(rows, ANNOTATIONS)
    write_annotations(run, answers.model.name, frame, _about(answers, settings, found))
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


def _about(answers: Answers, settings: AnnotationSettings, found: Found) -> dict[str, Any]:
    model, templates = answers.model, answers.templates
    left_out = sorted({name for reply in found.values() for name in reply.left_out})
    return {
        "annotator": {"name": model.name, "model": model.model, **model.about(), "left_out": left_out},
        "settings": {
            **{"repeats": settings.repeats, "components": settings.components, "top_p": TOP_P},
            **{"templates": templates.digest, "replaced": templates.replaced},
        },
        "counts": _counts(found),
    }


def _counts(found: Found) -> dict[str, Any]:
    steps, unparsed = Counter(one.step for one in found), Counter[str]()
    unparsed.update(request.step for request, reply in found.items() if not read(reply, request.step)[1])
    return {
        "requests": {step: steps[step] for step in STEPS},
        "unparsed": {step: unparsed[step] for step in STEPS},
        "input_tokens": sum(reply.input_tokens for reply in found.values()),
        "output_tokens": sum(reply.output_tokens for reply in found.values()),
    }
