"""The command on the pair that comes with Aftertune."""

from functools import partial
from typing import Annotated, Any

import typer

from aftertune.cli.app import command_app
from aftertune.cli.options import Json, Template
from aftertune.cli.output import announce, show

app = command_app()


@app.command()
def demo(
    run: Annotated[str, typer.Option(help="Folder that keeps the run and its report.")] = "runs/demo",
    template: Template = "auto",
    as_json: Json = False,
) -> None:
    """Compare SmolLM2-135M-Instruct with the LoRA adapter that comes with Aftertune.

    It takes two prompts, short responses, the last four layers and the modules that changed most, so that it ends
    soon.
    """
    import aftertune
    from aftertune.cli.progress import shown_progress
    from aftertune.demo import ADAPTER, QUICK, find_demo_base
    from aftertune.runs.stage import Progress, Stage
    from aftertune.study.compare import run_study

    base = find_demo_base()
    subjects = (
        aftertune.Subject(base, name="SmolLM2-135M-Instruct"),
        aftertune.Subject(base, ADAPTER, name="pirate tune"),
    )
    chosen: dict[str, Any] = {"run": run, "template": template} | QUICK

    def annotate(progress: Progress) -> None:
        progress(Stage(step="annotation"), 0, 1)
        aftertune.annotate(run, "words")
        progress(Stage(step="annotation"), 1, 1)

    with shown_progress() as progress:
        found = run_study(
            aftertune.Study(*subjects, **chosen), progress, partial(announce, progress), before_report=annotate
        )
    show(found, as_json, run)
