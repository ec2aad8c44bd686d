"""One explainer reads one checkpoint into a run folder, under the role "model"."""

from pathlib import Path

from aftertune.explainers import explainers
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.settings import Settings
from aftertune.models.subject import Subject
from aftertune.runs.roles import MODEL
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, Stage, silent, within
from aftertune.study import checks


def read_into_run(
    model: str | Path | Subject,
    run: str | Path,
    explainer: str,
    settings: Settings,
    *,
    device: str = "auto",
    dtype: str = "float32",
    tokenizer: str | Path | None = None,
    trust_remote_code: bool = False,
    progress: Progress = silent,
) -> RunFolder:
    """Let one explainer measure one checkpoint into a run folder, under the role "model".

    ``model`` is what `aftertune.load` takes, or an `aftertune.Subject`. An interrupted run goes on where it stopped.

    Raises `CheckpointError`, `WordError`, `AttributionError`, and `RunError` if ``run`` holds another run.
    """
    from aftertune import __version__
    from aftertune.models import load

    subject = model if isinstance(model, Subject) else Subject(model)
    work = explainers()[explainer].prepare(settings, Inputs(device=device, dtype=dtype))
    folder = RunFolder.start(
        run, {"model": subject.identity(), "settings": {"dtype": dtype}}, {"aftertune": __version__}
    )
    checks.must_have_weights({explainer: explainers()[explainer]}, dtype)
    held = {"device": device, "dtype": dtype}
    work.must_fit(checks.must_be_there([subject], trust_remote_code, tokenizer=tokenizer, **held), folder)
    says_how = not work.saved_settings or folder.exists(work.saved_settings)
    if not (says_how and work.is_measured(folder, MODEL)):
        loading = Stage(step="loading")
        progress(loading, 0, 1)
        given = (subject.ref, subject.adapter, device, dtype, subject.revision)
        checkpoint = load(*given, tokenizer=tokenizer, trust_remote_code=trust_remote_code)
        progress(loading, 1, 1)
        work.must_fit([checkpoint.model.config], folder)
        checks.claim_weights(folder, MODEL, checks.told_of(checkpoint))
        work.measure(checkpoint, MODEL, folder, within(progress, "", explainer))
    work.finish(folder, MODEL)
    folder.must_be_there()
    return folder
