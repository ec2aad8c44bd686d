"""What does a JSON file of a run say?  Read with its types, so that what is damaged in it is told here, in one line.

A file holds an ``identity``, which must be the same for a run to go on, and a ``record``, which is only kept.
"""

from collections.abc import Hashable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, TypeVar, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from aftertune.errors import RunError, translated
from aftertune.written import fault_in

if TYPE_CHECKING:
    from aftertune.runs.run import RunFolder

T = TypeVar("T")


class OfRun(TypedDict):
    """The record of ``run.json``."""

    aftertune: str


class OfModel(TypedDict):
    """The record of ``ROLE.json``, of a checkpoint or of a served model."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # a report shows all of it
    name: str
    server: NotRequired[str | None]
    kind: NotRequired[str]
    dtype: NotRequired[str]
    device: NotRequired[str]
    architecture: NotRequired[str]
    n_parameters: NotRequired[int]
    fingerprint: NotRequired[str]
    versions: NotRequired[dict[str, str]]


class OfSubject(TypedDict, total=False):
    """What the identity of ``run.json`` says of a model."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    checkpoint: str
    adapter: str | None
    revision: str | None
    server: str


class OfLayers(TypedDict):
    """The layers that were read of a model, or can be."""

    layers: list[int]


class About(OfLayers, total=False):
    """What is said of a model that was read layer by layer."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    model: str
    n_layers: int
    n_heads: int
    d_head: int
    d_model: int


class OfNoise(TypedDict):
    """How many draws of noise a report shows."""

    noise_models: Annotated[int, Field(ge=0, le=1_000)]


class OfIds(TypedDict):
    """The ids of prompts."""

    ids: list[str]


class Fingerprint(TypedDict):
    """The identity of ``ROLE.json``."""

    fingerprint: str


class FingerprintVersion(TypedDict, total=False):
    """How the fingerprint in ``ROLE.json`` was taken; the first version does not say it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    fingerprint_version: int


def record_of(run: "RunFolder", name: str, shape: type[T]) -> T:
    """The record of a file; raises `RunError` if it is missing, damaged, or not of this shape."""
    return _shaped(run, name, "record", shape)


def identity_of(run: "RunFolder", name: str, shape: type[T]) -> T:
    """The identity of a file; raises `RunError` as `record_of` does."""
    return _shaped(run, name, "identity", shape)


def model_record(run: "RunFolder", role: str) -> OfModel:
    """What is kept of the model of a role; raises `RunError` as `record_of` does."""
    return record_of(run, f"{role}.json", OfModel)


def _shaped(run: "RunFolder", name: str, half: str, shape: type[T]) -> T:
    held = run.read_json(name)[half]
    what, remedy = f"{run.path(name)} is damaged", "Start again in a new folder."
    with translated(RunError, what, remedy):
        try:
            return cast(T, _adapter(cast(Hashable, shape)).validate_python(held))
        except ValidationError as error:
            raise RunError(f"{what}: {fault_in(error, half)}. {remedy}") from error


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)
