"""Arguments and options that several commands share."""

from typing import Annotated

import typer

CHECKPOINT = "hub id, folder, or .gguf file"
PROMPTS = "Prompt or chat data file (JSON, CSV, Parquet; docs/prompts.md) or hub:NAME[:CONFIG][:SPLIT]"
EACH = 'once for each TUNED, "" for none'
OPTIONAL = "may be left out where it holds two models of which one is rated"

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, mps, or balanced (all GPUs).")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, float16 or float64.")]
Remote = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", help="Run Python code that comes with the checkpoint; only for sources that you trust."
    ),
]
Adapter = Annotated[str | None, typer.Option(help="LoRA adapter (folder or hub id) merged into the model.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")]
TOKENIZER = "Tokenizer (folder or hub id) for a checkpoint that was saved without one"
Tokenizer = Annotated[str | None, typer.Option(help=f"{TOKENIZER}.")]
RunOfOne = Annotated[str, typer.Option(help="Folder that keeps what is read, a layer at a time.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help=f"{CHECKPOINT}.")]
MaxNew = Annotated[int, typer.Option(min=1, help="Most tokens of a generated response.")]
TEMPLATE = (
    "auto (chat where there is a chat template, else raw), chat, raw (the text as it stands, as in the paper), "
    "rendered (the text was put in a chat template already), or the file of a chat template"
)
Template = Annotated[str, typer.Option(help=f"How prompts are put: {TEMPLATE}.")]
ARGUMENT = "NAME=VALUE, told to the chat template (enable_thinking=false); repeat it for more"
TemplateArg = Annotated[list[str] | None, typer.Option(help=f"{ARGUMENT}.")]
