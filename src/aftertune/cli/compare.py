"""The command on two checkpoints or more: measure and compare them, and tell what was found."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli.app import command_app, examples
from aftertune.cli.flags import with_settings
from aftertune.cli.options import (
    ARGUMENT,
    CHECKPOINT,
    EACH,
    KINDS,
    OUT,
    PLACES,
    PROMPTS,
    REMOTE,
    TEMPLATE,
    TOKENIZER,
    device_option,
    dtype_option,
    one_of,
    template_option,
)
from aftertune.cli.output import announce, show
from aftertune.cli.settings_file import as_yaml, given_only, keeping_settings, read_settings
from aftertune.errors import RunError
from aftertune.study.files import must_find_files
from aftertune.study.study import Study, measuring

if TYPE_CHECKING:
    from aftertune.study.engine.ray_engine import RayEngine

app = command_app()
EXPLAINERS = tuple(measuring())
NAMES = ", ".join(EXPLAINERS)
# Where help shows an option.
RUN: Any = {"rich_help_panel": "The run"}
ASKED: Any = {"rich_help_panel": "Prompts"}
MODELS: Any = {"rich_help_panel": "Checkpoints"}
NO_SETTINGS = ("config", "out", "as_json", "ray", "workers")
EXAMPLES = examples(
    "Examples",
    {
        "aftertune compare my-adapter --only outputs": "An adapter against the base that it names, at a glance",
        "aftertune compare BASE TUNED --prompts train.jsonl --limit 32": "With prompts of the kind it was tuned for",
        "aftertune compare BASE SFT DPO --run runs/stages": "Several stages of tuning",
        "aftertune compare BASE TUNED --ray local": "With a worker on each processor, or GPU, of this machine",
    },
)


def must_be_models(given: Sequence[str | None]) -> None:
    """Raise `RunError` for an explainer among the models: who writes ``--only outputs heads`` means both."""
    named = [one for one in given if one in EXPLAINERS and not Path(str(one)).exists()]
    if named:
        raise RunError(
            f"{named[0]} is an explainer, and was given as a model. Several of one option stand between commas, as "
            f"--only outputs,location. Did you mean --only ...,{named[0]}?"
        )


def engine_of(ray: str | None, workers: int | None) -> "RayEngine | None":
    """The engine that was asked for; raises `RunError` for what is not allowed."""
    from aftertune.study.engine.ray_engine import RayEngine

    if ray is None and workers is not None:
        raise RunError(f"--workers {workers} are workers on Ray. Give --ray local, or the address of a cluster, too.")
    return None if ray is None else RayEngine(ray, workers)


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
        str | None,
        typer.Option(help="Folder that keeps the run and its report; by default runs/BASE-TUNED.", **RUN),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with any of these settings; what is given here wins.", **RUN)
    ] = None,
    reuse: Annotated[
        str | None,
        typer.Option(help="Folder of an earlier run: parts that would come out the same are copied from it.", **RUN),
    ] = None,
    only: Annotated[
        list[str] | None,
        one_of(EXPLAINERS, what="explainer", help=f"Compute only these, between commas: {NAMES}.", **RUN),
    ] = None,
    skip: Annotated[
        list[str] | None, one_of(EXPLAINERS, what="explainer", help="Leave these out, likewise.", **RUN)
    ] = None,
    out: Annotated[list[Path] | None, typer.Option(help=f"Also write a part of the report {OUT}", **RUN)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.", **RUN)
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Measure with workers on Ray: local (this machine), auto (the cluster that it is part of), HOST:PORT.",
            **RUN,
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Workers on Ray; by default as many as have room.", **RUN)] = None,
    prompts: Annotated[str | None, typer.Option(help=f"{PROMPTS}; by default twelve of ours.", **ASKED)] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N prompts.", **ASKED)] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help=r"Most tokens of a response of attribution. \[default: 300]", **ASKED)
    ] = None,
    template: Annotated[
        str | None,
        template_option(rf"How prompts are put: {TEMPLATE}; or base, tuned: that model's. \[default: auto]", **ASKED),
    ] = None,
    template_arg: Annotated[list[str] | None, typer.Option(help=f"{ARGUMENT}.", **ASKED)] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a row that can't be used, not skip it.", **ASKED)
    ] = False,
    base_adapter: Annotated[
        str | None, typer.Option(help="LoRA adapter (folder or hub id) merged into the base.", **MODELS)
    ] = None,
    tuned_adapter: Annotated[
        list[str] | None, typer.Option(help=f"LoRA adapter (folder or hub id) merged into the tuned; {EACH}.", **MODELS)
    ] = None,
    base_revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of the base on the hub.", **MODELS)
    ] = None,
    tuned_revision: Annotated[
        list[str] | None, typer.Option(help=f"Branch, tag or commit of the tuned on the hub; {EACH}.", **MODELS)
    ] = None,
    base_name: Annotated[str | None, typer.Option(help="Name of the base in the report.", **MODELS)] = None,
    tuned_name: Annotated[
        list[str] | None, typer.Option(help=f"Name of the tuned in the report; {EACH}.", **MODELS)
    ] = None,
    base_server: Annotated[
        str | None,
        typer.Option(
            help="Address of an OpenAI-compatible server (http://host:8000/v1) that has the base; BASE is then its "
            "name there, not needed where the server has one model.",
            **MODELS,
        ),
    ] = None,
    tuned_server: Annotated[
        list[str] | None, typer.Option(help="The same for the tuned; once for each TUNED.", **MODELS)
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help=r"Requests that a server is sent at a time. \[default: 4]", **MODELS)
    ] = None,
    device: Annotated[
        str | None,
        device_option(rf"{PLACES}. \[default: auto]", **MODELS),
    ] = None,
    dtype: Annotated[str | None, dtype_option(rf"{KINDS}. \[default: float32]", **MODELS)] = None,
    tokenizer: Annotated[str | None, typer.Option(help=f"{TOKENIZER}.", **MODELS)] = None,
    architecture: Annotated[
        str | None,
        typer.Option(help="JSON or YAML file that describes a model built unlike all that are known.", **MODELS),
    ] = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help=REMOTE, **MODELS)] = False,
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
    given = {name: value for name, value in locals().items() if name not in (*NO_SETTINGS, "settings")} | settings
    must_be_models([base, *(tuned or ())])
    engine = engine_of(ray, workers)
    study = Study(**(given_only(given) if config is None else read_settings(config, given)))

    must_find_files(study)
    if out:
        from aftertune.report.files import must_be_known

        must_be_known(out)

    from aftertune.cli.progress import shown_progress
    from aftertune.study.compare import run_study

    with shown_progress() as display:
        keeping = keeping_settings(display, study.run, as_yaml(study))
        found = run_study(study, keeping, partial(announce, display), engine)
        if out:
            from aftertune.study.saved import write_files

            write_files(study.run, out)
    show(found, as_json, study.run)


app.command(epilog=EXAMPLES)(with_settings(compare, {one.title: one.settings for one in measuring().values()}))
