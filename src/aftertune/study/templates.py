"""How are the prompts of a study put?  The same way for all its checkpoints, so that they can be compared.

1. A run that was begun with the same choice goes on with what it used then.
2. Else the tokenizers are asked: for "auto", chat where any of them has a chat template, else raw.
3. Where some have no chat template, the first that there is is lent to them. Where two differ, each keeps its own: the
   prompts must come out as the same tokens (`checks`).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from aftertune.models.subject import Subject
from aftertune.prompts.templates import choose_template
from aftertune.runs.run import RunFolder

if TYPE_CHECKING:
    from aftertune.models import Checkpoint

FILE = "template.json"
Reader = Callable[[Subject], Any]


@dataclass(frozen=True)
class Template:
    """How prompts are put: ``name`` is "raw" or "chat", where ``asked`` was that or "auto".

    ``lent`` is the chat template that the roles ``lent_to`` are given, which have none of their own, and ``owner`` the
    role that has it.
    """

    name: str = "raw"
    asked: str = "raw"
    lent: Any = None
    owner: str = ""
    lent_to: tuple[str, ...] = ()

    def said(self, names: Mapping[str, str], roles: Collection[str]) -> str:
        """Which of ``roles`` were lent a template, with the models' ``names`` by role; empty where none was."""
        without = [names[role] for role in self.lent_to if role in roles]
        if not without:
            return ""
        verb = "has" if len(without) == 1 else "have"
        return f"{' and '.join(without)} {verb} no chat template: the prompts are put in that of {names[self.owner]}"

    def facts(self) -> dict[str, Any]:
        """What a report says of it."""
        lent = {"of": self.owner, "lent_to": list(self.lent_to)} if self.lent_to else {}
        return {"used": self.name, "asked": self.asked} | lent

    def on(self, tokenizer: Any) -> Any:
        """The tokenizer, with the lent template where it has none."""
        from aftertune.models.chat_templates import with_template

        has_own = bool(getattr(tokenizer, "chat_template", None))
        return tokenizer if self.lent is None or has_own else with_template(tokenizer, self.lent)

    def put_on(self, checkpoint: "Checkpoint") -> "Checkpoint":
        """The checkpoint, its tokenizer with the lent template where it has none."""
        return replace(checkpoint, tokenizer=self.on(checkpoint.tokenizer))


def tokenizer_reader(trust_remote_code: bool) -> Reader:
    """Reads the tokenizer of a subject, each file once; it raises `CheckpointError` for one that can't be read."""
    from aftertune.models import read_tokenizer
    from aftertune.models.chat_templates import with_template_of

    read = cache(lambda ref, revision: read_tokenizer(ref, revision, trust_remote_code=trust_remote_code))
    return lambda subject: with_template_of(read(subject.ref, subject.revision), subject.adapter)


def template_of_study(asked: str, subjects: Mapping[str, Subject], run: RunFolder, read: Reader) -> Template:
    """How the prompts of a study are put in a run; raises `CheckpointError` for a tokenizer that can't be read."""
    saved = saved_template(run)
    if saved is not None and saved.asked == asked:
        return saved
    if asked == "raw":
        return Template()
    tokenizers = {role: read(subject) for role, subject in subjects.items()}
    name, chosen = choose_template(asked, list(tokenizers.values()))
    without = tuple(role for role, one in tokenizers.items() if not getattr(one, "chat_template", None))
    if not without or len(without) == len(tokenizers):
        return Template(name, asked)
    owner = next(role for role in tokenizers if role not in without)
    return Template(name, asked, chosen.chat_template, owner, without)


def keep_template(template: Template, run: RunFolder) -> None:
    """Write how prompts are put into the run; raises `RunError` if it was begun otherwise."""
    run.claim(FILE, {"name": template.name}, asdict(template))


def saved_template(run: RunFolder) -> Template | None:
    """How the prompts of a run were put; None where the run does not say."""
    if not run.exists(FILE):
        return None
    record = run.read_json(FILE)["record"]
    return Template(**record | {"lent_to": tuple(record["lent_to"])})
