"""Modules of JavaScript joined to one script."""

from collections.abc import Sequence
from pathlib import Path


def bundle(scripts: Sequence[Path]) -> str:
    """The scripts, one after the other."""
    return "\n".join(path.read_text("utf-8") for path in scripts if path.exists())
