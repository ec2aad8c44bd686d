"""What was found of where a change sits: rows of modules and layers (`rows`), and the place in one phrase (`where`)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from aftertune.explainers.location.named.rows import ContextRow, NamedRow
from aftertune.explainers.location.rows import Claim, CumulativeRow, ModuleRow, Total
from aftertune.explainers.location.where import Where, find_where
from aftertune.runs.result import Result

NAMES_OF_ROWS = ("modules", "cumulative", "named", "contexts")


@dataclass(frozen=True, eq=False, repr=False)
class LocationChange(Result):
    """Which layers and modules carry the change between the models named ``base`` and ``tuned``.

    ``modules`` has a row for each module, then the stretch of layers that brings half and the noise; ``cumulative`` a
    row for each layer. ``weights`` has a row for each weight: ``weight, tied_to, layer, module, n_parameters, is_equal,
    squared_change, squared_norm, top5_share, effective_rank, noise_top5_share, noise_effective_rank``; ``answers`` the
    texts: ``prompt, answer, log_ratio, divergence``. ``is_same_weights`` says that no weight differs. ``settings`` say
    how it was measured. ``named`` has a row for each head and direction that another explainer names and that was
    swapped by itself, ``contexts`` the texts that drive the directions; both are empty where nothing is named.
    """

    base: str
    tuned: str
    modules: tuple[ModuleRow, ...]
    cumulative: tuple[CumulativeRow, ...]
    total: Total
    claim: Claim | None
    weights: pl.DataFrame
    answers: pl.DataFrame
    settings: Mapping[str, Any]
    named: tuple[NamedRow, ...] = ()
    contexts: tuple[ContextRow, ...] = ()

    @property
    def is_same_weights(self) -> bool:
        """Whether no weight differs, so that there is nothing to locate."""
        return self.total.n_changed == 0

    @property
    def singles(self) -> tuple[ModuleRow, ...]:
        """The rows of single modules."""
        return tuple(row for row in self.modules if row.swapped == "module")

    def where(self) -> Where | None:
        """The part that brings half of the change with the fewest layers, or the module that brings most; see `Where`.

        None where no share is defined: nothing was swapped, or the tuned model's answers are no likelier under it.
        """
        return find_where(self.modules, self.cumulative, self.claim)

    def to_polars(self) -> pl.DataFrame:
        """The rows of ``modules`` (`ModuleRow`), one for each module; an interval has two columns."""
        return self.tables()["location_modules"]

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables: ``location_modules, location_cumulative, location_weights, location_answers``.

        And of what is named ``location_named`` and ``location_contexts``.
        """
        return {table.name: table.frame for table in self._show().tables(self)}

    def to_dict(self) -> dict[str, Any]:
        """Modules, cumulative shares, what is named, the whole change and the settings as plain JSON data."""
        rows = {name: [asdict(row) for row in getattr(self, name)] for name in NAMES_OF_ROWS}
        claim = None if self.claim is None else asdict(self.claim)
        data = {"base": self.base, "tuned": self.tuned} | rows | {"total": asdict(self.total), "claim": claim}
        found: dict[str, Any] = json.loads(json.dumps(data | {"settings": dict(self.settings)}, allow_nan=False))
        return found

    def _facts(self) -> dict[str, Any]:
        sizes = {"n_layers": len(self.cumulative), "n_modules": len(self.singles), "n_texts": self.total.n_texts}
        return {"base": self.base, "tuned": self.tuned} | sizes
