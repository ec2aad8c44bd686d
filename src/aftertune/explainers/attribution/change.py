"""What did tuning change? Two models' maps in, one change out.

1. Tables 1 and 2 and figure 6 (`tables`, `figure6`).
2. One row for each prompt: both scores, their difference, and how much either response copies.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.attribution.controls import Table1Control, Table2Control, table1_controls, table2_controls
from aftertune.explainers.attribution.density_comparison import Table1Row, Table2Row, table1, table2
from aftertune.explainers.attribution.difference import AttributionDifference, DifferenceRow, difference_row
from aftertune.explainers.attribution.faithfulness import FaithfulnessCheck, RaterRow, RemovalCheck
from aftertune.explainers.attribution.instruction.effect import InstructionRow
from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.score import (
    copied,
    copied_share,
    is_looping,
    is_one_word,
    is_repetitive,
    novel_score,
)
from aftertune.explainers.attribution.sentence_position import Figure6Row, figure6
from aftertune.runs.frames import frame_of
from aftertune.runs.result import Result

INSTANCE_NUMBERS = (
    *("score", "score_novel", "copied_share", "repetitive"),
    *("looping", "one_word", "cut_off", "helpfulness", "n_prompt", "n_response"),
)


@dataclass(frozen=True)
class InstanceRow:
    """One prompt under both models; what a model has no map of is None.

    ``score`` is that behind tables 1 and 2, ``score_novel`` the same without copied response tokens; ``copied_share``
    and ``repetitive`` say how much of the response stood before (`aftertune.explainers.attribution.score`), as
    ``looping`` and ``one_word`` are told there. ``cut_off`` says that it has the most tokens that were asked for, None
    where that number is not known or the response was given.
    """

    id: str
    dataset: str
    score_base: float | None
    score_tuned: float | None
    difference: float | None
    score_novel_base: float | None
    score_novel_tuned: float | None
    copied_share_base: float | None
    copied_share_tuned: float | None
    repetitive_base: bool | None
    repetitive_tuned: bool | None
    looping_base: bool | None
    looping_tuned: bool | None
    one_word_base: bool | None
    one_word_tuned: bool | None
    cut_off_base: bool | None
    cut_off_tuned: bool | None
    helpfulness_base: int | None
    helpfulness_tuned: int | None
    n_prompt_base: int | None
    n_prompt_tuned: int | None
    n_response_base: int | None
    n_response_tuned: int | None


@dataclass(frozen=True)
class LabelCounts:
    """What people said of the two models: responses they rated, prompts whose instruction they marked, and who did.

    ``n_unmarked`` counts prompts whose instruction neither they nor the prompt file marked.
    """

    n_prompts: int
    n_unmarked: int
    n_responses: int
    n_rated: int
    n_marked: int
    raters: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PromptDifference:
    """One prompt with the tuned model's response under both models."""

    id: str
    dataset: str
    found: AttributionDifference


