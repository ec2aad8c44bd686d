"""One command per question: each parses, calls the library, and prints. No science here."""

import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import aftertune
from aftertune.errors import AftertuneError, AnnotationError, RunError
from aftertune.settings import as_yaml, keeping_settings, settled, take_settings
from aftertune.subject import run_name

if TYPE_CHECKING:
    import polars as pl

    from aftertune.annotation.estimate import Estimate
    from aftertune.comparison.change import Comparison
    from aftertune.comparison.lineage import Lineage
    from aftertune.expected.intent import Intent
    from aftertune.progress import Display
    from aftertune.results.attribution import Attribution
    from aftertune.results.heads import HeadReading

app = typer.Typer(
    help="What did tuning change inside this language model?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130
CHECKPOINT = "hub id, folder, or .gguf file"
PROMPTS = "Prompt file (JSON lines, Alpaca, Self-Instruct, MT-Bench, LIMA) or hub:NAME[:SPLIT]"
EACH = 'once for each TUNED, "" for none'
OPTIONAL = "may be left out where it holds two models of which one is rated"

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, mps, or balanced (all GPUs).")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, float16 or float64.")]
Template = Annotated[str, typer.Option(help="raw, or chat (the tokenizer's chat template).")]
Remote = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", help="Run Python code that comes with the checkpoint; only for sources that you trust."
    ),
]
Route = Annotated[str, typer.Option(help="auto, forward, reverse, or removal (Eq. 1 itself).")]
Removal = Annotated[
    str, typer.Option(help="How removal removes: zeroed (embeddings set to 0) or deleted (tokens left out).")
]
MaxNew = Annotated[int, typer.Option(min=1, help="Most tokens of a generated response.")]
Words = Annotated[
    str | None, typer.Option(help="Words to read weights with: list, list with frequencies, text; by default English.")
]
Vectors = Annotated[
    str | None,
    typer.Option(help="Word vectors: GloVe, word2vec, fastText, .npz, .safetensors, hub id; by default spaCy's."),
]
Layers = Annotated[str | None, typer.Option(help="Layers that are read, as 0-7 or 0,4,8-11; by default all.")]
Components = Annotated[int, typer.Option(min=1, help="Principal components of each feed-forward layer.")]
Coverage = Annotated[float, typer.Option(min=0, max=1, help="Least share of the words that must have a vector.")]
Verbs = Annotated[
    str | None, typer.Option(help="File of words to ask about in heads (table 3), instead of the instruction verbs.")
]
Only = Annotated[list[str] | None, typer.Option(help="Compute attribution, heads, or concepts, and no other part.")]
Skip = Annotated[list[str] | None, typer.Option(help="Leave out attribution, heads, or concepts.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        is_eager=True,
        callback=take_settings,
        help="YAML file with any of these settings; what is given here wins.",
    ),
]


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and end.")] = False,
) -> None:
    """What did tuning change inside this language model?"""
    if version:
        typer.echo(f"aftertune {aftertune.__version__}")
        raise typer.Exit


@app.command()
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
    with _progress() as display:
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
            announce=partial(_announce, display, skipped),
        )
    _tell(found, as_json, run=run)


@app.command()
def attribute(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{CHECKPOINT}.")],
    prompt: Annotated[str, typer.Option(help="The prompt's text.")],
    response: Annotated[str | None, typer.Option(help="A response to force; else the model's own greedy one.")] = None,
    route: Route = "auto",
    unit: Annotated[str, typer.Option(help="token, word, sentence, or line.")] = "token",
    removal: Removal = "zeroed",
    check: Annotated[bool, typer.Option("--check", help="Also hold the first order against removal itself.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write it as .json, .html, .svg, .png or .parquet.")] = None,
    adapter: Annotated[str | None, typer.Option(help="LoRA adapter (folder or hub id) merged into the model.")] = None,
    template: Template = "raw",
    max_new_tokens: MaxNew = 300,
    device: Device = "auto",
    dtype: Dtype = "float32",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")] = None,
    trust_remote_code: Remote = False,
    as_json: Json = False,
) -> None:
    """Attribute a response of MODEL to its prompt: which prompt tokens did each response token depend on?"""
    if out is not None:
        _check_out(out)
    checkpoint = aftertune.load(model, adapter, device, dtype, revision, trust_remote_code=trust_remote_code)
    found = aftertune.attribute(
        checkpoint,
        prompt,
        response,
        route,
        unit,
        template=template,
        removal=removal,
        check=check,
        max_new_tokens=max_new_tokens,
    )
    if out is not None:
        _write_attribution(out, found)
    if as_json:
        typer.echo(json.dumps(_plain(found), ensure_ascii=False))
    else:
        _show_attribution(found, out)


