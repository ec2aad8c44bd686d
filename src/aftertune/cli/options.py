"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from aftertune.cli.settings_file import take_settings

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
Route = Annotated[
    str, typer.Option(help="auto, forward, reverse, removal (Eq. 1 itself), or forward-bfloat16 (faster, less exact).")
]
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
Adapter = Annotated[str | None, typer.Option(help="LoRA adapter (folder or hub id) merged into the model.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")]
RunOfOne = Annotated[str, typer.Option(help="Folder that keeps what is read, a layer at a time.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help=f"{CHECKPOINT}.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        is_eager=True,
        callback=take_settings,
        help="YAML file with any of these settings; what is given here wins.",
    ),
]
