"""How are the prompts of a study put?  The same way for all its checkpoints, so that they can be compared.

1. A run that was begun with the same choice goes on with what it used then, the date that it told included.
2. A file, or one of the checkpoints ("tuned"): its chat template for all.
3. Else the tokenizers are asked: for "auto", chat where any of them has a chat template, else raw.
4. Where some have no chat template, the first that there is is lent to them. Where two differ, each keeps its own: the
   prompts must come out as the same tokens (`checks`).
5. A chat template that writes tokens which another of the checkpoints has not, since tuning added them, can't be read
   by that one: for "auto" the prompts are put raw then.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftertune.addresses import without_secrets
from aftertune.errors import AftertuneError, PromptError
from aftertune.models.subject import Subject
from aftertune.prompts.prompt import Message, Prompt
from aftertune.prompts.template_head import TODAY, must_name, read_template_file, told
from aftertune.prompts.templates import ASKED, choose_template, render
from aftertune.prompts.tokenization import tokenize
from aftertune.runs.records import record_of
from aftertune.runs.run import RunFolder
from aftertune.study.tokens import named, number_of, vocabulary_of

if TYPE_CHECKING:
    from aftertune.models import Checkpoint

FILE = "template.json"
Reader = Callable[[Subject], Any]


@dataclass(frozen=True)
class Template:
    """How prompts are put: ``name`` is "raw", "chat" or "rendered", where ``asked`` was that, "auto", a role or a file.

    ``lent`` is the chat template of ``owner`` (a role or a file) that the roles ``lent_to`` are given: those without
    one of their own or, ``for_all``, every one. ``arguments`` are what chat templates are told, and ``moment`` (ISO
    8601) the date and time, where one asks for it. ``added`` are the tokens of the owner's chat template that
    ``unread_by`` does not have, for which prompts are put raw.
    """

    name: str = "raw"
    asked: str = "raw"
    lent: Any = None
    owner: str = ""
    lent_to: tuple[str, ...] = ()
    for_all: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    moment: str = ""
    added: tuple[str, ...] = ()
    unread_by: str = ""

    def said(self, names: Mapping[str, str], roles: Collection[str]) -> str:
        """Which of ``roles`` were lent a template, or could not read one, with ``names`` by role; else empty."""
        owner = names.get(self.owner, self.owner)
        if self.for_all:
            return f"{owner}: its chat template is used for every model"
        if self.added and self.unread_by in names and {self.owner, self.unread_by} <= set(roles):
            added = f"{number_of(self.added)} that {names[self.unread_by]} has not ({named(self.added)})"
            return f"{owner} has a chat template with {added}: the prompts are put raw"
        without = [names[role] for role in self.lent_to if role in roles]
        if not without:
            return ""
        verb = "has" if len(without) == 1 else "have"
        return f"{' and '.join(without)} {verb} no chat template: the prompts are put in that of {owner}"

    def facts(self) -> dict[str, Any]:
        """What a report says of it."""
        lent = {"of": self.owner, "lent_to": list(self.lent_to)} if self.lent is not None else {}
        unread = {"by": self.unread_by, "tokens": list(self.added)} if self.added else {}
        more = {"arguments": dict(self.arguments), "moment": self.moment, "unread": unread}
        return {"used": self.name, "asked": self.asked} | lent | {name: value for name, value in more.items() if value}

    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        found: dict[str, Any] = {"name": self.name}
        if self.arguments:
            found["arguments"] = dict(self.arguments)
        if self.for_all:
            text = json.dumps(self.lent, sort_keys=True)
            found["chat_template"] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return found

    def on(self, tokenizer: Any) -> Any:
        """The tokenizer, with the lent template where it is given one, and what that is told."""
        from aftertune.models.adapters.tokenizer import with_template

        own = getattr(tokenizer, "chat_template", None)
        text = self.lent if self.lent is not None and (self.for_all or not own) else own
        if not text or self.name != "chat":
            return tokenizer
        text = told(text, self.arguments, datetime.fromisoformat(self.moment) if self.moment else datetime.now())
        return tokenizer if text == own else with_template(tokenizer, text)

    def put_on(self, checkpoint: "Checkpoint") -> "Checkpoint":
        """The checkpoint, its tokenizer as `on` gives it."""
        return replace(checkpoint, tokenizer=self.on(checkpoint.tokenizer))


def tokenizer_reader(trust_remote_code: bool, spare: str | Path | None = None) -> Reader:
    """Reads the tokenizer of a subject, each once; it raises `CheckpointError` for one that can't be read.

    ``spare`` is the place of one for checkpoints that have none.
    """
    from aftertune.models import read_tokenizer

    how: dict[str, Any] = {"spare": spare, "trust_remote_code": trust_remote_code}
    read = cache(lambda ref, revision, adapter: read_tokenizer(ref, revision, adapter=adapter, **how))
    return lambda subject: read(subject.ref, subject.revision, subject.adapter)


def template_of_study(
    asked: str,
    subjects: Mapping[str, Subject],
    run: RunFolder,
    read: Reader,
    arguments: Mapping[str, Any] | None = None,
) -> Template:
    """How the prompts of a study are put in a run; raises `CheckpointError` for a tokenizer that can't be read.

    Raises `PromptError` for a template that is not there, and for arguments that none reads.
    """
    saved, given = saved_template(run), dict(arguments or {})
    lent = _lent_by_file(asked, subjects, saved)
    if saved is not None and (saved.asked, saved.arguments) == (asked, given) and lent in (None, saved.lent):
        return saved
    if asked in ("raw", "rendered"):
        return _without(asked, given)
    tokenizers = {role: read(subject) for role, subject in subjects.items()}
    made = replace(_chosen(asked, tokenizers, lent), arguments=given)
    unread = _unread(tokenizers) if asked == "auto" and made.name == "chat" else None
    if unread is not None:
        _without(asked, given)
        return unread
    return _dated(made, [one for one in _texts(made, tokenizers) if one], saved)


def _unread(tokenizers: Mapping[str, Any]) -> Template | None:
    """Raw prompts, where a chat template uses tokens that another tokenizer has not."""
    for owner, own in tokenizers.items():
        others = {
            role: vocabulary for role, one in tokenizers.items() if (vocabulary := vocabulary_of(one)) is not None
        }
        used = _tokens_of_template(own) if others and getattr(own, "chat_template", None) else []
        for role, vocabulary in others.items():
            added = tuple(token for token in used if token not in vocabulary)
            if added:
                return Template("raw", "auto", owner=owner, added=added, unread_by=role)
    return None


def _tokens_of_template(tokenizer: Any) -> list[str]:
    """The tokens of a short prompt in a tokenizer's chat template; none where it can't be rendered."""
    prompt = Prompt("", (Message("user", "Hello"),))
    try:
        text = render(prompt, tokenizer, "chat").text
        ids = tokenize(text, tokenizer, chat=True).ids.tolist()
    except AftertuneError:
        return []  # told when the prompts themselves are read
    return list(dict.fromkeys(tokenizer.convert_ids_to_tokens(ids)))


def keep_template(template: Template, run: RunFolder) -> None:
    """Write how prompts are put into the run; raises `RunError` if it was begun otherwise."""
    run.claim(FILE, template.identity(), asdict(template))


def saved_template(run: RunFolder) -> Template | None:
    """How the prompts of a run were put; None where the run does not say."""
    return record_of(run, FILE, Template) if run.exists(FILE) else None


def _lent_by_file(asked: str, subjects: Mapping[str, Subject], saved: Template | None) -> str | None:
    """The chat template in the file that was asked for; that of the run where the file is gone since."""
    if asked in ASKED or asked in subjects:
        return None
    try:
        return read_template_file(asked)
    except PromptError:
        if saved is None or saved.asked != without_secrets(asked):
            raise
        return str(saved.lent)


def _without(asked: str, arguments: Mapping[str, Any]) -> Template:
    if arguments:
        raise PromptError(
            f"The template {asked} reads no arguments, and {next(iter(arguments))!r} was given. Leave it out, or use a "
            "chat template."
        )
    return Template(asked, asked)


def _chosen(asked: str, tokenizers: Mapping[str, Any], lent: str | None) -> Template:
    if lent is not None:
        file = without_secrets(asked)
        return Template("chat", file, lent, file, tuple(tokenizers), for_all=True)
    if asked in tokenizers:
        own = getattr(tokenizers[asked], "chat_template", None)
        if not own:
            raise PromptError(f"The {asked} has no chat template. Give the file of one, or use the template raw.")
        others = tuple(role for role in tokenizers if role != asked)
        return Template("chat", asked, own, asked, others, for_all=True)
    name, chosen = choose_template(asked, list(tokenizers.values()))
    without = tuple(role for role, one in tokenizers.items() if not getattr(one, "chat_template", None))
    if len(without) == len(tokenizers) and name == "chat":
        raise PromptError(
            f"None of the models has a chat template ({', '.join(tokenizers)}). Give the file of one, or use the "
            "template raw."
        )
    if not without or len(without) == len(tokenizers):
        return Template(name, asked)
    owner = next(role for role in tokenizers if role not in without)
    return Template(name, asked, chosen.chat_template, owner, without)


def _texts(template: Template, tokenizers: Mapping[str, Any]) -> list[Any]:
    """The chat templates that prompts are put in."""
    if template.name != "chat":
        return []
    own = [getattr(one, "chat_template", None) for one in tokenizers.values()]
    return [template.lent] if template.for_all else [*own, template.lent]


def _dated(template: Template, texts: list[Any], saved: Template | None) -> Template:
    """The template with the moment that it tells, if it tells any: that of the run, or now."""
    if template.name != "chat":
        return replace(_without(template.name, template.arguments), asked=template.asked)
    must_name(texts, template.arguments)
    if not any(TODAY in json.dumps(text) for text in texts):
        return template
    before = saved.moment if saved is not None else ""
    return replace(template, moment=before or datetime.now().isoformat(timespec="seconds"))
