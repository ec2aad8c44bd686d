"""What became of the rows of a prompt file?  How many were read, which could not be used, and what nobody reads.

A row that can't be used is skipped; the first few are told with their reasons. A field that a row carries and that is
no part of the prompt, its response or its ratings is named, with the number of rows that have it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

REASONS_TOLD = 3
FIELDS_TOLD = 8


@dataclass(frozen=True)
class Account:
    """``n_rows`` that were read, ``n_skipped`` of them with the first ``reasons``, each beginning with its place;
    ``n_replies``, rows that answer another and are no prompts; ``unused``, fields by the number of rows.
    """

    n_rows: int = 0
    n_skipped: int = 0
    n_replies: int = 0
    reasons: tuple[str, ...] = ()
    unused: Mapping[str, int] = field(default_factory=dict)

    @property
    def skipped(self) -> str:
        """That rows were skipped, and why the first of them; empty where none was."""
        return say_skipped(self.n_skipped, self.n_rows, "row", self.reasons)

    @property
    def sentences(self) -> list[str]:
        """What a reader is told, one thing each."""
        told = [self.skipped] if self.n_skipped else []
        if self.n_replies:
            told.append(f"{_rows(self.n_replies)} answer{'s' if self.n_replies == 1 else ''} another: no prompts.")
        if self.unused:
            told.append(f"Not used of the rows: {_fields(self.unused, self.n_rows)}.")
        return told

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "rows": self.n_rows,
            "skipped": self.n_skipped,
            "reasons": list(self.reasons),
            "replies": self.n_replies,
            "unused": dict(self.unused),
        }


@dataclass
class Tally:
    """An account while its rows are read."""

    n_rows: int = 0
    n_skipped: int = 0
    n_replies: int = 0
    reasons: list[str] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)

    def skip(self, reason: str) -> None:
        """Count a row that can't be used."""
        self.n_skipped += 1
        self.reasons += [reason] if len(self.reasons) < REASONS_TOLD else []

    def account(self) -> Account:
        """The account of all that was read."""
        unused = dict(sorted(self.unused.items(), key=lambda one: (-one[1], one[0])))
        return Account(self.n_rows, self.n_skipped, self.n_replies, tuple(self.reasons), unused)


def say_skipped(n: int, n_all: int, what: str, reasons: Sequence[str]) -> str:
    """That ``n`` of ``n_all`` rows, or prompts, were skipped, and why the first of them."""
    more = n - len(reasons)
    told = "; ".join(one.rstrip(".") for one in reasons) + (f"; and {more} more" if more > 0 else "")
    return f"{n:,} of {n_all:,} {what}{'' if n_all == 1 else 's'} {'was' if n == 1 else 'were'} skipped: {told}."


def _fields(unused: Mapping[str, int], n_rows: int) -> str:
    named = [name if n == n_rows else f"{name} ({_rows(n)})" for name, n in unused.items()]
    more = len(named) - FIELDS_TOLD
    return ", ".join(named[:FIELDS_TOLD]) + (f", and {more} more" if more > 0 else "")


def _rows(n: int) -> str:
    return f"{n:,} row{'' if n == 1 else 's'}"
