"""``python -m aftertune`` is the command ``aftertune``."""

from aftertune.cli import main

main()
