"""The command on two checkpoints or more: measure and compare them, and tell what was found."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from aftertune.cli.app import command_app
from aftertune.cli.flags import with_settings
from aftertune.cli.options import CHECKPOINT, EACH, PROMPTS, TEMPLATE, Json, Remote
from aftertune.cli.output import announce, show
from aftertune.cli.settings_file import as_yaml, given_only, keeping_settings, read_settings
from aftertune.study.study import Study, measuring

app = command_app()
NAMES = ", ".join(measuring())


def compare(
    base: Annotated[
        str | None,
        typer.Argument(
            metavar="BASE", help=f"The model before tuning: {CHECKPOINT}; or a LoRA adapter alone.", show_default=False
        ),
    ] = None,
    tuned: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TUNED...",
            show_default=False,
            help="The model after tuning, likewise, or its LoRA adapter. Several in the order of training "
            "(SFT DPO): each is compared with its predecessor and with the base.",
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Folder that keeps the run and its report; by default runs/BASE-TUNED.")
    ] = None,
    prompts: Annotated[str | None, typer.Option(help=f"{PROMPTS}; by default twelve of ours.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N prompts.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Most tokens of a generated response. [default: 300]")
    ] = None,
    template: Annotated[str | None, typer.Option(help=f"How prompts are put: {TEMPLATE}. [default: auto]")] = None,
    base_adapter: Annotated[
        str | None, typer.Option(help="LoRA adapter (folder or hub id) merged into the base.")
    ] = None,
    tuned_adapter: Annotated[
        list[str] | None, typer.Option(help=f"LoRA adapter (folder or hub id) merged into the tuned; {EACH}.")
    ] = None,
    base_revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the base on the hub.")] = None,
    tuned_revision: Annotated[
        list[str] | None, typer.Option(help=f"Branch, tag or commit of the tuned on the hub; {EACH}.")
    ] = None,
    base_name: Annotated[str | None, typer.Option(help="Name of the base in the report.")] = None,
    tuned_name: Annotated[list[str] | None, typer.Option(help=f"Name of the tuned in the report; {EACH}.")] = None,
    base_server: Annotated[
        str | None,
        typer.Option(
            help="Address of an OpenAI-compatible server (http://host:8000/v1) that has the base; BASE is then its "
            "name there, not needed where the server has one model."
        ),
    ] = None,
    tuned_server: Annotated[list[str] | None, typer.Option(help="The same for the tuned; once for each TUNED.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests that a server is sent at a time. [default: 4]")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"Compute only this explainer: {NAMES}.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help=f"Leave out this explainer: {NAMES}.")] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:N, mps, or balanced (all GPUs). [default: auto]")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64. [default: float32]")] = None,
    architecture: Annotated[
        str | None, typer.Option(help="JSON or YAML file that describes a model built unlike all that are known.")
    ] = None,
    trust_remote_code: Remote = False,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with any of these settings; what is given here wins.")
    ] = None,
    as_json: Json = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Compare a BASE and a TUNED checkpoint: what did tuning change?

    A LoRA adapter's folder in the place of TUNED is merged into BASE; alone it is compared with the base that it names.
    With --base-server and --tuned-server the models are asked where they are served; what needs weights is left out.
    Before it begins it tells what was chosen, and about how long it will take. The run keeps all settings in
    settings.yaml, for --config. An interrupted comparison goes on where it stopped when the same command is given
    again.
    """
    given = {
        name: value for name, value in locals().items() if name not in ("config", "as_json", "settings")
    } | settings
    study = Study(**(given_only(given) if config is None else read_settings(config, given)))

    from aftertune.cli.progress import shown_progress
    from aftertune.study.compare import run_study

    with shown_progress() as display:
        keeping = keeping_settings(display, study.run, as_yaml(study))
        found = run_study(study, keeping, partial(announce, display))
    show(found, as_json, study.run)


app.command()(with_settings(compare, [one.settings for one in measuring().values()]))
