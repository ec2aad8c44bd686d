"""Which tokens does only one of the checkpoints know?  Tuning may add some; the rest is compared.

1. Two tokenizers differ by the tokens that one of them has and the other has not. Rows that only pad an embedding
   belong to no token and are no difference.
2. What is compared is over the tokens that both have. Who has others is told in the plan and in the report.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aftertune.runs.records import record_of
from aftertune.runs.run import RunFolder

FILE = "tokens.json"
N_NAMED = 5


@dataclass(frozen=True)
class AddedTokens:
    """By role, the tokens that a checkpoint's tokenizer has and the base's has not; and how many all share."""

    added: Mapping[str, tuple[str, ...]]
    n_common: int

    def said(self, names: Mapping[str, str], roles: Collection[str]) -> list[str]:
        """A sentence for each of ``roles`` that has tokens of its own, with the models' ``names`` by role."""
        base = next(iter(names.values()))
        return [
            f"{names[role]} has {number_of(tokens)} that {base} has not ({named(tokens)}): what is compared is over "
            f"the {self.n_common:,} tokens that both have"
            for role, tokens in self.added.items()
            if role in roles
        ]

    def facts(self) -> dict[str, Any]:
        """What a report says of it."""
        return {"n_common": self.n_common, "added": {role: list(tokens) for role, tokens in self.added.items()}}


def added_tokens(tokenizers: Mapping[str, Any]) -> AddedTokens:
    """What the tokenizers of a study's roles, the base first, have beyond that of the base."""
    known = [set(one.get_vocab()) for one in tokenizers.values()]
    base = known[0]
    found = {
        role: tuple(token for token, _ in sorted(one.get_vocab().items(), key=lambda row: row[1]) if token not in base)
        for role, one in tokenizers.items()
    }
    return AddedTokens({role: tokens for role, tokens in found.items() if tokens}, len(set.intersection(*known)))


def vocabulary_of(tokenizer: Any) -> Mapping[str, int] | None:
    """All tokens of a tokenizer with their numbers; None for that of a served model, which nobody lists."""
    found: Mapping[str, int] | None = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else None
    return found


def keep_tokens(tokens: AddedTokens, run: RunFolder) -> None:
    """Write which tokens were added into the run, where there are any."""
    if tokens.added:
        run.remember(FILE, asdict(tokens))


def saved_tokens(run: RunFolder) -> AddedTokens | None:
    """The added tokens of a run; None where there are none."""
    return record_of(run, FILE, AddedTokens) if run.exists(FILE) else None


def number_of(tokens: Sequence[str]) -> str:
    """How many tokens, in words."""
    return f"{len(tokens)} token{'s' * (len(tokens) != 1)}"


def named(tokens: Sequence[str]) -> str:
    """The first of some tokens."""
    rest = ", ..." if len(tokens) > N_NAMED else ""
    return ", ".join(tokens[:N_NAMED]) + rest
