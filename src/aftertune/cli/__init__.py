"""One command per question: each parses, calls the library, and prints. No science here."""

from aftertune.cli import compare, attribute, weights, people, again  # noqa: F401, I001  # in the order of --help
from aftertune.cli.app import app, main, top

__all__ = ["app", "main", "top"]
