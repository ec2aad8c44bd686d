"""How is an annotator asked?  One question at a time, in the words of a template.

The description is asked at temperature 0 in the first repeat and 1 in the others; tasks and level are always asked at
0, so that one request serves every component and repeat with the same description.

A template is Jinja text, one for each step. A line ``=== system``, ``=== user`` or ``=== assistant`` begins a message;
the last must be the user's. It may use ``cases`` (those of its step in cases.json, each with ``about``, a list, and
``answer``), ``about`` (the words, or the description, as a list), and the filter ``json``.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template, TemplateError

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.result import STEPS, TUNING_STEP

TOP_P = 0.9
# Room for some thinking aloud; a model that never ends costs no more than this.
MAX_TOKENS = 1000
CASES = "cases.json"
ALL_STEPS = (*STEPS, TUNING_STEP)
NAMES = (*(f"{step}.txt" for step in ALL_STEPS), CASES)
MARK = re.compile(r"^=== (system|user|assistant)[ \t]*\n", re.MULTILINE)
EXAMPLE = ("January", "April")

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Request:
    """One step asked about words, one description, or lines on two models; ``repeat`` is 0 for tasks and levels."""

    step: str
    about: tuple[str, ...]
    repeat: int = 0

    @property
    def temperature(self) -> float:
        """0 where the answer is to be the likeliest, 1 where repeats are to differ."""
        return 1.0 if self.repeat else 0.0

    def digest(self, model: str, messages: Messages) -> str:
        """SHA-256, in hexadecimal, of all that the answer depends on."""
        asked = [model, messages, self.temperature, TOP_P, self.repeat or None]
        return sha256(json.dumps(asked, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What a chat model answered: ``finish`` is "length" where it was cut off; token counts are those it reported.

    ``left_out`` names what it was asked without, such as the temperature, since the server takes no such thing.
    """

    text: str
    finish: str = "stop"
    refusal: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChatModel:
    """Somebody who can be asked: ``ask(request, messages)`` gives a `Reply` or raises `AnnotationError`.

    ``name`` is what its folder is called, ``model`` what tells its answers from those of another model, ``about`` what
    the report may say of it. ``concurrency`` is the most questions that it takes at a time; None for any number.
    ``check`` raises `AnnotationError` where it is plain beforehand that no answer can come.
    """

    name: str
    model: str
    about: Callable[[], dict[str, object]]
    ask: Callable[[Request, Messages], Reply]
    concurrency: int | None = None
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Templates:
    """A template and its cases for each step; ``digest`` tells them from others, ``replaced`` names those not ours."""

    of_step: Mapping[str, Template]
    cases: Mapping[str, list[dict[str, Any]]]
    digest: str
    replaced: tuple[str, ...]

    def render(self, request: Request) -> Messages:
        """The messages that ask ``request``; raises `AnnotationError` if the template can't be filled in."""
        about = [" ".join(one.split()) for one in request.about]  # on one line, or it could begin a message
        try:
            text = self.of_step[request.step].render(cases=self.cases.get(request.step, []), about=about)
        except (TemplateError, TypeError, ValueError) as error:
            raise _broken(f"{request.step}.txt", str(error)) from error
        before, *parts = MARK.split(text)
        if before.strip() or not parts or parts[-2] != "user":
            raise _broken(
                f"{request.step}.txt", "its messages must begin with === system or === user and end with user"
            )
        return [{"role": role, "content": said.strip()} for role, said in zip(parts[::2], parts[1::2], strict=True)]


def read_templates(folder: str | Path | None = None) -> Templates:
    """Our templates and cases, those that lie in ``folder`` in their place.

    Raises `AnnotationError` if the folder is not there, holds none of `NAMES`, or one of them can't be used.
    """
    theirs = _read_folder(Path(folder).expanduser()) if folder is not None else {}
    texts = {name: files(__package__).joinpath("templates", name).read_text("utf-8") for name in NAMES} | theirs
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["json"] = _as_json()
    digest = sha256("\n".join(texts[name] for name in NAMES).encode()).hexdigest()
    of_step = {step: _compile(environment, f"{step}.txt", texts[f"{step}.txt"]) for step in ALL_STEPS}
    found = Templates(of_step, _read_cases(texts[CASES]), digest, tuple(sorted(theirs)))
    for step in ALL_STEPS:
        found.render(Request(step, EXAMPLE))
    return found


def _as_json() -> Callable[[Any], str]:
    return lambda value: json.dumps(value, ensure_ascii=False)


def _read_folder(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise AnnotationError(
            f"There is no folder {folder}. Give a folder that holds one or more of {', '.join(NAMES)}."
        )
    held = [name for name in NAMES if (folder / name).is_file()]
    if not held:
        raise AnnotationError(f"{folder} holds no template. Put one or more of {', '.join(NAMES)} into it.")
    try:
        return {name: (folder / name).read_text("utf-8") for name in held}
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"A template in {folder} could not be read: {error}. Save it as UTF-8 text.") from error


def _compile(environment: Environment, name: str, text: str) -> Template:
    try:
        return environment.from_string(text)
    except TemplateError as error:
        raise _broken(name, f"{error} (line {getattr(error, 'lineno', '?')})") from error


def _read_cases(text: str) -> dict[str, list[dict[str, Any]]]:
    try:
        found = json.loads(text)
        return {step: [{"about": list(one["about"]), "answer": one["answer"]} for one in found[step]] for step in STEPS}
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(CASES, f"it must have {', '.join(STEPS)}, each a list of cases with about and answer") from error


def _broken(name: str, reason: str) -> AnnotationError:
    return AnnotationError(f"The template {name} can't be used: {reason.rstrip('.')}. Correct it, or leave it out.")
