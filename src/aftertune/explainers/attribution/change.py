"""What did tuning change? Two models' maps in, one comparison out.

1. Tables 1 and 2 and figure 6 (`tables`, `position`).
2. One row for each prompt: both scores, their difference, and how much either response copies.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.annotation.change import AnnotationChange
from aftertune.explainers.attribution.figure6 import figure6
from aftertune.explainers.attribution.maps import SalientMap
from aftertune.explainers.attribution.repetition import copied, copied_share, is_repetitive, novel_score
from aftertune.explainers.attribution.rows import Figure6Row, InstanceRow, RaterRow, Table1Row, Table2Row
from aftertune.explainers.attribution.tables import table1, table2
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.heads.change import HeadChange
from aftertune.runs.frames import frame_of
from aftertune.runs.result import Result

INSTANCE_NUMBERS = (
    *("score", "score_novel", "copied_share", "repetitive"),
    *("helpfulness", "n_prompt", "n_response"),
)


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Everything that was compared between the models named ``base`` and ``tuned``.

    ``table2_answered`` is table 2 on the prompts that both models answered with at least one token; it has no rows
    where that is all of them, or none. ``agreement`` is a summary of `summarise_agreement`, None where nothing was
    held against removal. ``heads`` and ``concepts`` are what changed in the attention heads and in the feed-forward
    layers, None where they were not read; where only they were, the tables have no rows. ``annotations`` is what an
    annotator made of the concepts, None where nobody did. ``raters`` says how far people agree who labelled the run.
    """

    base: str
    tuned: str
    table1: tuple[Table1Row, ...]
    table2: tuple[Table2Row, ...]
    table2_answered: tuple[Table2Row, ...]
    figure6: tuple[Figure6Row, ...]
    instances: tuple[InstanceRow, ...]
    agreement: dict[str, Any] | None = None
    heads: HeadChange | None = None
    concepts: ConceptChange | None = None
    annotations: AnnotationChange | None = None
    raters: tuple[RaterRow, ...] = ()

    def to_polars(self) -> pl.DataFrame:
        """The ``instances``, a row for each prompt, with the columns of `InstanceRow`; scores have no unit.

        What else was compared is among `tables`.
        """
        return frame_of(self.instances, InstanceRow)

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables by name: ``table1, table2, table2_answered, figure6, instances``, and those of the parts.

        ``raters`` is among them where people labelled the run. The parts are ``heads``, ``concepts`` and
        ``annotations``; what was not compared has no tables. Columns are those of the rows
        (`aftertune.explainers.attribution.rows`), a mean, an interval or a control in columns of their own:
        ``base_mean, difference_interval_low``.
        """
        kinds = {"table1": Table1Row, "table2": Table2Row, "table2_answered": Table2Row, "figure6": Figure6Row}
        kinds |= {"raters": RaterRow} if self.raters else {}
        own = {name: frame_of(getattr(self, name), kind) for name, kind in kinds.items()}
        parts = (part.tables() for part in (self.heads, self.concepts, self.annotations) if part is not None)
        return own | {"instances": self.to_polars()} | {name: one for part in parts for name, one in part.items()}

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain JSON data: rows are dictionaries, what is not defined is None."""
        found: dict[str, Any] = _plain(asdict(replace(self, heads=None, concepts=None, annotations=None)))
        inside = {"heads": self.heads, "concepts": self.concepts, "annotations": self.annotations}
        return found | {name: change.to_dict() if change else None for name, change in inside.items()}

    def _facts(self) -> dict[str, Any]:
        parts = {"heads": self.heads, "concepts": self.concepts, "annotations": self.annotations}
        held = [name for name, part in parts.items() if part is not None]
        return {"base": self.base, "tuned": self.tuned, "n_prompts": len(self.instances), "parts": held}


def without_maps(base: str, tuned: str) -> Comparison:
    """The comparison of two models no prompt of which was measured."""
    return Comparison(base, tuned, table1=(), table2=(), table2_answered=(), figure6=(), instances=())


def compare_maps(
    maps: Sequence[SalientMap], base: str, tuned: str, seed: int = 0, agreement: dict[str, Any] | None = None
) -> Comparison:
    """Compare the maps of the models named ``base`` and ``tuned``; maps of other models are left out.

    ``agreement`` is kept with the rest; ``seed`` is that of the bootstrap intervals. Raises `RunError` if the names are
    the same, a model has no map, or a model has two maps of the same prompt.
    """
    _check(maps, base, tuned)
    own = [m for m in maps if m.model in (base, tuned)]
    return Comparison(
        base=base,
        tuned=tuned,
        table1=table1(own, seed),
        table2=table2(own, base, tuned, seed),
        table2_answered=_table2_answered(own, base, tuned, seed),
        figure6=figure6(own),
        instances=_instances(own, base, tuned),
        agreement=agreement,
    )


def _check(maps: Sequence[SalientMap], base: str, tuned: str) -> None:
    models = dict.fromkeys(m.model for m in maps)
    if base == tuned:
        raise RunError(f"Base and tuned are both {base!r}. Name two models; there are maps of {_list(models)}.")
    for name in (base, tuned):
        if name not in models:
            raise RunError(
                f"There is no map of the model {name!r}; there are maps of {_list(models)}. Name one of them."
            )
    for (dataset, id, model), count in Counter((m.dataset, m.id, m.model) for m in maps).items():
        if count > 1:
            raise RunError(
                f"There are {count} maps of prompt {id!r} ({dataset}) under {model!r}. Give each prompt its own id."
            )


def _table2_answered(maps: Sequence[SalientMap], base: str, tuned: str, seed: int) -> tuple[Table2Row, ...]:
    counts = Counter((m.dataset, m.id) for m in maps if m.n_response)
    answered = [m for m in maps if counts[m.dataset, m.id] == 2]
    return table2(answered, base, tuned, seed) if 0 < len(answered) < len(maps) else ()


def _list(names: dict[str, None]) -> str:
    return ", ".join(repr(name) for name in names) or "no model"


def _instances(maps: Sequence[SalientMap], base: str, tuned: str) -> tuple[InstanceRow, ...]:
    of = {(m.dataset, m.id, m.model): _numbers(m) for m in maps}
    keys = dict.fromkeys((m.dataset, m.id) for m in maps)
    unknown: dict[str, Any] = dict.fromkeys(INSTANCE_NUMBERS)
    return tuple(_instance(*key, of.get((*key, base), unknown), of.get((*key, tuned), unknown)) for key in keys)


def _instance(dataset: str, id: str, base: dict[str, Any], tuned: dict[str, Any]) -> InstanceRow:
    scores = tuned["score"], base["score"]
    return InstanceRow(
        id=id,
        dataset=dataset,
        difference=None if None in scores else scores[0] - scores[1],
        **{f"{name}_base": value for name, value in base.items()},
        **{f"{name}_tuned": value for name, value in tuned.items()},
    )


def _numbers(salient: SalientMap) -> dict[str, Any]:
    """What an instance row says of one map, in the order of `INSTANCE_NUMBERS`."""
    marked = copied(salient.prompt_tokens, salient.response_tokens)
    novel = novel_score(salient.levels, marked, salient.is_instruction)
    values = (
        *(salient.score(), novel, copied_share(marked), is_repetitive(marked)),
        *(salient.helpfulness, salient.n_prompt, salient.n_response),
    )
    return dict(zip(INSTANCE_NUMBERS, values, strict=True))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
