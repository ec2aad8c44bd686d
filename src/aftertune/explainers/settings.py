"""The settings of an explainer: one frozen type, the same in Python, in a YAML file and as flags.

Each setting says by its ``scope`` what depends on it: the saved parts themselves, only which of them there are, or only
what is made of them afterwards.
"""

from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aftertune.addresses import data_without_secrets
from aftertune.errors import AftertuneError, AttributionError, WordError, meant_or_known, not_known

Scope = Literal["parts", "units", "change"]
FileKind = Literal["", "file", "name"]


def setting(
    default: Any, help: str, *, scope: Scope = "parts", flag: str | None = None, file: FileKind = "", **bounds: Any
) -> Any:
    """A setting with its default and the text that helps.

    ``scope`` is "parts" where a saved part differs by it, "units" where it chooses which parts there are (layers),
    "change" where it is asked of what is saved already (words asked about). ``flag`` is its name on the command line
    where that is another, "" gives it none. ``file`` is "file" where a text is the place of a file, "name" where it
    may also be a name on the hub. ``bounds`` are pydantic's (``ge=1``).
    """
    return Field(default, description=help, json_schema_extra={"scope": scope, "flag": flag, "file": file}, **bounds)


class Settings(BaseModel):
    """The settings of one explainer, all with a default. What is not allowed raises `error`, with what is allowed.

    A file that is not there raises `file_error`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    error: ClassVar[type[AftertuneError]] = AttributionError
    file_error: ClassVar[type[AftertuneError]] = WordError

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise self.error(what_is_wrong(type(self), error)) from None

    @classmethod
    def names(cls, scope: Scope) -> list[str]:
        """The settings of a scope."""
        return [name for name, field in cls.model_fields.items() if scope_of(field) == scope]

    @classmethod
    def field_of(cls, name: str) -> str | None:
        """The setting of this name, or with a flag of this name; None if there is none."""
        wanted = name.replace("-", "_")
        for field, about in cls.model_fields.items():
            if wanted in (field, (flag_of(field, about) or field).replace("-", "_")):
                return field
        return None

    def of(self, scope: Scope) -> dict[str, Any]:
        """The values of the settings of a scope, as they are."""
        return {name: getattr(self, name) for name in self.names(scope)}

    def remembered(self) -> dict[str, Any]:
        """The settings of scope "change" as plain JSON data, from which they can be made again.

        What may be secret in an address is not kept.
        """
        found: dict[str, Any] = data_without_secrets(self.model_dump(mode="json", include=set(self.names("change"))))
        return found

    def for_servers(self) -> Self:
        """The settings of models behind servers, which may have other defaults."""
        return self

    def replaced(self, **values: Any) -> Self:
        """The same settings with other values, checked."""
        return type(self)(**({name: getattr(self, name) for name in type(self).model_fields} | values))


def scope_of(field: Any) -> Scope:
    """The scope of a field of settings; "parts" where it says none."""
    found: Scope = (field.json_schema_extra or {}).get("scope", "parts")
    return found


def file_kind_of(field: Any) -> FileKind:
    """Whether a setting of text is the place of a file."""
    found: FileKind = (field.json_schema_extra or {}).get("file", "")
    return found


def flag_of(name: str, field: Any) -> str | None:
    """The flag of a setting without its hyphens ("min-coverage"); None if it has none."""
    given = (field.json_schema_extra or {}).get("flag")
    return None if given == "" else str(given or name).replace("_", "-")


def what_is_wrong(model: type[BaseModel], error: ValidationError) -> str:
    """The first thing that pydantic refused, in a sentence: what was given, and what is allowed."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or model.__name__
    if first["type"] == "extra_forbidden":
        return f"{name!r} is no setting here.{meant_or_known(name, model.model_fields)}"
    field = model.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    allowed = allowed_values(field.annotation) if field is not None else ()
    if allowed:
        return not_known(name, first["input"], allowed)
    reason = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{name} is {_short(first['input'])}; it must be {reason}."


def allowed_values(annotation: Any) -> tuple[Any, ...]:
    """The values of a `Literal`; none for another type."""
    if get_origin(annotation) is Annotated:
        return allowed_values(get_args(annotation)[0])
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
