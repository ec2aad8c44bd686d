"""How are the prompts of a study put?  The same way for all its checkpoints, so that they can be compared.

1. A run that was begun with the same choice goes on with what it used then.
2. Else the tokenizers are asked: for "auto", chat where any of them has a chat template, else raw.
3. Where some have no chat template, the first that there is is lent to them. Where two differ, each keeps its own: the
   prompts must come out as the same tokens (`checks`).
4. A chat template that writes tokens which another of the checkpoints has not, since tuning added them, can't be read
   by that one: for "auto" the prompts are put raw then.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftertune.errors import AftertuneError
from aftertune.models.subject import Subject
from aftertune.prompts.prompt import Message, Prompt
from aftertune.prompts.templates import choose_template, render
from aftertune.prompts.tokenization import tokenize
from aftertune.runs.run import RunFolder
from aftertune.study.tokens import named, number_of

if TYPE_CHECKING:
    from aftertune.models import Checkpoint

FILE = "template.json"
Reader = Callable[[Subject], Any]


@dataclass(frozen=True)
class Template:
    """How prompts are put: ``name`` is "raw" or "chat", where ``asked`` was that or "auto".

    ``lent`` is the chat template that the roles ``lent_to`` are given, which have none of their own, and ``owner`` the
    role that has it. ``added`` are the tokens of the owner's chat template that ``unread_by`` does not have, for which
    prompts are put raw.
    """

    name: str = "raw"
    asked: str = "raw"
    lent: Any = None
    owner: str = ""
    lent_to: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    unread_by: str = ""

    def said(self, names: Mapping[str, str], roles: Collection[str]) -> str:
        """Which of ``roles`` were lent a template, or could not read one, with ``names`` by role; else empty."""
        if self.added and self.unread_by in names and {self.owner, self.unread_by} <= set(roles):
            added = f"{number_of(self.added)} that {names[self.unread_by]} has not ({named(self.added)})"
            return f"{names[self.owner]} has a chat template with {added}: the prompts are put raw"
        without = [names[role] for role in self.lent_to if role in roles]
        if not without:
            return ""
        verb = "has" if len(without) == 1 else "have"
        return f"{' and '.join(without)} {verb} no chat template: the prompts are put in that of {names[self.owner]}"

    def facts(self) -> dict[str, Any]:
        """What a report says of it."""
        lent = {"of": self.owner, "lent_to": list(self.lent_to)} if self.lent_to else {}
        raw = {"unread": {"by": self.unread_by, "tokens": list(self.added)}} if self.added else {}
        return {"used": self.name, "asked": self.asked} | lent | raw

    def on(self, tokenizer: Any) -> Any:
        """The tokenizer, with the lent template where it has none."""
        from aftertune.models.adapters.tokenizer import with_template

        has_own = bool(getattr(tokenizer, "chat_template", None))
        return tokenizer if self.lent is None or has_own else with_template(tokenizer, self.lent)

    def put_on(self, checkpoint: "Checkpoint") -> "Checkpoint":
        """The checkpoint, its tokenizer with the lent template where it has none."""
        return replace(checkpoint, tokenizer=self.on(checkpoint.tokenizer))


def tokenizer_reader(trust_remote_code: bool, spare: str | Path | None = None) -> Reader:
    """Reads the tokenizer of a subject, each once; it raises `CheckpointError` for one that can't be read.

    ``spare`` is the place of one for checkpoints that have none.
    """
    from aftertune.models import read_tokenizer

    how: dict[str, Any] = {"spare": spare, "trust_remote_code": trust_remote_code}
    read = cache(lambda ref, revision, adapter: read_tokenizer(ref, revision, adapter=adapter, **how))
    return lambda subject: read(subject.ref, subject.revision, subject.adapter)


def template_of_study(asked: str, subjects: Mapping[str, Subject], run: RunFolder, read: Reader) -> Template:
    """How the prompts of a study are put in a run; raises `CheckpointError` for a tokenizer that can't be read."""
    saved = saved_template(run)
    if saved is not None and saved.asked == asked:
        return saved
    if asked == "raw":
        return Template()
    tokenizers = {role: read(subject) for role, subject in subjects.items()}
    name, chosen = choose_template(asked, list(tokenizers.values()))
    unread = _unread(tokenizers) if asked == "auto" and name == "chat" else None
    if unread is not None:
        return unread
    without = tuple(role for role, one in tokenizers.items() if not getattr(one, "chat_template", None))
    if not without or len(without) == len(tokenizers):
        return Template(name, asked)
    owner = next(role for role in tokenizers if role not in without)
    return Template(name, asked, chosen.chat_template, owner, without)


def _unread(tokenizers: Mapping[str, Any]) -> Template | None:
    """Raw prompts, where a chat template uses tokens that another tokenizer has not."""
    for owner, own in tokenizers.items():
        used = _tokens_of_template(own) if getattr(own, "chat_template", None) else []
        for role, other in tokenizers.items():
            vocabulary = other.get_vocab() if used else {}
            added = tuple(token for token in used if token not in vocabulary) if used else ()
            if added:
                return Template("raw", "auto", owner=owner, added=added, unread_by=role)
    return None


def _tokens_of_template(tokenizer: Any) -> list[str]:
    """The tokens of a short prompt in a tokenizer's chat template; none where it can't be rendered."""
    prompt = Prompt("", (Message("user", "Hello"),))
    try:
        text, _ = render(prompt, tokenizer, "chat")
        ids = tokenize(text, tokenizer, chat=True).ids.tolist()
    except AftertuneError:
        return []  # told when the prompts themselves are read
    return list(dict.fromkeys(tokenizer.convert_ids_to_tokens(ids)))


def keep_template(template: Template, run: RunFolder) -> None:
    """Write how prompts are put into the run; raises `RunError` if it was begun otherwise."""
    run.claim(FILE, {"name": template.name}, asdict(template))


def saved_template(run: RunFolder) -> Template | None:
    """How the prompts of a run were put; None where the run does not say."""
    if not run.exists(FILE):
        return None
    record = run.read_json(FILE)["record"]
    return Template(**record | {name: tuple(record.get(name, ())) for name in ("lent_to", "added")})
