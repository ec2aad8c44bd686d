"""How does one checkpoint put prompts, as it was asked?  In its chat template, that of a file, or none."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from aftertune.models.adapters.tokenizer import with_template
from aftertune.models.loaded import Checkpoint
from aftertune.prompts.template_head import Argument, must_name, read_template_file, told
from aftertune.prompts.templates import ASKED, choose_template


def put(checkpoint: Checkpoint, asked: str, arguments: Mapping[str, Argument] | None) -> tuple[Checkpoint, str]:
    """The checkpoint as it puts prompts, with the arguments that its chat template is told, and how: "raw", "chat", ...

    ``asked`` is what `choose_template` takes, or the file of a chat template. Raises `PromptError` for what is not
    known, and for arguments that the template does not read.
    """
    tokenizer = checkpoint.tokenizer
    if asked not in ASKED and Path(asked).is_file():
        tokenizer, asked = with_template(tokenizer, read_template_file(asked)), "chat"
    how = choose_template(asked, [tokenizer])[0]
    if arguments:
        must_name([tokenizer.chat_template if how == "chat" else None], arguments)
        tokenizer = with_template(tokenizer, told(tokenizer.chat_template, arguments, datetime.now()))
    return replace(checkpoint, tokenizer=tokenizer), how
