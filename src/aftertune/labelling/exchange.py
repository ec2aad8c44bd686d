"""Labels in and out as prompt files: a row for each prompt, with its instruction's spans and its responses' ratings.

1. Out: what one rater said, or what all of them come to. A prompt that nobody labelled keeps what its own file said.
2. In: the rows must be of prompts of the run, letter by letter, so that a span means the same characters. All rows are
   checked before one is kept.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aftertune.errors import AnnotationError
from aftertune.labelling.labels import Labels
from aftertune.labelling.session import must_be_rateable, read_answer, read_run_prompts
from aftertune.labelling.store import Action, append, must_be_named, raters, read_labels, read_rater
from aftertune.prompts.formats import read_prompts
from aftertune.prompts.prompt import Prompt, find_rating, to_row
from aftertune.runs.parts import write_text
from aftertune.runs.roles import display_names
from aftertune.runs.run import RunFolder

REMEDY = "Correct the file; nothing was kept."


def export_labels(run: str | Path, file: str | Path, rater: str | None = None) -> int:
    """Write the prompts of a run with their labels as a prompt file; returns how many were labelled.

    ``rater`` is whose labels; by default what those of all raters come to (see `aftertune.labelling.labels`).

    Raises `RunError` if the run can't be labelled, `AnnotationError` if there are no labels, or none of that rater.
    """
    folder = RunFolder.open(run)
    must_be_rateable(folder)
    labels = read_labels(folder) if rater is None else Labels({rater: _of_rater(folder, rater)})
    labelled = labels.prompts()
    if not labelled:
        raise AnnotationError(f"Nobody labelled {run} yet. Do so first: aftertune label {run}.")
    names = display_names(folder)
    rows = [_row(prompt, labels, names) for prompt in read_run_prompts(folder)]
    write_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return len(labelled)


def import_labels(run: str | Path, file: str | Path, rater: str) -> int:
    """Take the spans and ratings of a prompt file as labels of ``rater``; returns how many actions were kept.

    What the file leaves out stays as it was. A rating counts for the model whose name in the report begins with the
    field's; one without a name for every model that gave the row's response.

    Raises `PromptError` for a file that is no prompt file, `AnnotationError` for a row that does not fit the run, and
    `RunError` if the run can't be labelled.
    """
    folder, rater = RunFolder.open(run), must_be_named(rater)
    must_be_rateable(folder)
    names = display_names(folder)
    known = {prompt.id: prompt for prompt in read_run_prompts(folder)}
    given = read_prompts(file, strict=True)
    _must_be_known([prompt.id for prompt in given], known, file, folder)
    actions = [action for prompt in given for action in _actions(folder, prompt, known[prompt.id], names, file)]
    if not actions:
        raise AnnotationError(f"{file} has neither spans nor ratings. Give instruction_spans or NAME_helpfulness.")
    append(folder, rater, actions)
    return len(actions)


def _row(prompt: Prompt, labels: Labels, names: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"id": prompt.id, "dataset": prompt.dataset} | to_row(prompt)
    spans = labels.spans(prompt.id) or prompt.spans
    found = {role: labels.rating(prompt.id, role) for role in names}
    ratings = {
        names[role]: find_rating(prompt.ratings, names[role]) if rating is None else rating
        for role, rating in found.items()
    }
    return (
        row
        | ({} if spans is None else {"instruction_spans": [_span(span, prompt) for span in spans]})
        | ({"context": prompt.context} if prompt.context else {})
        | ({} if prompt.response is None else {"response": prompt.response})
        | {f"{name}_helpfulness": rating for name, rating in ratings.items() if rating is not None}
    )


def _span(span: Sequence[int], prompt: Prompt) -> list[int]:
    return list(span[:2]) if len(prompt.messages) == 1 else list(span)


def _of_rater(folder: RunFolder, rater: str) -> Any:
    held = raters(folder)
    if rater not in held:
        raise AnnotationError(f"{rater!r} labelled nothing in {folder.address}. Raters: {', '.join(held) or 'none'}.")
    return read_rater(folder, rater)


def _must_be_known(ids: Sequence[str], known: Mapping[str, Prompt], file: str | Path, folder: RunFolder) -> None:
    unknown = [id for id in ids if id not in known]
    if unknown:
        raise AnnotationError(
            f"{file}: {len(unknown)} of {len(ids)} prompts are not in {folder.address} (first: {unknown[0]!r}). Its "
            f"ids are such as {next(iter(known))!r}. {REMEDY}"
        )


def _actions(
    folder: RunFolder, given: Prompt, known: Prompt, names: Mapping[str, str], file: str | Path
) -> Iterator[Action]:
    if given.messages != known.messages:
        raise AnnotationError(f"{file}: prompt {given.id!r} has another text than that of the run. {REMEDY}")
    if given.spans is not None:
        yield {"prompt": given.id, "spans": given.spans}
    unknown = [name for name in given.ratings if not any(one.startswith(name) for one in names.values())]
    if unknown:
        raise AnnotationError(
            f"{file}: prompt {given.id!r} rates {unknown[0]!r}, the run compares {', '.join(names.values())}. {REMEDY}"
        )
    for role, name in names.items():
        rating = _rating(folder, given, role, name)
        if rating is not None:
            yield {"prompt": given.id, "role": role, "helpfulness": rating}


def _rating(folder: RunFolder, given: Prompt, role: str, name: str) -> int | None:
    named = {key: rating for key, rating in given.ratings.items() if key}
    if given.response is not None and given.response == read_answer(folder, role, given.id):
        named |= {"": given.ratings[""]} if "" in given.ratings else {}
    return find_rating(named, name)
