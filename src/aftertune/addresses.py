"""What of an address may be kept and shown?  All but what may be secret: user and password, query and fragment.

A signature or token in a query opens whatever the address leads to, and a run folder and its report are passed on.
"""

import re
from typing import Any

HIDDEN = "***"
START = r"(\b[A-Za-z][A-Za-z0-9+.-]+:/{1,3})"  # one slash is left where it went through a path
# What follows "user:" is hidden up to the @, whatever it holds; "::" stands between the parts of a chained address.
USER = re.compile(START + r"(?:[^\s/?#@:]*:(?!:)[^\s@]*|[^\s/?#@]*)@")
# To the end of the word, less the signs that close a sentence, a quotation or a bracket around it.
QUERY = re.compile(START + r"([^\s?#]*[?#])\S*?(?=[.,;:)\]}\"'`>]*(?:\s|$))")


def without_secrets(text: str) -> str:
    """A text with the secret parts of all addresses in it hidden: ``https://***@host/file?***``."""
    if ":/" not in text:
        return text
    return QUERY.sub(rf"\1\2{HIDDEN}", USER.sub(rf"\1{HIDDEN}@", text))


def data_without_secrets(value: Any) -> Any:
    """Plain data with the secret parts of all addresses in it hidden."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {name: data_without_secrets(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [data_without_secrets(one) for one in value]
    return value


def place_of(address: str) -> str:
    """An address without its query: where a file's name and ending are read from."""
    return re.split("[?#]", address, maxsplit=1)[0] if re.match(START, address) else address
