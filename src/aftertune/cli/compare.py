"""The command on two checkpoints or more: measure and compare them, and tell what was found."""

from functools import partial
from typing import Annotated

import typer

import aftertune
from aftertune.cli.app import app
from aftertune.cli.options import (
    CHECKPOINT,
    EACH,
    PROMPTS,
    Components,
    Config,
    Coverage,
    Device,
    Dtype,
    Json,
    Layers,
    MaxNew,
    Only,
    Remote,
    Removal,
    Route,
    Skip,
    Template,
    Vectors,
    Verbs,
    Words,
)
from aftertune.cli.settings_file import as_yaml, keeping_settings, settled
from aftertune.cli.told import announce, tell
from aftertune.errors import RunError
from aftertune.models.subject import run_name


@app.command(short_help="Compare checkpoints: responses, heads, layers.")
def compare(
    context: typer.Context,
    base: Annotated[str, typer.Argument(metavar="BASE", help=f"The model before tuning: {CHECKPOINT}.")],
    tuned: Annotated[
        list[str],
        typer.Argument(
            metavar="TUNED...",
            help="The model after tuning, likewise; with --tuned-adapter, its base. Several in the order of training "
            "(SFT DPO): each is compared with its predecessor and with the base.",
        ),
    ],
    run: Annotated[
        str | None, typer.Option(help="Folder that keeps the run and its report; by default runs/BASE-TUNED.")
    ] = None,
    prompts: Annotated[str | None, typer.Option(help=f"{PROMPTS}; by default twelve of ours.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N prompts.")] = None,
    max_new_tokens: MaxNew = 300,
    template: Template = "raw",
    base_adapter: Annotated[
        str | None, typer.Option(help="LoRA adapter (folder or hub id) merged into the base.")
    ] = None,
    tuned_adapter: Annotated[
        list[str] | None,
        typer.Option(help=f"LoRA adapter (folder or hub id) merged into the tuned; {EACH}."),
    ] = None,
    base_revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the base on the hub.")] = None,
    tuned_revision: Annotated[
        list[str] | None, typer.Option(help=f"Branch, tag or commit of the tuned on the hub; {EACH}.")
    ] = None,
    route: Route = "auto",
    removal: Removal = "zeroed",
    base_name: Annotated[str | None, typer.Option(help="Name of the base in the report.")] = None,
    tuned_name: Annotated[list[str] | None, typer.Option(help=f"Name of the tuned in the report; {EACH}.")] = None,
    check: Annotated[int, typer.Option(min=0, help="How many prompts per model are held against removal itself.")] = 4,
    words: Words = None,
    vectors: Vectors = None,
    layers: Layers = None,
    min_coverage: Coverage = 0.5,
    verbs: Verbs = None,
    components: Components = 300,
    only: Only = None,
    skip: Skip = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    trust_remote_code: Remote = False,
    as_json: Json = False,
    _config: Config = None,
) -> None:
    """Compare a BASE and a TUNED checkpoint: responses to the same prompts, attention heads, feed-forward layers.

    Before it begins it tells what was chosen, and about how long it will take. The run keeps all settings in
    settings.yaml, for --config. An interrupted comparison goes on where it stopped when the same command is given
    again.
    """
    from aftertune.cli.progress import shown_progress

    skipped = _skipped(only, skip)
    subjects = [
        aftertune.Subject(base, base_adapter, base_revision, base_name),
        *map(
            aftertune.Subject,
            tuned,
            _for_each(tuned, "--tuned-adapter", tuned_adapter),
            _for_each(tuned, "--tuned-revision", tuned_revision),
            _for_each(tuned, "--tuned-name", tuned_name),
        ),
    ]
    run = run or f"runs/{run_name(subjects)}"
    with shown_progress() as display:
        found = aftertune.compare(
            subjects[0],
            subjects[1:],
            run,
            prompts,
            aftertune.Plan(template, max_new_tokens, route, removal, check=check),
            aftertune.HeadStudy(words, vectors, verbs, aftertune.HeadPlan(layers=layers, min_coverage=min_coverage)),
            aftertune.ConceptStudy(words, aftertune.ConceptPlan(components, layers=layers)),
            skip=skipped,
            limit=limit,
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            progress=keeping_settings(display, run, as_yaml(settled(context))),
            announce=partial(announce, display, skipped),
        )
    tell(found, as_json, run=run)


def _skipped(only: list[str] | None, skip: list[str] | None) -> list[str]:
    from aftertune.study.study import PARTS

    if only and skip:
        raise RunError("--only and --skip both say which parts are computed. Give one of the two.")
    unknown = sorted(set(only or ()) - set(PARTS))
    if unknown:
        raise RunError(f"{unknown[0]!r} is no part of a comparison. The parts are {', '.join(PARTS)}.")
    return [part for part in PARTS if part not in only] if only else skip or []


def _for_each(tuned: list[str], option: str, values: list[str] | None) -> list[str | None]:
    """What an option says of every tuned checkpoint; "" and an option left out say nothing."""
    if values and len(values) != len(tuned):
        raise RunError(
            f"{option} is given {len(values)} times for {len(tuned)} tuned checkpoints. Give it once for each, in "
            'their order, "" for none.'
        )
    return [value or None for value in values or [""] * len(tuned)]
