"""Which tokenizer belongs to an adapter?  The one that was saved beside it, where that goes on from its base's.

1. A training of an adapter saves the tokenizer beside it, with the tokens that were added, the token that ends an
   answer, and the chat template. It is taken if it reads every token of the base's tokenizer as the same number.
2. Else the base's is taken, with the chat template of the adapter's folder, where there is one.
"""

import copy
import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast
from transformers.utils.hub import cached_file

from aftertune.errors import CheckpointError, translated
from aftertune.models.files.references import find_adapter
from aftertune.models.temporary_state import quiet
from aftertune.prompts.template_head import must_be_template

AGAIN = "Save its tokenizer again, or take its tokenizer_config.json away."


def tokenizer_with(tokenizer: Any, adapter: str | Path | None) -> Any:
    """The tokenizer of a base (None where it has none) with an adapter; the one that is given stays as it is.

    Raises `CheckpointError` if there is no adapter, or what was saved with it can't be read.
    """
    if adapter is None:
        return tokenizer
    template = adapter_template(str(adapter))
    own = adapter_tokenizer(str(adapter), tokenizer)
    found = own if own is not None and (tokenizer is None or _goes_on_from(own, tokenizer)) else tokenizer
    if template is None and found is own and tokenizer is not None:
        template = tokenizer.chat_template
    return found if template is None or found is None else with_template(found, template)


def with_template(tokenizer: Any, template: Any) -> Any:
    """A copy of the tokenizer that has this chat template (text, or several by name)."""
    own = copy.copy(tokenizer)
    own.chat_template = template
    return own


def adapter_tokenizer(adapter: str, base: Any = None) -> Any:
    """The fast tokenizer that was saved with an adapter (folder or hub id); None where there is none.

    It is read as one of the class of ``base``.
    """
    place = find_adapter(adapter)
    if _file(place, "tokenizer.json") is None:
        return None
    kind = type(base) if getattr(base, "is_fast", False) else PreTrainedTokenizerFast
    with quiet(), translated(CheckpointError, f"The tokenizer of the adapter {adapter} can't be read", AGAIN):
        return kind.from_pretrained(place)


def adapter_template(adapter: str) -> Any:
    """The chat template that was saved with an adapter (folder or hub id); None where there is none."""
    place = find_adapter(adapter)
    with translated(CheckpointError, f"The chat template of the adapter {adapter} can't be read", AGAIN):
        found = _template_at(place)
    must_be_template(found, adapter)
    return found


def _goes_on_from(own: Any, base: Any) -> bool:
    """Whether a tokenizer has all tokens of another, under the same numbers."""
    found: bool = base.get_vocab().items() <= own.get_vocab().items()
    return found


def _template_at(place: str) -> Any:
    text = _file(place, "chat_template.jinja")
    if text is not None:
        return text
    config = _file(place, "tokenizer_config.json")
    found = None if config is None else json.loads(config).get("chat_template")
    return {one["name"]: one["template"] for one in found} if isinstance(found, list) else found


def _file(place: str, name: str) -> str | None:
    """The text of a file; None where it isn't there: many adapters come without a tokenizer."""
    quietly = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
    found = cached_file(place, name, **quietly)
    return None if found is None else Path(found).read_text("utf-8")
