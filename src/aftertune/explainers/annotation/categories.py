"""The answers that are allowed: names of tasks and levels, and the JSON schema of each step's answer."""

from collections.abc import Mapping
from typing import Any

from aftertune.explainers.annotation.result import LEVELS, SCENARIOS

CANNOT_TELL = "Cannot Tell"
NONE = "none"
# Asked for by name, since annotators deem nearly everything fit for "writing" (appendix D.1).
TASKS: Mapping[str, str] = {
    "daily writing": "writing",
    "literary writing": "writing",
    "professional writing": "writing",
    "solving math problems": "math",
    "coding": "coding",
    "translation": "translation",
}
SCENARIO_OF: Mapping[str, str] = {**TASKS, **{name: name for name in SCENARIOS}}
# The paper's template has the singular of the last one.
LEVEL_OF: Mapping[str, str] = {**{name: name for name in LEVELS}, "semantic": "semantics"}


def _schema(step: str, value: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {step: value}, "required": [step], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": step, "strict": True, "schema": schema}}


RESPONSE_FORMATS: Mapping[str, dict[str, Any]] = {
    "description": _schema("description", {"type": "string"}),
    "tasks": _schema("tasks", {"type": "array", "items": {"type": "string", "enum": [*TASKS]}}),
    "level": _schema("level", {"type": "string", "enum": [*LEVELS]}),
}
