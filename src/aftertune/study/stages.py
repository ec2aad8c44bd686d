"""What did each stage of tuning change?  Several checkpoints, each compared with its predecessor and with the first.

1. The comparisons, one for each pair, as if the pair had been compared alone.
2. Table 2 with a column for each model and each pair; Holm's correction is over all pairs and data sets.
3. The numbers of figures 2, 3, 6, 7 and 8 with a line for each model or pair.
4. How far heads and feed-forward layers turned, pair by pair.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.attribution.change import Comparison
from aftertune.explainers.attribution.rows import Table2Row
from aftertune.runs.result import Result
from aftertune.statistics.corrections import holm

Row = dict[str, Any]


@dataclass(frozen=True, repr=False)
class Lineage(Result):
    """Several models in the order of training, and the ``comparisons`` of each with its predecessor and the first.

    ``names`` are those of the models. Every comparison stands for itself, p-values and claims included; where all are
    looked at together, `score_table` corrects for asking of several pairs.
    """

    names: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    def comparison(self, base: str, tuned: str) -> Comparison:
        """The comparison of two models by name; raises `RunError` if they were not compared."""
        for found in self.comparisons:
            if (found.base, found.tuned) == (base, tuned):
                return found
        held = "; ".join(f"{one.base} with {one.tuned}" for one in self.comparisons)
        raise RunError(f"{base!r} was not compared with {tuned!r}. Compared were {held}.")

    def to_polars(self) -> pl.DataFrame:
        """The ``instances`` of all comparisons, a row for each prompt and pair; ``base, tuned`` name the pair."""
        return self.tables()["instances"]

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables of all comparisons by name, one below the other, with ``base, tuned`` as their first columns."""
        found: dict[str, list[pl.DataFrame]] = {}
        for one in self.comparisons:
            for name, frame in one.tables().items():
                own = [column for column in frame.columns if column not in ("base", "tuned")]
                pair = (pl.lit(one.base).alias("base"), pl.lit(one.tuned).alias("tuned"))
                found.setdefault(name, []).append(frame.select(*pair, *own))
        return {name: pl.concat(frames, how="diagonal") for name, frames in found.items()}

    def to_dict(self) -> Row:
        """The names, the tables of all models together and each comparison, as plain JSON data."""
        together = {"table2": score_table(self), "turned": turned_table(self)}
        data = {"names": self.names, **together, "comparisons": [one.to_dict() for one in self.comparisons]}
        found: Row = json.loads(json.dumps(data, allow_nan=False))
        return found

    def _facts(self) -> dict[str, Any]:
        return {"names": self.names, "n_comparisons": len(self.comparisons)}


def score_table(lineage: Lineage) -> list[Row]:
    """Table 2 of all models: ``dataset, pooled, models, pairs``, the latter two in the order of the lineage.

    ``models`` are spreads of the score (None where a data set has no response of a model), ``pairs`` have the columns
    of `Table2Row`, ``p_value_holm`` and that of ``paired`` corrected over pairs and data sets; that of the pooled row,
    which repeats the others' question, over pairs.
    """
    asked = [{row.dataset: row for row in one.table2} for one in lineage.comparisons]
    datasets = list(dict.fromkeys(name for rows in asked for name in rows))
    corrected = _corrected(asked, pooled=False) | _corrected(asked, pooled=True)
    return [
        {
            "dataset": name,
            "pooled": any(rows[name].pooled for rows in asked if name in rows),
            "models": [_spread(lineage, model, name) for model in lineage.names],
            "pairs": [corrected.get((place, name)) for place in range(len(asked))],
        }
        for name in datasets
    ]


def turned_table(lineage: Lineage) -> list[Row]:
    """How far each pair lies apart inside, over all layers: ``base, tuned`` and what was read of heads and concepts.

    ``pairs_changed`` is the mean distance of the heads' lists of word pairs (figure 2), ``pairs_changed_control`` the
    largest mean of its controls; angles are in degrees, as in `RotationRow`.
    """
    return [
        {"base": one.base, "tuned": one.tuned, **_heads(one), **_concepts(one), **_interpreted(one)}
        for one in lineage.comparisons
    ]


