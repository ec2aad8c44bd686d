"""What users call: compare two checkpoints, or several stages of tuning, or score maps that were made elsewhere."""

from __future__ import annotations  # what is only needed when all is measured is imported then

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from aftertune.errors import RunError
from aftertune.prompts.prompt import Prompt
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, Stage, silent
from aftertune.study.engine.crew import Engine
from aftertune.study.forecast import Forecast
from aftertune.study.intent import Announce, Intent
from aftertune.study.measure import measure
from aftertune.study.rows import read_rows
from aftertune.study.status import Reporter
from aftertune.study.study import Study

if TYPE_CHECKING:
    from aftertune.study.comparison import Comparison
    from aftertune.study.saved import Found
    from aftertune.study.stages import Stages


def compare(
    study: Study, *, progress: Progress = silent, announce: Announce | None = None, engine: Engine | None = None
) -> Comparison:
    """What did tuning change between two checkpoints?

    Every explainer of the study measures both; the run folder keeps all of it and the report. ``progress(stage, done,
    total)`` is called after each unit of work, ``announce(intent)`` once before, when all has been checked; a
    `Forecast` that it returns is told to who asks from outside (``aftertune status``). ``engine`` (`RayEngine`) are
    the workers that measure, by default this process; with one, ``announce`` is called before they are started
    (``intent.awaits``) and again when they are there (``intent.means``). An interrupted run goes on where it stopped
    when the same study is compared again, with an engine or without.

    Raises `CheckpointError`, `PromptError`, `WordError`, `AttributionError` for what can't be compared, and `RunError`
    if the run's folder holds another run, or the study has several tuned checkpoints.
    """
    if len(study.tuned) > 1:
        raise RunError(f"The study has {len(study.tuned)} tuned checkpoints. Compare them with compare_stages(study).")
    return cast("Comparison", run_study(study, progress, announce, engine))


def compare_stages(
    study: Study, *, progress: Progress = silent, announce: Announce | None = None, engine: Engine | None = None
) -> Stages:
    """What did each stage of tuning change?  As `compare`, for several tuned checkpoints in the order of training.

    Each is compared with its predecessor and with the base. Raises what `compare` raises, and `RunError` for a study of
    one tuned checkpoint.
    """
    if len(study.tuned) == 1:
        raise RunError("The study has one tuned checkpoint, so there are no stages. Compare it with compare(study).")
    return cast("Stages", run_study(study, progress, announce, engine))


def run_study(
    study: Study,
    progress: Progress = silent,
    announce: Announce | None = None,
    engine: Engine | None = None,
    before_report: Callable[[Progress], None] | None = None,
) -> Found:
    """Measure what is missing, compare, and write the report, however many checkpoints there are.

    ``before_report`` adds to the measured run what the report is to show.
    """
    reporter = Reporter(progress)

    def announced(intent: Intent) -> None:
        forecast = announce(intent) if announce is not None else None
        reporter.begin(RunFolder(intent.run.address), forecast if isinstance(forecast, Forecast) else None)

    folder = _measured(study, reporter, announced, engine)
    from aftertune.study.saved import make_report

    if before_report is not None:
        before_report(reporter)
    reporter(Stage(step="report"), 0, 1)
    found = make_report(folder, study.settings)
    reporter(Stage(step="report"), 1, 1)
    reporter.end()
    return found


def _measured(study: Study, progress: Progress, announce: Announce, engine: Engine | None) -> RunFolder:
    """The run folder with all that can be measured of checkpoints, or of served models."""
    if not study.is_served:
        return measure(study, progress, announce, engine)
    if engine is not None:
        raise RunError("Models behind servers are asked from here, not by workers. Leave --ray out.")
    from aftertune.study.served import measure_served

    return measure_served(study, progress, announce)


def score(
    maps: str | Path, prompts: Sequence[Prompt] | str | Path, base: str | None = None, tuned: str | None = None
) -> Comparison:
    """Tables 1 and 2 and figure 6 from maps that were computed elsewhere (Parquet, see docs/run-folder.md).

    ``prompts`` is a file or a list. ``base`` and ``tuned`` name two models of the file; they may be left out where it
    holds two models of which one is rated: that one is the tuned.

    Raises `RunError` for an unusable file and for names that it does not hold, `PromptError` for maps without their
    prompt.
    """
    from aftertune.explainers.attribution.released import score_maps
    from aftertune.study.comparison import Comparison

    change = score_maps(maps, read_rows(prompts, None, strict=True).prompts, base, tuned)
    return Comparison(change.base, change.tuned, {"attribution": change})