@app.command()
def heads(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{CHECKPOINT}.")],
    run: Annotated[str, typer.Option(help="Folder that keeps what is read, a layer at a time.")],
    words: Words = None,
    vectors: Vectors = None,
    layers: Layers = None,
    min_coverage: Coverage = 0.5,
    find: Annotated[str | None, typer.Option(help="Show the heads whose list holds this word.")] = None,
    adapter: Annotated[str | None, typer.Option(help="LoRA adapter (folder or hub id) merged into the model.")] = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")] = None,
    trust_remote_code: Remote = False,
    as_json: Json = False,
) -> None:
    """Read every attention head of MODEL as word pairs: which words does it connect?

    An interrupted reading goes on where it stopped when the same command is given again.
    """
    from aftertune.layerwise import make_lexicon_of, read_heads_of
    from aftertune.study import read_into_run

    plan = aftertune.HeadPlan(layers=layers, min_coverage=min_coverage)
    with _progress() as progress:
        read_into_run(
            aftertune.Subject(model, adapter, revision),
            run,
            read_heads_of(make_lexicon_of(aftertune.HeadStudy(words, vectors, plan=plan))),
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            progress=progress,
        )
    found = aftertune.open_heads(run)
    if as_json:
        shown = replace(found, pairs=found.heads_with(find)) if find else found
        typer.echo(json.dumps(shown.to_dict(), ensure_ascii=False))
    else:
        _show_heads(found, run, find)


@app.command()
def concepts(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{CHECKPOINT}.")],
    run: Annotated[str, typer.Option(help="Folder that keeps what is read, a layer at a time.")],
    words: Words = None,
    components: Components = 300,
    n_words: Annotated[int, typer.Option(min=1, help="Words of each component.")] = 15,
    layers: Layers = None,
    find: Annotated[str | None, typer.Option(help="Show the components among whose words this one is.")] = None,
    adapter: Annotated[str | None, typer.Option(help="LoRA adapter (folder or hub id) merged into the model.")] = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")] = None,
    trust_remote_code: Remote = False,
    as_json: Json = False,
) -> None:
    """Read every feed-forward layer of MODEL as directions with words: what does it write?

    An interrupted reading goes on where it stopped when the same command is given again.
    """
    from aftertune.layerwise import read_concepts_of
    from aftertune.study import read_into_run

    with _progress() as progress:
        read_into_run(
            aftertune.Subject(model, adapter, revision),
            run,
            read_concepts_of(aftertune.ConceptStudy(words, aftertune.ConceptPlan(components, n_words, layers))),
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            progress=progress,
        )
    found = aftertune.open_concepts(run)
    rows = found.components if find is None else found.concepts_with(find)
    if as_json:
        typer.echo(json.dumps(found.to_dict() | {"components": rows.to_dicts()}, ensure_ascii=False))
    else:
        _show_concepts(rows, run, find)


