"""All settings of a comparison in one YAML file, read in place of flags and kept with a run.

A key is a flag's name, with hyphens or underscores, or that of an argument; a section of an explainer's name holds
settings of that explainer alone. What is given on the command line wins over the file. Paths are taken as on the
command line, from the folder in which it is called.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftertune.addresses import data_without_secrets
from aftertune.errors import RunError, meant_or_known
from aftertune.runs.stage import Progress, Stage

if TYPE_CHECKING:
    from aftertune.study.study import Study

FILE = "settings.yaml"
PLACES = frozenset(
    {"base", "tuned", "base_adapter", "tuned_adapter", "tokenizer", "prompts", "words", "vectors", "verbs", "reuse"}
)
PACKAGES = ("aftertune", "torch", "transformers", "numpy", "polars")
# Either says which explainers are computed, so one on the command line takes the place of both in the file.
EXCLUSIVE = ("only", "skip")
HEAD = """\
# The settings of this run, those that were not given included ({versions}).
# To repeat it: aftertune compare --config settings.yaml --run ANOTHER_FOLDER
"""


def read_settings(file: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file, with what is ``given`` besides in their place.

    Raises `RunError` if the file can't be read, or holds a setting that is not known, or one twice.
    """
    from aftertune.study.study import homes_of, known_settings, measuring

    known, found = known_settings(), {}
    for key, value in _parse(file).items():
        name = str(key).replace("-", "_")
        if name.replace("_", "-") not in known and name not in measuring() and not homes_of(name):
            raise RunError(f"{file} holds the setting {key!r}, which is not known.{meant_or_known(key, known)}")
        if name in found:
            raise RunError(f"{file} holds the setting {key!r} twice, with a hyphen and an underscore. Give it once.")
        if value is not None:
            found[name] = value
    if any(given.get(name) for name in EXCLUSIVE):
        found = {name: value for name, value in found.items() if name not in EXCLUSIVE}
    return found | given_only(given)


def given_only(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given on the command line: a flag that was left out is None, an empty list or False."""
    return {name: value for name, value in values.items() if value is not None and value is not False and value != []}


def as_yaml(study: "Study") -> str:
    """A settings file; the versions that made the run are told in a comment. No secret of an address is in it."""
    from importlib.metadata import version

    import yaml

    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    flat: dict[str, Any] = {name: _in_full(value) if name in PLACES else value for name, value in study.flat().items()}
    plain = {name.replace("_", "-"): data_without_secrets(value) for name, value in flat.items()}
    body: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return HEAD.format(versions=versions) + body


def keeping_settings(progress: Progress, run: str, text: str) -> Progress:
    """``progress`` that also keeps a settings file with the run, as soon as the run has begun.

    Raises `RunError` if it can't be written.
    """
    kept = False

    def tell(stage: Stage, done: float, total: float) -> None:
        nonlocal kept
        if not kept and stage.step != "loading":  # a run begins with the first file after that
            from aftertune.runs.parts import is_text, write_text
            from aftertune.runs.run import RunFolder

            folder = RunFolder.open(run)
            with folder.home():
                if not is_text(folder.path(FILE), text):
                    write_text(folder.path(FILE), text)
            kept = True
        progress(stage, done, total)

    return tell


def _parse(file: Path) -> dict[Any, Any]:
    from aftertune.places import MOST_WRITTEN, read_text
    from aftertune.written import parse_yaml

    text = read_text(str(file), RunError, "Give a YAML file with settings.", MOST_WRITTEN)
    found = parse_yaml(text, str(file), RunError, "Write one setting a line, as NAME: VALUE.")
    if not isinstance(found, dict):
        held = "nothing" if found is None else f"a {type(found).__name__}"
        raise RunError(f"{file} holds {held}, not settings. Write one setting a line, as NAME: VALUE.")
    return found


def _in_full(value: Any) -> Any:
    """A local place in full, so that the file says the same wherever it is used; each of a list of them."""
    if isinstance(value, list | tuple):
        return [_in_full(one) for one in value]
    if not value:
        return value
    file, mark, member = str(value).partition("::")  # an archive's member, as of word vectors
    path = Path(file).expanduser()
    return f"{path.resolve() if path.exists() else file}{mark}{member}"
