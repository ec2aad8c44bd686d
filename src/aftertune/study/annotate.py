"""Have a run annotated: its components by a chat model, by word vectors, or by people; its tuning by a chat model."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from aftertune.errors import AnnotationError, RunError
from aftertune.explainers.annotation import people, result
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.explainers.concepts.result import CONCEPTS, reading_in
from aftertune.runs.records import record_of
from aftertune.runs.roles import is_same, pairs_of, roles_of
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, Stage, StepProgress, silent
from aftertune.study.saved import EVIDENCE, open_pairs, open_run

if TYPE_CHECKING:
    from aftertune.explainers.annotation.cost import Estimate


def annotate(
    run: str | Path,
    server: str,
    model: str | None = None,
    settings: AnnotationSettings | None = None,
    *,
    confirm: "Callable[[Estimate], bool] | None" = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Annotate the components of a run; an interrupted annotation goes on where it stopped, and pays for nothing twice.

    ``server`` is the address of an OpenAI-compatible server, which is then asked for ``model``, with the key in the
    environment variable OPENAI_API_KEY; "local:MODEL", a chat model that is loaded here; or "words" or "words:VECTORS",
    a baseline by word vectors alone (see `aftertune.load_vectors`), which gives one repeat whatever the ``settings``
    say. ``confirm`` is shown what is left to ask, where there is something, and says whether to start.

    Returns the rows of annotations, which also lie in the run.

    Raises `AnnotationError` for an annotator or templates that can't be used, a server that fails after the last try,
    ``max_requests`` used up, or no confirmation; `RunError` if the run has no complete components; `WordError` for
    vectors, `CheckpointError` for a local model.
    """
    from aftertune.explainers.annotation.measure import annotate_components, must_be_known

    must_be_known(server, model)
    folder, own = RunFolder.open(run), settings or AnnotationSettings()
    return annotate_components(
        folder, read_components(folder), (server, model), own, confirm, _telling("annotation", progress)
    )


def name_tuning(
    run: str | Path,
    server: str,
    model: str | None = None,
    settings: AnnotationSettings | None = None,
    *,
    confirm: "Callable[[Estimate], bool] | None" = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Ask a chat model what each tuning of a finished run was, blind, as often as ``settings.repeats`` say.

    It sees what both models say, without their names and without what was tested, and may abstain. The report and
    `open_comparison` tell a name only where four of five repeats agree (`NamingChange.agreed`). ``server``, ``model``,
    ``confirm`` and ``progress`` are those of `annotate`; word vectors can't name a tuning.

    Returns for each pair, "base-tuned", ``annotator, is_weak, answers, n_unusable, evidence``. Raises
    `AnnotationError` as `annotate` does, and where the run holds nothing that says how the models differ; `RunError`
    where it is not complete.
    """
    from aftertune.explainers.annotation.measure import must_be_known
    from aftertune.explainers.annotation.naming.ask import ask_for_names, must_read

    must_be_known(server, model)
    must_read(server)
    evidence = evidence_of(run)
    if not evidence:
        must_differ(RunFolder.open(run))
        raise AnnotationError(
            f"{run} holds nothing by which a tuning could be named. Compare what the models say first: aftertune "
            "compare BASE TUNED --only outputs."
        )

    own = settings or AnnotationSettings()
    return ask_for_names(RunFolder.open(run), evidence, (server, model), own, confirm, _telling("naming", progress))


def can_be_named(run: str | Path, server: str, model: str | None) -> bool:
    """Whether an annotator can read, and a run is of several models and says how they differ.

    Raises `AnnotationError` for an annotator that is not known.
    """
    from aftertune.explainers.annotation.measure import must_be_known

    must_be_known(server, model)
    is_vectors = server == "words" or server.startswith("words:")
    return not is_vectors and len(roles_of(RunFolder.open(run))) > 1 and bool(evidence_of(run))


def has_components(run: str | Path) -> bool:
    """Whether any components were read in a run."""
    return bool(CONCEPTS.roles(RunFolder.open(run)))


def evidence_of(run: str | Path) -> dict[str, list[str]]:
    """The lines that an annotator is shown of each pair of models of a run; pairs without any are left out."""
    folder = open_run(run)
    if folder.exists(EVIDENCE):  # kept with the report, since to compare again may take a minute
        found = record_of(folder, EVIDENCE, dict[str, list[str]])
    else:
        found = {"-".join(pair): comparison.evidence() for pair, comparison in open_pairs(run).items()}
    return {key: lines for key, lines in found.items() if lines}


def export_concepts(run: str | Path, file: str | Path, n_components: int | None = None) -> int:
    """Write the lists of words of a run's components for a person to annotate, to .csv or .jsonl; returns how many.

    Raises `AnnotationError` for another kind of file, `RunError` if the run has no complete components.
    """
    return people.export_words(read_components(RunFolder.open(run)), file, n_components)


def import_annotations(run: str | Path, file: str | Path, rater: str) -> pl.DataFrame:
    """Read back what `export_concepts` wrote, filled in by ``rater``; what the same rater gave before is replaced.

    Returns the rows of all raters. Raises `AnnotationError` naming the row for anything that is not allowed.
    """
    folder = RunFolder.open(run)
    return people.import_annotations(folder, read_components(folder), file, rater)


def open_annotations(run: str | Path, annotator: str | None = None) -> pl.DataFrame:
    """The annotations that lie in a run folder: those of ``annotator``, else the newest.

    Columns ``role, layer, expert, rank, repeat, description, scenarios, level, unparsed``. Raises `RunError` if there
    is no run, nobody annotated it, or they are damaged.
    """
    found = result.open_annotations(RunFolder.open(run), annotator)
    if found is None:
        raise RunError(f"Nobody annotated the components of {run} yet. Do so first: aftertune annotate.")
    return found


def read_components(run: RunFolder) -> dict[str, pl.DataFrame]:
    """The components of each role of a run.

    Raises `AnnotationError` if there are none, `RunError` if they are not all read yet.
    """
    roles = CONCEPTS.roles(run)
    if not roles:
        must_differ(run)
        raise AnnotationError(
            f"No components are read in {run.address}. Give the folder of aftertune concepts, or of a comparison that "
            "read concepts."
        )
    return {role: reading_in(run, role).components for role in roles}


def must_differ(run: RunFolder) -> None:
    """Raise `AnnotationError` for a run of models of which no weight differs: nothing of them was measured."""
    pairs = pairs_of(roles_of(run))
    if pairs and all(is_same(run, pair) for pair in pairs):
        raise AnnotationError(
            f"No weight differs between the models of {run.address}, so there is no tuning to name and nothing to "
            "annotate. Give a run of models that differ."
        )


def _telling(explainer: str, progress: Progress | None) -> StepProgress:
    """Progress of the steps of an explainer that is asked about a whole run."""
    if progress is None:
        return silent
    return lambda step, done, total: progress(Stage(explainer=explainer, step=step), done, total)
