"""Arguments and options that several commands share, and how a value is checked before anything is loaded."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from aftertune.errors import RunError, not_known
from aftertune.explainers.settings import allowed_values
from aftertune.prompts.templates import ASKED
from aftertune.study.study import Study

CHECKPOINT = "hub id, folder, or .gguf file"
PROMPTS = "Prompt or chat data file (JSON, CSV, Parquet; docs/prompts.md) or hub:NAME[:CONFIG][:SPLIT]"
EACH = 'once for each TUNED, "" for none'
OPTIONAL = "may be left out where it holds two models of which one is rated"
DTYPES = allowed_values(Study.model_fields["dtype"].annotation)
TEMPLATE_FILE = re.compile(r"base|tuned(-\d+)?|.*[./\\].*")  # whose it is, or a file
DEVICES = ("auto", "cpu", "cuda", "cuda:N", "mps", "balanced", "disk")
NUMBERED = re.compile(r"cuda:\d+")


def one_of(
    allowed: Sequence[str], help: str, *names: str, what: str = "", also: re.Pattern[str] | None = None, **more: Any
) -> Any:
    """An option that takes one of these values (several between commas, where it is a list), completed by shells.

    ``also`` is the form of values that stand for many. Another value is refused before anything is loaded, as
    ``what``, by default the option's name.
    """
    more |= {"callback": _check(allowed, what, also), "autocompletion": _complete(allowed)}
    return typer.Option(*names, help=help, **more)


def _check(allowed: Sequence[str], what: str, also: re.Pattern[str] | None) -> Callable[..., Any]:
    def check(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
        given = value if isinstance(value, list) else [value]
        for one in (part.strip() for text in given if text is not None for part in str(text).split(",")):
            if one not in allowed and not (also and also.fullmatch(one)) and not ctx.resilient_parsing:
                raise RunError(not_known(what or str(param.name), one, allowed))
        return value

    return check


def _complete(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        done, comma, begun = incomplete.rpartition(",")
        return [f"{done}{comma}{one}" for one in allowed if one.startswith(begun)]

    return complete


PLACES = "auto, cpu, cuda, cuda:N, mps, balanced (all GPUs, then memory, then disk), or disk (weights stay there)"


def device_option(help: str = f"{PLACES}.", **more: Any) -> Any:
    """Where models are computed."""
    return one_of(DEVICES, help, also=NUMBERED, **more)


KINDS = "float32, tf32 (on a GPU), bfloat16, float16, float64; int8 or int4 to run models only"


def dtype_option(help: str = f"{KINDS}.", **more: Any) -> Any:
    """The type of a model's weights and states."""
    return one_of(DTYPES, help, **more)


TEMPLATE = "auto, chat, raw, rendered, or the file of a chat template (docs/prompts.md)"


def template_option(help: str = f"How prompts are put: {TEMPLATE}.", **more: Any) -> Any:
    """How prompts are put."""
    return one_of(ASKED, help, also=TEMPLATE_FILE, **more)


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Device = Annotated[str, device_option()]
Dtype = Annotated[str, dtype_option()]
REMOTE = "Run Python code that comes with the checkpoint; only for sources that you trust."
Remote = Annotated[bool, typer.Option("--trust-remote-code", help=REMOTE)]
Adapter = Annotated[str | None, typer.Option(help="LoRA adapter (folder or hub id) merged into the model.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")]
TOKENIZER = "Tokenizer (folder or hub id) for a checkpoint that was saved without one"
Tokenizer = Annotated[str | None, typer.Option(help=f"{TOKENIZER}.")]
OUT = (
    "as a file of its own; may be repeated: a table (table2.tex, .md, .csv), a figure (figure2.pdf, .svg, .png), the "
    "methods as text (methods.md), or the page (any .html)."
)
RunOfOne = Annotated[str, typer.Option(help="Folder that keeps what is read, a layer at a time.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help=f"{CHECKPOINT}.")]
MaxNew = Annotated[int, typer.Option(min=1, help="Most tokens of a generated response.")]
Template = Annotated[str, template_option()]
ARGUMENT = "NAME=VALUE, told to the chat template (enable_thinking=false); repeat it for more"
TemplateArg = Annotated[list[str] | None, typer.Option(help=f"{ARGUMENT}.")]
