"""The templates of pages: ours, and those that lie in the folder of an explainer."""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aftertune.report import colours
from aftertune.report.bundle import bundle
from aftertune.report.commands import parts_of
from aftertune.report.formats import HTML
from aftertune.report.values import describe, flatten

TEMPLATES = Path(__file__).parent / "templates"
SCRIPT_SIGNS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def render(template: str, folder: Path | None = None, **values: object) -> Markup:
    """A template of ours, or of an explainer's ``folder``, which finds ours too (macros.html, base.html)."""
    return Markup(environment(folder).get_template(template).render(**values))


@cache
def environment(folder: Path | None = None) -> Environment:
    """The templates, with everything escaped that is not marked as markup of our own."""
    found = Environment(
        loader=FileSystemLoader([TEMPLATES] if folder is None else [folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "describe": describe,
        "parts_of_command": parts_of,
        "flatten": lambda value: list(flatten(value)),
        "fmt": lambda value, kind: HTML[kind](value),
        "script_json": lambda data: Markup(to_script_json(data)),
        "script_digest": lambda code: Markup(digest_of(code)),
    }
    found.globals |= {
        "source": lambda name: Markup(_file(name, folder).read_text("utf-8")),
        "read": lambda path: Markup(Path(path).read_text("utf-8")),
        "bundle": bundled,
        "light_ramp": colours.ramp(colours.LIGHT_RAMP),
        "dark_ramp": colours.ramp(colours.DARK_RAMP),
    }
    return found


def bundled(scripts: Sequence[Path]) -> Markup:
    """Modules of ours and of explainers joined to one script."""
    return Markup(bundle([TEMPLATES / one if isinstance(one, str) else one for one in scripts]))


def to_script_json(data: object) -> str:
    """JSON in which nothing can end a script element or start a comment in it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(SCRIPT_SIGNS)


def digest_of(code: str) -> str:
    """How a content security policy names the one script that it lets run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def _file(name: str, folder: Path | None) -> Path:
    own = folder / name if folder is not None else TEMPLATES / name
    return own if own.exists() else TEMPLATES / name
