"""Is it the address of a server?  Told before anything is connected; a password or a key in it is refused."""

import re
from urllib.parse import urlsplit

from aftertune.errors import AftertuneError, CheckpointError, translated

ADDRESS = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")
ENDINGS = re.compile(r"(/v1)?(/chat/completions|/completions|/chat)?/*$")


def must_be_address(address: str, error: type[AftertuneError] = CheckpointError) -> None:
    """Raise ``error`` for what is no address of a server; it is not shown, since it may hold a password."""
    with translated(error, "The address of the server can't be read", "Give one such as http://host:8000/v1."):
        parts = urlsplit(address)
        named = bool(parts.hostname) and parts.port != 0
    if not ADDRESS.fullmatch(address) or not named:
        raise error(
            "The address of the server must be a scheme, a host and a path, as http://host:8000/v1. A name, a password "
            "or a key does not belong in it: set OPENAI_API_KEY in the environment."
        )


def root_of(address: str) -> str:
    """An address without the path below which OpenAI's places lie."""
    return ENDINGS.sub("", address)
