"""The command on one prompt under one model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import aftertune
from aftertune.cli.app import command_app
from aftertune.cli.options import (
    Adapter,
    Device,
    Dtype,
    Json,
    MaxNew,
    Model,
    Remote,
    Revision,
    Template,
    TemplateArg,
    Tokenizer,
    one_of,
)
from aftertune.cli.terminal import TextConsole, say, say_json
from aftertune.errors import RunError
from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.explainers.settings import allowed_values
from aftertune.prompts.template_head import read_arguments

if TYPE_CHECKING:
    from aftertune.explainers.attribution.result import Attribution


app = command_app()


def _of(setting: str, help: str) -> Any:
    """An option that takes what a setting of attribution does."""
    return one_of(allowed_values(AttributionSettings.model_fields[setting].annotation), help)


@app.command()
def attribute(
    model: Model,
    prompt: Annotated[str, typer.Option(help="The prompt's text.")],
    response: Annotated[str | None, typer.Option(help="A response to force; else the model's own greedy one.")] = None,
    method: Annotated[
        str,
        _of("method", "How importance is measured: removal, gradient, locally-linear (docs/how-to.md)."),
    ] = "removal",
    unit: Annotated[str, _of("unit", "token, word, sentence, or line.")] = "token",
    removal: Annotated[
        str,
        _of("removal", "How removal leaves a token out: mean, deleted, zeroed, averaged, mixed (docs/how-to.md)."),
    ] = "mean",
    removal_budget: Annotated[
        float,
        typer.Option(
            help="Share of the cost of leaving every token out: below 1, long prompts are searched by sentences first."
        ),
    ] = 1.0,
    route: Annotated[
        str, _of("route", "Of the gradient: auto, forward, reverse, or forward-bfloat16 (faster, less exact).")
    ] = "auto",
    contrast_with: Annotated[
        str | None,
        typer.Option(help="Another response of as many tokens: why the response's tokens, and not these?"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Also hold the map against replaced words, and against another removal.")
    ] = False,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Also write it as .json, .html, .svg, .png, .pdf or .parquet; may be repeated."),
    ] = None,
    adapter: Adapter = None,
    template: Template = "auto",
    template_arg: TemplateArg = None,
    max_new_tokens: MaxNew = 300,
    device: Device = "auto",
    dtype: Dtype = "float32",
    revision: Revision = None,
    tokenizer: Tokenizer = None,
    trust_remote_code: Remote = False,
    as_json: Json = False,
) -> None:
    """Attribute a response of MODEL to its prompt: which prompt tokens did each response token depend on?"""
    for one in out or ():
        _check_out(one)
    chosen: dict[str, Any] = {"method": method, "route": route, "removal": removal, "removal_budget": removal_budget}
    how = AttributionSettings(**chosen)
    given = (model, adapter, device, dtype, revision)
    checkpoint = aftertune.load(*given, tokenizer=tokenizer, trust_remote_code=trust_remote_code)
    found = aftertune.attribute(
        checkpoint,
        prompt,
        response,
        how.method,
        unit,
        template=template,
        template_arg=read_arguments(template_arg),
        removal=how.removal,
        route=how.route,
        removal_budget=how.removal_budget,
        contrast_with=contrast_with,
        check=check,
        max_new_tokens=max_new_tokens,
    )
    for one in out or ():
        _write_attribution(one, found)
    if as_json:
        say_json(_plain(found))
    else:
        _show_attribution(found, out)


def _plain(found: "Attribution") -> dict[str, Any]:
    row = found.to_row()
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in row.items()} | {
        "levels": found.levels().tolist(),
        "density": found.density().tolist(),
    }


def _check_out(out: Path) -> None:
    """Refuse a place that can't be written before the model is loaded, not after it has worked."""
    from aftertune.runs.parts import must_be_writable

    allowed = (".json", ".html", ".svg", ".png", ".pdf", ".parquet")
    if out.suffix not in allowed:
        given = f"ends in {out.suffix!r}" if out.suffix else "has no suffix"
        raise RunError(f"{out} {given}. Name the file {', '.join(allowed[:-1])} or {allowed[-1]}.")
    must_be_writable(out)


def _write_attribution(out: Path, found: "Attribution") -> None:
    from aftertune.explainers.attribution.instance import write_instance
    from aftertune.runs.parts import write_text

    if out.suffix == ".json":
        write_text(out, json.dumps(_plain(found), ensure_ascii=False) + "\n")
    elif out.suffix == ".parquet":
        found.save(out)
    else:
        write_instance(out, found.to_map("attribution"), found.importance, found.probability)


def _show_attribution(found: "Attribution", outs: list[Path] | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from aftertune.explainers.attribution.faithfulness import of_possible
    from aftertune.explainers.attribution.score import DENSITY_THRESHOLD

    console = TextConsole()
    console.print(Text(f"Response: {found.response}"))
    n_divided = int(found.is_divided.sum())
    table = Table("prompt " + found.unit, "density", "most important for", box=None)
    for token, density, row in zip(found.prompt_tokens, found.density(), found.levels(), strict=True):
        order = (-row.astype(int)).argsort(kind="stable")[:5]
        top = [found.response_tokens[index] for index in order if row[index] > DENSITY_THRESHOLD]
        table.add_row(Text(repr(token)[1:-1]), f"{density:.2f}", Text(" | ".join(repr(t)[1:-1] for t in top)))
    console.print(table)
    if n_divided:
        console.print(
            f"{len(found.is_divided) - n_divided} of {len(found.is_divided)} prompt {found.unit}s were left out by "
            "themselves; the others share the importance of their sentence, divided evenly."
        )
    if found.faithfulness:
        kind = of_possible(found.faithfulness.spearman, found.faithfulness.ceiling)
        console.print(f"This map predicts what happens when a word is replaced: rank correlation {kind}.")
    if found.agreement:
        console.print(
            f"Against removal ({found.agreement.removal}): rank correlation {found.agreement.spearman:.2f}, same top "
            f"unit for {found.agreement.top1:.0%} of response tokens."
        )
    if outs:
        say(f"Written: {', '.join(map(str, outs))}")
