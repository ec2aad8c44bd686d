"""The public names: sorted, exactly those that are served and typed, documented, and loaded without torch."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aftertune
from aftertune.explainers.heads.result import FRAMES

SOURCE = Path(aftertune.__file__)
FUNCTIONS = sorted(name for name in aftertune.__all__ if inspect.isfunction(getattr(aftertune, name)))
ERRORS = [
    *("AftertuneError", "AnnotationError", "AttributionError", "CheckpointError"),
    *("PromptError", "RunError", "WordError"),
]
TYPES = [
    *("AnnotationChange", "AnnotationSettings", "Attribution", "AttributionChange", "AttributionDifference"),
    "AttributionSettings",
    *("Checkpoint", "Comparison", "ConceptChange", "ConceptReading", "ConceptSettings", "Explainer", "HeadChange"),
    *("HeadReading", "HeadSettings", "LocationChange", "LocationSettings", "Message", "NamingChange"),
    *("OutputChange", "OutputSettings", "Prompt", "RayEngine", "SalientMap"),
    *("Stages", "Study", "Subject", "Vectors", "Words", "Work"),
]
WITHOUT_TORCH = [
    *("score", "write_report", "open_comparison", "Stages", "read_prompts", "Attribution", "SalientMap"),
    *("Study", "Comparison", "compare", "RayEngine", "Explainer", "HeadSettings", "AttributionSettings", "annotate"),
    "AttributionDifference",
    *("name_tuning", "NamingChange", "OutputChange", "OutputSettings"),
    *("export_labels", "import_labels", "label", "open_labels", "LocationChange", "LocationSettings"),
    *("compare_concepts", "open_annotations", "open_concepts", "ConceptReading", "ConceptChange"),
    *("compare_heads", "open_heads", "load_words", "load_vectors", "HeadReading", "HeadChange"),
]
HEAVY = ("torch", "transformers", "peft", "datasets", "numpy", "scipy", "pyarrow", "polars", "altair", "vl_convert")


def typed_names() -> dict[str, str]:
    """Name and home of all that the TYPE_CHECKING block imports."""
    tree = ast.parse(SOURCE.read_text("utf-8"))
    (block,) = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return {alias.name: str(node.module) for node in block.body for alias in node.names}


def run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(statement: str) -> set[str]:
    return set(run(f"import sys; {statement}; print(*[n for n in {HEAVY!r} if n in sys.modules])").split())


def test_all_is_sorted_and_without_doubles() -> None:
    assert aftertune.__all__ == sorted(set(aftertune.__all__))


def test_all_is_what_type_checkers_see_and_what_is_served() -> None:
    homes = {name: f"aftertune.{home}" for home, names in aftertune._HOMES.items() for name in names}
    assert set(aftertune.__all__) == homes.keys() and typed_names() == homes
    assert dir(aftertune) == sorted([*aftertune.__all__, "__version__"])


def test_all_is_what_this_version_promises() -> None:
    of_responses = ["attribute", "attribute_all", "attribute_difference", "compare", "compare_stages", "load"]
    of_responses += ["read_prompts", "score"]
    of_runs = ["open_comparison", "write_report"]
    of_heads = ["compare_heads", "load_vectors", "load_words", "open_heads", "read_heads"]
    of_concepts = ["annotate", "compare_concepts", "name_tuning", "open_annotations", "open_concepts", "read_concepts"]
    of_people = ["export_labels", "import_labels", "label", "open_labels"]
    assert sorted([*of_responses, *of_runs, *of_heads, *of_concepts, *of_people, *TYPES, *ERRORS]) == aftertune.__all__
    assert sorted([*of_responses, *of_runs, *of_heads, *of_concepts, *of_people]) == FUNCTIONS


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'explain'"):
        _ = aftertune.explain


@pytest.mark.parametrize("name", aftertune.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    thing = getattr(aftertune, name)
    assert len((thing.__doc__ or "").split()) >= 5
    assert "Args:" not in thing.__doc__, "prose, not a form"
    assert not thing.__doc__.startswith(f"{name}("), "the docstring that dataclasses write"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_says_what_it_raises(name: str) -> None:
    documented = getattr(aftertune, name).__doc__
    assert "Raises" in documented or "raises" in documented
    assert any(f"`{error}`" in documented for error in ERRORS)


def test_columns_of_frames_are_in_the_docstring() -> None:
    plain = " ".join(aftertune.HeadReading.__doc__.split())
    for frame in ("neurons", "pairs"):
        assert f"``{', '.join(FRAMES[frame])}``" in plain
    assert "``control``" in plain and "``draw``" in plain and "``query`` and ``key``" in plain
    changed = " ".join(aftertune.HeadChange.__doc__.split())
    assert "``layer, head, distance, neuron_distance, n_base, n_tuned, n_gained, n_lost, verbs_gained" in changed


def test_arrays_of_public_results_have_their_shapes_in_the_docstring() -> None:
    for shape in (
        "``importance`` (n_prompt, n_response)",
        "``probability`` (n_response,)",
        "``offsets`` (n_prompt, 2)",
    ):
        assert shape in aftertune.Attribution.__doc__
    for shape in ("(n_prompt, n_response)", "``offsets`` (n_prompt, 2)", "(n_prompt,)"):
        assert shape in aftertune.SalientMap.__doc__
    for result in (aftertune.Attribution, aftertune.SalientMap):
        assert "(n_prompt,)" in result.density.__doc__
    assert "``has_vector`` (n_words,)" in aftertune.HeadReading.__doc__
    assert "``frequency`` (n_words,)" in aftertune.Words.__doc__
    assert "``vectors`` (n_words, d_vector)" in aftertune.Vectors.__doc__


@pytest.mark.parametrize("name", TYPES)
def test_public_members_of_types_are_documented(name: str) -> None:
    kind = getattr(aftertune, name)
    own = {member: value for member, value in vars(kind).items() if not member.startswith("_")}
    described = {m: v for m, v in own.items() if isinstance(v, (property, classmethod)) or inspect.isfunction(v)}
    assert not [member for member, value in described.items() if not value.__doc__]


@pytest.mark.parametrize("name", ERRORS)
def test_the_errors_are_one_tree(name: str) -> None:
    assert issubclass(getattr(aftertune, name), aftertune.AftertuneError)
    assert not issubclass(getattr(aftertune, name), (ValueError, OSError))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("load", ["ref", "adapter", "device", "dtype", "revision"]),
        ("attribute", ["checkpoint", "prompt", "response", "method", "unit"]),
        ("Study", ["base", "tuned"]),
        ("compare", ["study"]),
        ("compare_stages", ["study"]),
        ("read_heads", ["model", "words", "vectors", "settings"]),
        ("compare_heads", ["base", "tuned", "verbs", "general"]),
        ("open_heads", ["run", "role"]),
        ("read_concepts", ["model", "words", "n_components", "n_words"]),
        ("compare_concepts", ["base", "tuned"]),
        ("open_concepts", ["run", "role"]),
        ("annotate", ["run", "server", "model", "settings"]),
        ("name_tuning", ["run", "server", "model", "settings"]),
        ("open_annotations", ["run", "annotator"]),
        ("load_words", ["source", "limit"]),
        ("load_vectors", ["source", "words", "trust"]),
        ("score", ["maps", "prompts", "base", "tuned"]),
        ("read_prompts", ["source", "limit"]),
        ("open_comparison", ["run"]),
        ("write_report", ["run"]),
    ],
)
def test_what_may_be_given_by_position(name: str, parameters: list[str]) -> None:
    found = inspect.signature(getattr(aftertune, name)).parameters.values()
    assert [p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD] == parameters


def test_importing_aftertune_loads_nothing() -> None:
    assert loaded_by("import aftertune") == set()


def test_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_by("import aftertune.cli") == set()


def test_what_reads_saved_files_needs_no_torch() -> None:
    code = f"""
import sys, aftertune
for name in {WITHOUT_TORCH!r}:
    getattr(aftertune, name)
    if {{"torch", "transformers", "peft"}} & {{*sys.modules}}:
        sys.exit(f"{{name}} loads one of them")
"""
    run(code)


def test_star_import_gives_the_public_names() -> None:
    code = "from aftertune import *; print(*sorted(n for n in dir() if not n.startswith('_')))"
    assert run(code).split() == aftertune.__all__
