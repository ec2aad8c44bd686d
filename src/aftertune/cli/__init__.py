"""The command line: each command a file that parses, calls the library, and prints."""

from aftertune.cli.app import main

__all__ = ["main"]
