"""One folder for each explainer: a question about two checkpoints, with all that answers it.

To add one of ours is to add its folder and its line in `OURS`. One of another package is found by the entry point
"aftertune.explainers" (docs/add-an-explainer.md) and comes after ours, by name.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from aftertune.errors import RunError
from aftertune.explainers.annotation import AnnotationExplainer
from aftertune.explainers.annotation.naming import NamingExplainer
from aftertune.explainers.attribution import AttributionExplainer
from aftertune.explainers.concepts import ConceptExplainer
from aftertune.explainers.explainer import Explainer
from aftertune.explainers.heads import HeadExplainer
from aftertune.explainers.location import LocationExplainer
from aftertune.explainers.outputs import OutputExplainer

OURS = (
    OutputExplainer,
    LocationExplainer,
    AttributionExplainer,
    HeadExplainer,
    ConceptExplainer,
    AnnotationExplainer,
    NamingExplainer,
)
GROUP = "aftertune.explainers"

AnyExplainer = Explainer[Any, Any]


@cache
def explainers() -> dict[str, AnyExplainer]:
    """All explainers by name, in the order in which a report shows them.

    Raises `RunError` for one of another package that can't be loaded, is none, or has the name of another.
    """
    found: dict[str, AnyExplainer] = {made.name: made for made in (kind() for kind in OURS)}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        made = _loaded(entry)
        if made.name in found:
            raise RunError(f"Two explainers are called {made.name!r}: ours, and {entry.value}. Rename the second.")
        found[made.name] = made
    return found


def _loaded(entry: Any) -> AnyExplainer:
    try:
        made = entry.load()()
    except Exception as error:  # another package's code can raise anything
        raise RunError(
            f"The explainer {entry.name!r} ({entry.value}) could not be loaded: {error!r}. "
            "Mend its package, or uninstall it."
        ) from error
    if not isinstance(made, Explainer):
        raise RunError(f"{entry.value} is no explainer. Let the entry point name a class of aftertune's `Explainer`.")
    return made