@app.command()
def annotate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of aftertune concepts, or of a comparison.")],
    server: Annotated[
        str | None,
        typer.Option(
            help="Address of an OpenAI-compatible server (its key in OPENAI_API_KEY), local:MODEL (a chat model loaded "
            "here), or words[:VECTORS] (a baseline by word vectors)."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The server's name of the model that annotates.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each concept is described.")] = 5,
    components: Annotated[int | None, typer.Option(min=1, help="Only the first N of each feed-forward layer.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Most requests at a time.")] = 8,
    max_requests: Annotated[int | None, typer.Option(min=1, help="Stop after so many; started again, go on.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before requests are sent.")] = False,
    templates: Annotated[
        str | None, typer.Option(help="Folder with your own description.txt, tasks.txt, level.txt or cases.json.")
    ] = None,
    structured: Annotated[
        str, typer.Option(help="Answers held to a JSON schema by the server: auto, on, off.")
    ] = "auto",
    export: Annotated[str | None, typer.Option(help="Write the concepts for a person: .csv or .jsonl.")] = None,
    import_: Annotated[str | None, typer.Option("--import", help="Read back such a file, filled in.")] = None,
    rater: Annotated[str | None, typer.Option(help="With --import: who filled it in.")] = None,
    as_json: Json = False,
) -> None:
    """Annotate the concepts of RUN: what do their words share, which tasks do they serve, at which linguistic level?

    An interrupted annotation goes on where it stopped when the same command is given again; no answer is paid twice.
    """
    from aftertune.annotation import AnnotationPlan, export_concepts, import_annotations
    from aftertune.annotation import annotate as ask

    if sum(given is not None for given in (server, export, import_)) != 1 or (import_ is None) != (rater is None):
        raise AnnotationError("Give one of --server, --export FILE, or --import FILE with --rater NAME.")
    if export is not None:
        n_lists = export_concepts(run, export, components)
        typer.echo(json.dumps({"lists": n_lists}) if as_json else f"Written: {export}, {n_lists} lists of words")
        return
    if import_ is not None and rater is not None:
        _show_annotations(import_annotations(run, import_, rater), run, as_json)
        return
    plan = AnnotationPlan(repeats, components, concurrency, max_requests, templates, structured)
    with ExitStack() as stack:
        bars = cache(lambda: stack.enter_context(_progress()))  # only after the question, which they would hide
        found = ask(
            run, str(server), model, plan, confirm=partial(_confirm, yes=yes), progress=lambda *step: bars()(*step)
        )
    _show_annotations(found, run, as_json)


@app.command()
def label(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a comparison.")],
    rater: Annotated[
        str | None, typer.Option(help="Who labels, so that several can; with --export only this rater's labels.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the page; by default a free one.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the page's address.")] = False,
    import_: Annotated[
        str | None, typer.Option("--import", help="Take the spans and ratings of a prompt file as --rater's labels.")
    ] = None,
    export: Annotated[str | None, typer.Option(help="Write the labels as a prompt file.")] = None,
    as_json: Json = False,
) -> None:
    """Open a page on this machine to mark the instructions of RUN and to rate its responses 1 to 4.

    Every action is on disk at once; end with Ctrl-C, and go on with the same command.
    """
    if import_ is not None and (export is not None or rater is None):
        raise AnnotationError("--import needs --rater NAME, and no --export. Say whose labels they are.")
    if import_ is not None and rater is not None:
        done = {"actions": aftertune.import_labels(run, import_, rater)}
    elif export is not None:
        done = {"prompts": aftertune.export_labels(run, export, rater)}
    else:
        tell = partial(typer.echo, err=True)
        labels = aftertune.label(run, rater or "rater", port or 0, not no_browser, lambda page: tell(f"Open {page}"))
        done = {"responses": len(labels.ratings), "prompts": len(labels.spans)}
    _show_labels(done, run, export, as_json)


@app.command()
def score(
    maps: Annotated[Path, typer.Argument(metavar="MAPS", help="Parquet file of maps.")],
    prompts: Annotated[str, typer.Option(help="The prompts the maps were made of, with spans and ratings.")],
    base: Annotated[str | None, typer.Option(help=f"Name of the base in the file; {OPTIONAL}.")] = None,
    tuned: Annotated[str | None, typer.Option(help=f"Name of the tuned in the file; {OPTIONAL}.")] = None,
    as_json: Json = False,
) -> None:
    """Compute tables 1 and 2 and figure 6 from maps that were computed elsewhere."""
    _tell(aftertune.score(maps, prompts, base, tuned), as_json)


@app.command()
def demo(
    run: Annotated[str, typer.Option(help="Folder that keeps the run and its report.")] = "runs/demo",
    as_json: Json = False,
) -> None:
    """Compare SmolLM2-135M-Instruct with the LoRA adapter that comes with Aftertune, on twelve prompts."""
    from aftertune.demo import ADAPTER, MAX_NEW_TOKENS, find_demo_base

    base = find_demo_base()
    with _progress() as progress:
        told: Comparison | Lineage
        found = told = aftertune.compare(
            aftertune.Subject(base, name="SmolLM2-135M-Instruct"),
            aftertune.Subject(base, ADAPTER, name="plain-form tune"),
            run,
            plan=aftertune.Plan(max_new_tokens=MAX_NEW_TOKENS),
            progress=progress,
            announce=partial(_announce, progress, ()),
        )
        if found.annotations is None:
            progress("annotation by word vectors", 0, 1)
            aftertune.annotate(run, "words")
            told = aftertune.write_report(run)
            progress("annotation by word vectors", 1, 1)
    _tell(told, as_json, run=run)


@app.command()
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    verbs: Verbs = None,
    as_json: Json = False,
) -> None:
    """Write the report of a saved run again, without loading a model."""
    _tell(aftertune.write_report(run, verbs), as_json, run=run)


