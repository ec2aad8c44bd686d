"""Which chat template belongs to a checkpoint?  That of its adapter's folder, where there is one, else its tokenizer's.

A training of an adapter saves the tokenizer beside it, with the chat template that it was trained in.
"""

import copy
import json
from pathlib import Path
from typing import Any

from transformers.utils.hub import cached_file

from aftertune.errors import CheckpointError
from aftertune.models.files.references import find_adapter


def with_template_of(tokenizer: Any, adapter: str | Path | None) -> Any:
    """The tokenizer with the chat template that lies in an adapter's folder or hub repository, if one does.

    The tokenizer that is given stays as it is. Raises `CheckpointError` if there is no adapter, or its template can't
    be read.
    """
    found = None if adapter is None else adapter_template(str(adapter))
    return tokenizer if found is None else with_template(tokenizer, found)


def with_template(tokenizer: Any, template: Any) -> Any:
    """A copy of the tokenizer that has this chat template (text, or several by name)."""
    own = copy.copy(tokenizer)
    own.chat_template = template
    return own


def adapter_template(adapter: str) -> Any:
    """The chat template that was saved with an adapter (folder or hub id); None where there is none."""
    place = find_adapter(adapter)
    try:
        return _template_at(place)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"The chat template of the adapter {adapter} can't be read: {error}. Save its tokenizer again, or take its "
            "tokenizer_config.json away."
        ) from error


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