@dataclass(frozen=True, eq=False, repr=False)
class AttributionChange(Result):
    """How the models named ``base`` and ``tuned`` differ in their use of prompts.

    ``table2_answered`` is table 2 on the prompts that both models answered with at least one token; it has no rows
    where that is all of them, or none. ``table1_controls`` and ``table2_controls`` hold tables 1 and 2 against any
    words of the same prompts. ``agreement`` says how well the maps agree with removal (those of removal with the
    other kind of it), ``faithfulness`` how well they predict replaced words; None where that was not checked.
    ``raters`` says how far people agree who labelled the run, ``labels`` how much they labelled. ``maps`` are those
    of both models, ``differences`` both models on the tuned model's responses, but for ``n_beyond`` of them that hold
    tokens which tuning added, so that the base can't read them. Prompts that ``overflowed`` (ids) are left out of all
    of it: numbers of one of the models are not finite. ``instruction`` compares how far responses depend on their
    whole instruction, a row for each data set in which it is marked. ``settings`` say how the maps were measured, empty
    where that is not known.
    """

    base: str
    tuned: str
    table1: tuple[Table1Row, ...]
    table2: tuple[Table2Row, ...]
    table2_answered: tuple[Table2Row, ...]
    figure6: tuple[Figure6Row, ...]
    instances: tuple[InstanceRow, ...]
    table1_controls: tuple[Table1Control, ...] = ()
    table2_controls: tuple[Table2Control, ...] = ()
    agreement: RemovalCheck | None = None
    faithfulness: FaithfulnessCheck | None = None
    raters: tuple[RaterRow, ...] = ()
    labels: LabelCounts | None = None
    maps: tuple[SalientMap, ...] = ()
    differences: tuple[PromptDifference, ...] = ()
    n_beyond: int = 0
    overflowed: tuple[str, ...] = ()
    instruction: tuple[InstructionRow, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_polars(self) -> pl.DataFrame:
        """The ``instances``, a row for each prompt, with the columns of `InstanceRow`; scores have no unit.

        What else was compared is among `tables`.
        """
        return frame_of(self.instances, InstanceRow)

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables by name: ``table1, table2, table2_answered, figure6, instances``, ``table1_controls,
        table2_controls``, and ``instruction`` and ``raters`` if there are any.

        Columns are those of the rows, a mean or an interval in columns of their own: ``base_mean,
        difference_interval_low``.
        """
        return {table.name: table.frame for table in self._show().tables(self)}

    def to_dict(self) -> dict[str, Any]:
        """The change as plain JSON data, without its maps: rows are dictionaries, what is not defined is None."""
        found: dict[str, Any] = _plain(asdict(replace(self, maps=(), differences=())))
        found["differences"] = [_plain(asdict(row)) for row in self.difference_rows]
        return {name: value for name, value in found.items() if name != "maps"}

    @cached_property
    def difference_rows(self) -> tuple[DifferenceRow, ...]:
        """What the difference of each prompt depends on, on the tuned model's response."""
        return tuple(difference_row(one.dataset, one.id, one.found) for one in self.differences)

    def _facts(self) -> dict[str, Any]:
        return {"base": self.base, "tuned": self.tuned, "n_prompts": len(self.instances)}


def compare_maps(
    maps: Sequence[SalientMap],
    base: str,
    tuned: str,
    seed: int = 0,
    agreement: RemovalCheck | None = None,
    faithfulness: FaithfulnessCheck | None = None,
    settings: Mapping[str, Any] | None = None,
    given: Collection[str] = (),
) -> AttributionChange:
    """Compare the maps of the models named ``base`` and ``tuned``; maps of other models are left out.

    ``agreement``, ``faithfulness`` and ``settings`` are kept with the rest; ``seed`` is that of the bootstrap
    intervals. ``given`` are the ids of prompts whose response was given, so that no model was stopped in it.

    Raises `RunError` if the names are the same, a model has no map, or a model has two maps of the same prompt.
    """
    _must_be_comparable(maps, base, tuned)
    own = [m for m in maps if m.model in (base, tuned)]
    instances = _instances(own, base, tuned, (settings or {}).get("max_new_tokens"), given)
    return AttributionChange(
        base=base,
        tuned=tuned,
        table1=table1(own, seed),
        table2=table2(own, base, tuned, seed),
        table2_answered=_table2_answered(own, base, tuned, seed),
        figure6=figure6(own),
        instances=instances,
        table1_controls=table1_controls(own, _cut_off(instances, base, tuned), seed),
        table2_controls=table2_controls(own, base, tuned, seed),
        agreement=agreement,
        faithfulness=faithfulness,
        maps=tuple(own),
        settings=dict(settings or {}),
    )


def _cut_off(instances: Sequence[InstanceRow], base: str, tuned: str) -> dict[tuple[str, str, str], bool | None]:
    sides = ((base, "cut_off_base"), (tuned, "cut_off_tuned"))
    return {(row.dataset, row.id, name): getattr(row, place) for row in instances for name, place in sides}


def _must_be_comparable(maps: Sequence[SalientMap], base: str, tuned: str) -> None:
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


def _instances(
    maps: Sequence[SalientMap], base: str, tuned: str, most_tokens: int | None, given: Collection[str]
) -> tuple[InstanceRow, ...]:
    of = {(m.dataset, m.id, m.model): _numbers(m, None if m.id in given else most_tokens) for m in maps}
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


def _numbers(salient: SalientMap, most_tokens: int | None) -> dict[str, Any]:
    """What an instance row says of one map, in the order of `INSTANCE_NUMBERS`."""
    marked = copied(salient.prompt_tokens, salient.response_tokens)
    novel = novel_score(salient.levels, marked, salient.is_instruction)
    values = (
        *(salient.score(), novel, copied_share(marked), is_repetitive(marked)),
        *(is_looping(salient.response_tokens), is_one_word(salient.response_tokens)),
        None if most_tokens is None else salient.n_response >= most_tokens,
        *(salient.helpfulness, salient.n_prompt, salient.n_response),
    )
    return dict(zip(INSTANCE_NUMBERS, values, strict=True))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
