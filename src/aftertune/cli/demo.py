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

    It takes six prompts, short responses, the last six layers and the modules that changed most, so that it ends
    soon.
    """
    import aftertune
    from aftertune.cli.progress import shown_progress
    from aftertune.demo import ADAPTER, QUICK, find_demo_base
    from aftertune.runs.stage import Stage

    base = find_demo_base()
    subjects = (
        aftertune.Subject(base, name="SmolLM2-135M-Instruct"),
        aftertune.Subject(base, ADAPTER, name="pirate tune"),
    )
    chosen: dict[str, Any] = {"run": run, "template": template} | QUICK
    study, annotation = aftertune.Study(*subjects, **chosen), Stage(step="annotation")
    with shown_progress() as progress:
        found: aftertune.Comparison | aftertune.Stages = aftertune.compare(
            study, progress=progress, announce=partial(announce, progress)
        )
        if getattr(found, "annotation", None) is None:
            progress(annotation, 0, 1)
            aftertune.annotate(run, "words")
            found = aftertune.write_report(run)
            progress(annotation, 1, 1)
    show(found, as_json, run)