def rows_of_models(lineage: Lineage, part: str, table: str) -> list[Row]:
    """The rows of a table that has rows of its own for each model, every model once: figures 3, 6, 7, 8, table 1.

    ``part`` is "" for the comparison itself, or "concepts" or "annotations".
    """
    return [asdict(row) for name in lineage.names for row in _own_rows(lineage, name, part, table)]


def rows_of_pairs(lineage: Lineage, part: str, table: str) -> list[Row]:
    """The rows of a table that compares two models, with ``pair``, their names: figure 2, rotation, table 3."""
    return [
        {"pair": f"{one.base} → {one.tuned}"} | asdict(row)
        for one in lineage.comparisons
        if getattr(one, part) is not None
        for row in getattr(getattr(one, part), table)
    ]


def instance_rows(lineage: Lineage) -> list[Row]:
    """One row for each prompt: ``id, dataset`` and the models' ``scores`` in their order, None without a response."""
    scores: dict[tuple[str, str], dict[str, float | None]] = {}
    for one in lineage.comparisons:
        for row in one.instances:
            own = scores.setdefault((row.dataset, row.id), {})
            own |= {one.base: row.score_base, one.tuned: row.score_tuned}
    return [
        {"id": id, "dataset": dataset, "scores": [own.get(name) for name in lineage.names]}
        for (dataset, id), own in scores.items()
    ]


def _own_rows(lineage: Lineage, name: str, part: str, table: str) -> list[Any]:
    """A model stands in several comparisons with the same rows; those of the first one."""
    for one in lineage.comparisons:
        held = getattr(one, part) if part else one
        if held is not None and name in (one.base, one.tuned):
            return [row for row in getattr(held, table) if row.model == name]
    return []


def _corrected(asked: Sequence[dict[str, Table2Row]], pooled: bool) -> dict[tuple[int, str], Row]:
    places = [(place, name) for place, rows in enumerate(asked) for name, row in rows.items() if row.pooled == pooled]
    rows = [asked[place][name] for place, name in places]
    welch, paired = holm([row.p_value for row in rows]), holm([row.paired.p_value for row in rows])
    return {
        at: asdict(row) | {"p_value_holm": p, "paired": asdict(row.paired) | {"p_value_holm": p_paired}}
        for at, row, p, p_paired in zip(places, rows, welch, paired, strict=True)
    }


def _spread(lineage: Lineage, model: str, dataset: str) -> Row | None:
    for one in lineage.comparisons:
        for row in one.table2:
            if row.dataset == dataset and model in (one.base, one.tuned):
                return asdict(row.base if model == one.base else row.tuned)
    return None


def _heads(one: Comparison) -> Row:
    pooled = [row for row in _pooled(one.heads, "figure2") if row.level == "head"]
    if not pooled:
        return dict.fromkeys(("pairs_changed", "pairs_changed_interval", "pairs_changed_control"))
    controls = [control.distance for control in pooled[0].controls if control.distance is not None]
    return {
        "pairs_changed": pooled[0].distance.mean,
        "pairs_changed_interval": pooled[0].interval,
        "pairs_changed_control": max(controls, default=None),
    }


def _concepts(one: Comparison) -> Row:
    row = next(_pooled(one.concepts, "rotation"), None)
    names = ("subspace_angle", "separated_angle", "words_kept")
    return {name: getattr(row, name).mean if row is not None else None for name in names}


def _interpreted(one: Comparison) -> Row:
    found = one.annotations.interpreted if one.annotations is not None else None
    return {"interpreted_change": found.difference if found else None}


def _pooled(held: Any, table: str) -> Iterator[Any]:
    """The pooled rows of a table; that of a single group of layers where there is no pooled one."""
    rows = list(getattr(held, table)) if held is not None else []
    pooled = [row for row in rows if row.pooled]
    return iter(pooled or rows)
