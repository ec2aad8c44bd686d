"""Which rows of the prompt file can be used, and what of them was not?

1. Rows that are no prompts are skipped when the file is read (`aftertune.prompts.account`).
2. So are prompts that one of the checkpoints can't read as they are put: the chat template refuses them, or they leave
   no room in the context where that is needed. A run that goes on leaves out the same ones.
3. What the templates had no place for is told, and under raw, control tokens that are read as text.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from typing_extensions import TypedDict

from aftertune.errors import PromptError
from aftertune.prompts.account import REASONS_TOLD, Account, say_skipped
from aftertune.prompts.prompt import Prompt
from aftertune.runs.records import record_of
from aftertune.runs.run import RunFolder
from aftertune.study.reader import PromptReader

FILE = "rows.json"
LOST = {
    "reasoning": "The chat template leaves the reasoning of earlier answers out of {}.",
    "beside calls": "The chat template leaves what is said beside calls of tools out of {}.",
    "tools": "The tools of {} are not in the text: the template has no place for them.",
    "calls": "The chat template has no place for calls of tools: in {} they stand as JSON.",
}


class OfRows(TypedDict):
    """What a run keeps of its rows; a report shows all of it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    used: int
    left_out: dict[str, str]
    notes: list[str]
    told: list[str]


@dataclass(frozen=True)
class Rows:
    """The ``prompts`` that are used; the ``account`` of their file; prompts ``left_out`` since, by their ids with the
    reason; ``notes`` on how the others are put.
    """

    prompts: Sequence[Prompt] = ()
    account: Account = field(default_factory=Account)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """What a reader is told, one thing each."""
        n, reasons = len(self.left_out), list(self.left_out.values())[:REASONS_TOLD]
        told = [say_skipped(n, n + len(self.prompts), "prompt", reasons)] if n else []
        return [*self.account.sentences, *told, *self.notes]

    def record(self) -> dict[str, Any]:
        """Plain data, as the run keeps it."""
        found = self.account.to_dict() | {"used": len(self.prompts), "left_out": dict(self.left_out)}
        return found | {"notes": list(self.notes), "told": self.sentences}


def read_rows(prompts: Sequence[Prompt] | str | Path | None, limit: int | None, strict: bool = False) -> Rows:
    """Prompts from a file or a list, or ours; raises `PromptError` for those that can't be used."""
    from aftertune.prompts.formats import read_with_account

    if prompts is None:
        prompts = str(files("aftertune") / "demo" / "prompts.jsonl")
    if isinstance(prompts, str | Path):
        return Rows(*read_with_account(prompts, limit, strict))
    if not prompts:
        raise PromptError("No prompt was given. Give at least one, or leave prompts out for those of Aftertune.")
    return Rows(list(prompts[:limit]))


def fitted(rows: Rows, run: RunFolder, readers: Callable[[], Sequence[PromptReader]], strict: bool) -> Rows:
    """The rows without prompts that one of the ``readers`` can't read; a run that says so already asks for none.

    Raises `PromptError` where none can be used, or with ``strict`` for the first.
    """
    saved = saved_rows(run)
    if saved is not None:
        left = {one.id: saved["left_out"][one.id] for one in rows.prompts if one.id in saved["left_out"]}
        return replace(_without(rows, left), notes=tuple(saved["notes"]))
    left, lost, reading = dict[str, str](), list[set[str]](), readers()
    for prompt in rows.prompts:
        try:
            lost.append({name for reader in reading for name in reader.read(prompt).lost})
        except PromptError as error:
            if strict or len(rows.prompts) == 1:
                raise
            left[prompt.id] = str(error)
    found = _without(rows, left)
    if not found.prompts:
        raise PromptError(f"None of the {len(left)} prompts can be used. The first: {next(iter(left.values()))}")
    return replace(found, notes=(*_say_lost(lost), *_say_control_tokens(found.prompts, reading[0])))


def keep_rows(rows: Rows, run: RunFolder) -> None:
    """Write what became of the rows into the run, unless it says so already."""
    record = rows.record()
    if saved_rows(run) != record:
        run.remember(FILE, record)


def saved_rows(run: RunFolder) -> dict[str, Any] | None:
    """What became of the rows of a run, None where it does not say."""
    return dict(record_of(run, FILE, OfRows)) if run.exists(FILE) else None


def _without(rows: Rows, left_out: Mapping[str, str]) -> Rows:
    return replace(rows, prompts=[one for one in rows.prompts if one.id not in left_out], left_out=left_out)


def _say_lost(lost: Sequence[set[str]]) -> Iterator[str]:
    counts = Counter(name for one in lost for name in one)
    for name, sentence in LOST.items():
        if counts[name]:
            yield sentence.format(_prompts(counts[name]))


def _say_control_tokens(prompts: Sequence[Prompt], reader: PromptReader) -> Iterator[str]:
    from aftertune.prompts.tokenization import control_tokens

    known = [one for one in control_tokens(reader.tokenizer).values() if one.strip()]
    holding = [(one.id, token) for one in prompts for token in known if token in one.text]
    n = len({id for id, _ in holding})
    if reader.template == "raw" and holding:
        id, token = holding[0]
        yield (
            f"{_prompts(n)} hold{'s' if n == 1 else ''} control tokens of the tokenizer as text ({token!r} in {id!r}): "
            "the template rendered reads them as such."
        )
    if reader.template == "rendered" and n < len(prompts):
        yield f"{_prompts(len(prompts) - n)} of {len(prompts)} hold no control token: put in no chat template yet?"


def _prompts(n: int) -> str:
    return f"{n:,} prompt{'' if n == 1 else 's'}"
