"""An annotator is asked for the name of a tuning, blind: no model is named, and nothing says what was found to hold."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.answers import Answers, collect
from aftertune.explainers.annotation.cost import Estimate, estimate_names
from aftertune.explainers.annotation.measure import chat_model, must_be_confirmed, read
from aftertune.explainers.annotation.naming.result import TUNING
from aftertune.explainers.annotation.request import Request, read_templates
from aftertune.explainers.annotation.result import TUNING_STEP
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress, silent


def ask_for_names(
    run: RunFolder,
    evidence: Mapping[str, Sequence[str]],
    annotator: tuple[str, str | None],
    settings: AnnotationSettings,
    confirm: Callable[[Estimate], bool] | None = None,
    progress: StepProgress = silent,
) -> dict[str, dict[str, Any]]:
    """Ask for the name of each tuning, as often as the ``settings`` say; ``evidence`` has the lines of each pair.

    Answers are kept as they come. Returns what the run then holds of each pair: ``annotator, is_weak, answers,
    n_unusable, evidence``. The annotator is one that may be asked (`must_be_known`, `must_read`); raises
    `AnnotationError` as `annotate_components` does.
    """
    server, model = annotator
    templates = read_templates(settings.templates)
    with chat_model(server, model, settings) as chat:
        answers = Answers.open(run, chat, templates)
        asked = {
            key: [Request(TUNING_STEP, tuple(lines), repeat) for repeat in range(settings.repeats)]
            for key, lines in evidence.items()
        }
        requests = [one for own in asked.values() for one in own]
        must_be_confirmed(estimate_names(requests, answers), chat, confirm)
        found = collect(requests, answers, settings, "naming", progress)
        weak = bool(chat.about().get("weak", False))
        record = {}
        for key, own in asked.items():
            said = [read(found[one], TUNING_STEP) for one in own]
            record[key] = {
                "annotator": chat.name,
                "is_weak": weak,
                "answers": [name for name, _ in said],
                "n_unusable": sum(not usable for _, usable in said),
                "evidence": list(evidence[key]),
            }
    run.remember(TUNING, record)
    return record


def must_read(server: str) -> None:
    """Raise `AnnotationError` for word vectors."""
    if server.split(":")[0] == "words":
        raise AnnotationError("Word vectors can't name a tuning. Give a server, or local:MODEL.")