def main() -> NoReturn:
    """The program ``aftertune``: exits with 2 and one message where the input is at fault."""
    try:
        app(standalone_mode=True)
    except AftertuneError as error:
        typer.echo(f"aftertune: {error}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:  # what typer makes of Ctrl-C
            raise
        typer.echo("aftertune: interrupted. Started again, the same command goes on where it stopped.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _progress() -> "AbstractContextManager[Display]":
    from aftertune.progress import shown_progress

    return shown_progress()


def _confirm(expected: "Estimate", yes: bool) -> bool:
    typer.echo(str(expected), err=True)
    return yes or not sys.stdin.isatty() or typer.confirm("Start?", err=True)


def _show_annotations(found: "pl.DataFrame", run: str, as_json: bool) -> None:
    from aftertune.results.annotation_parts import recall_annotations
    from aftertune.results.annotations import are_copies
    from aftertune.results.run import RunFolder

    about = recall_annotations(RunFolder.open(run)) or {}
    if as_json:
        typer.echo(json.dumps(about | {"annotations": found.to_dicts()}, ensure_ascii=False))
        return
    for (role,), rows in found.partition_by("role", as_dict=True, maintain_order=True).items():
        told = rows["description"].is_not_null().sum()
        unparsed = (rows["unparsed"].list.len() > 0).sum()
        typer.echo(
            f"{role}: {told:,} of {rows.height:,} annotations tell a concept; {unparsed:,} had unusable answers."
        )
        if are_copies(rows):
            typer.echo(f"{role}: no repeat differs from another; the annotator does not sample, so they tell nothing.")
    typer.echo(f"Written: {run.rstrip('/')}/annotations/{about['annotator']['name']}/annotations.parquet")
    if "base" in set(found["role"]):
        typer.echo(f"In the report: aftertune report {run}")


def _show_labels(done: dict[str, int], run: str, export: str | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(done))
    elif export is not None:
        typer.echo(f"Written: {export}, {done['prompts']} prompts with labels")
    elif "actions" in done:
        typer.echo(f"Taken over: {done['actions']} labels\nIn the report: aftertune report {run}")
    else:
        typer.echo(f"{done['responses']} responses rated, {done['prompts']} prompts marked, all on disk")
        typer.echo(f"In the report: aftertune report {run}")


def _skipped(only: list[str] | None, skip: list[str] | None) -> list[str]:
    from aftertune.study import PARTS

    if only and skip:
        raise RunError("--only and --skip both say which parts are computed. Give one of the two.")
    unknown = sorted(set(only or ()) - set(PARTS))
    if unknown:
        raise RunError(f"{unknown[0]!r} is no part of a comparison. The parts are {', '.join(PARTS)}.")
    return [part for part in PARTS if part not in only] if only else skip or []


def _announce(display: "Display", skipped: Sequence[str], intent: "Intent") -> None:
    from aftertune.expected.prepare import prepare

    display.begin(*prepare(intent, skipped))


def _for_each(tuned: list[str], option: str, values: list[str] | None) -> list[str | None]:
    """What an option says of every tuned checkpoint; "" and an option left out say nothing."""
    if values and len(values) != len(tuned):
        raise RunError(
            f"{option} is given {len(values)} times for {len(tuned)} tuned checkpoints. Give it once for each, in "
            'their order, "" for none.'
        )
    return [value or None for value in values or [""] * len(tuned)]


def _tell(found: "Comparison | Lineage", as_json: bool, run: str | None = None) -> None:
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
        return
    from aftertune.comparison.change import Comparison
    from aftertune.comparison.findings import describe
    from aftertune.comparison.lineage_findings import describe_lineage
    from aftertune.comparison.summary import summarise

    findings = describe(found) if isinstance(found, Comparison) else describe_lineage(found)
    if run is None:
        for finding in findings:
            typer.echo(f"- {finding.headline}\n  {finding.sentence}")
        return
    for sentence in summarise(findings):
        typer.echo(f"- {sentence}")
    typer.echo(f"\nReport: {run.rstrip('/')}/report.html")


def _plain(found: "Attribution") -> dict[str, Any]:
    row = found.to_row()
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in row.items()} | {
        "levels": found.levels().tolist(),
        "density": found.density().tolist(),
    }


def _check_out(out: Path) -> None:
    """Refuse a place that can't be written before the model is loaded, not after it has worked."""
    from aftertune.results.parts import must_be_writable

    allowed = (".json", ".html", ".svg", ".png", ".parquet")
    if out.suffix not in allowed:
        given = f"ends in {out.suffix!r}" if out.suffix else "has no suffix"
        raise RunError(f"{out} {given}. Name the file {', '.join(allowed[:-1])} or {allowed[-1]}.")
    must_be_writable(out)


def _write_attribution(out: Path, found: "Attribution") -> None:
    from aftertune.report.instance import write_instance
    from aftertune.results.parts import write_text

    if out.suffix == ".json":
        write_text(out, json.dumps(_plain(found), ensure_ascii=False) + "\n")
    elif out.suffix == ".parquet":
        found.save(out)
    else:
        write_instance(out, found.to_map("attribution"), found.importance, found.probability)


def _show_attribution(found: "Attribution", out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from aftertune.results.sparsify import DENSITY_THRESHOLD

    console = Console()
    console.print(Text(f"Response: {found.response}"))
    table = Table("prompt " + found.unit, "density", "most important for", box=None)
    for token, density, row in zip(found.prompt_tokens, found.density(), found.levels(), strict=True):
        order = (-row.astype(int)).argsort(kind="stable")[:5]
        top = [found.response_tokens[index] for index in order if row[index] > DENSITY_THRESHOLD]
        table.add_row(Text(repr(token)[1:-1]), f"{density:.2f}", Text(" | ".join(repr(t)[1:-1] for t in top)))
    console.print(table)
    if found.agreement:
        console.print(
            f"First order against removal ({found.agreement.removal}): rank correlation "
            f"{found.agreement.spearman:.2f}, same top unit for {found.agreement.top1:.0%} of response tokens."
        )
    if out is not None:
        console.print(Text(f"Written: {out}"))


def _show_heads(found: "HeadReading", run: str, word: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    n_with = int(found.has_vector.sum())
    console.print(f"{n_with:,} of {len(found.words):,} words have a vector; {found.pairs.height:,} pairs in the lists.")
    shown = found.strongest() if word is None else found.heads_with(word)
    if word is not None:
        console.print(Text(f"Pairs that hold {word!r}: {shown.height}"))
    table = Table(*(column.replace("n_neurons", "held by").replace("_", " ") for column in shown.columns), box=None)
    for row in shown.iter_rows():
        table.add_row(*(Text(str(value)) for value in row))
    if shown.height:
        console.print(table)
    console.print(Text(f"Read: {run.rstrip('/')}/heads/pairs/model/*.parquet, and neurons beside it"))


def _show_concepts(rows: "pl.DataFrame", run: str, word: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if word is None:
        rows = rows.filter(rows["rank"] == 1)
        console.print("The first component of every layer:")
    else:
        console.print(Text(f"Components with {word!r}: {rows.height}"))
    table = Table("layer", "rank", "variance", "p (chance)", "words", box=None)
    for row in rows.iter_rows(named=True):
        p = "–" if row["p_chance"] is None else f"{row['p_chance']:.2g}"
        numbers = (str(row["layer"]), str(row["rank"]), f"{row['variance_share']:.1%}", p)
        table.add_row(*numbers, Text(", ".join(row["words"])))
    if rows.height:
        console.print(table)
    console.print(Text(f"Read: {run.rstrip('/')}/concepts/components/model/*.parquet, and spectra beside it"))
