"""What does a report show?

Everything in it was computed before: findings, the comparison's tables, the salient maps, the honesty check and the
settings. They arrive as plain dictionaries, so that a saved run can be shown again without the code that made it.
A key that a table needs and that is missing is refused; keys that the report does not know are let through.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aftertune.errors import RunError
from aftertune.results.maps import SalientMap

Row = Mapping[str, Any]

REQUIRED: dict[str, tuple[str, ...]] = {
    "table1": (
        *("dataset", "model", "followed", "unfollowed", "difference", "difference_interval"),
        *("p_value", "p_value_holm", "effect_size_g", "auroc", "auroc_interval"),
    ),
    "table2": (
        *("dataset", "base", "tuned", "difference", "difference_interval"),
        *("p_value", "p_value_holm", "effect_size_g", "paired"),
    ),
    "figure6": ("dataset", "model", "quarters"),
    "instances": (
        *("id", "dataset", "score_base", "score_tuned", "difference"),
        *("copied_share_base", "copied_share_tuned", "repetitive_base", "repetitive_tuned"),
    ),
}
FINDING = ("headline", "sentence", "significant", "evidence")
SPREAD = ("n", "mean", "std")
PAIRED = ("n_pairs", "difference", "difference_interval", "p_value", "p_value_holm")
CHECK = ("n_instances", "spearman_mean", "spearman_std", "top1_agreement", "removal")


@dataclass(frozen=True, eq=False)
class ReportContents:
    """All that one report shows; ``maps`` are of both models, each map's ``model`` is ``base`` or ``tuned``.

    ``removal`` is "zeroed" or "deleted" where the maps are of removal itself, None where they are of the first order.

    Raises `RunError` if a table, a row or a key is missing, or if a map belongs to neither model.
    """

    title: str
    base: str
    tuned: str
    findings: list[dict[str, Any]]
    comparison: dict[str, Any]
    maps: list[SalientMap]
    check: dict[str, Any] | None = None
    removal: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _need("the report's comparison", self.comparison, REQUIRED)
        for name, keys in REQUIRED.items():
            for number, row in enumerate(self.comparison[name], start=1):
                _need(f"{name}, row {number},", row, keys)
        _check_nested(self.comparison)
        for number, finding in enumerate(self.findings, start=1):
            _need(f"finding {number}", finding, FINDING)
        if self.check is not None:
            _need("the honesty check", self.check, CHECK)
        self._check_models()

    def _check_models(self) -> None:
        if self.base == self.tuned:
            raise RunError(f"Base and tuned are both called {self.base!r}. Give them different names for the report.")
        for salient in self.maps:
            if salient.model not in (self.base, self.tuned):
                raise RunError(
                    f"The map of {salient.id!r} is of model {salient.model!r}; the report compares {self.base!r} "
                    f"with {self.tuned!r}. Name the two models as the maps do."
                )


def _check_nested(comparison: Mapping[str, Any]) -> None:
    for row in comparison["table1"]:
        _need("table1, followed,", row["followed"], SPREAD)
        _need("table1, unfollowed,", row["unfollowed"], SPREAD)
    for row in comparison["table2"]:
        _need("table2, base,", row["base"], SPREAD)
        _need("table2, tuned,", row["tuned"], SPREAD)
        if row["paired"] is not None:
            _need("table2, paired,", row["paired"], PAIRED)


def _need(what: str, given: Mapping[str, Any], keys: Iterable[str]) -> None:
    missing = [key for key in keys if key not in given]
    if missing:
        raise RunError(
            f"{what} has no {', '.join(missing)}; it has {', '.join(map(str, given)) or 'nothing'}. "
            "Compare the run again with this version, so that the report finds all it shows."
        )
