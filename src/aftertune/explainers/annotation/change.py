"""What was found between the annotations of two models' concepts, and what can be asked of it."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.annotation.rows import AgreementRow, CategoryRow, Figure3Row, Figure7Row, UnparsedRow
from aftertune.runs.frames import frame_of
from aftertune.runs.result import Result
from aftertune.statistics.spread import POOLED

PLAIN = (
    *("base", "tuned", "layers", "n_repeats_base", "n_repeats_tuned", "n_concepts", "n_left_out"),
    *("n_within_chance_base", "n_within_chance_tuned"),
)
ROWS = ("scenarios", "levels", "figure3", "figure7", "agreement", "unparsed")
LISTED = 10


@dataclass(frozen=True, eq=False, repr=False)
class AnnotationChange(Result):
    """How an annotator's marks differ between the concepts of the models named ``base`` and ``tuned``.

    ``n_concepts`` places (layer, expert, rank) were annotated in every repeat of both models; ``n_left_out`` others
    were not, and count nowhere. Of the former, the words of ``n_within_chance_base`` and ``n_within_chance_tuned`` were
    not nearer to their component than chance would give; None where that is not known. ``interpreted`` is the share of
    concepts that could be described; ``scenarios`` and ``levels`` are the two halves of tables 5 and 6. ``words`` has
    the rows of `description_words` (tables 7 to 10), ``clear`` those of `clear_concepts` (tables 4, 11 and 12).
    """

    base: str
    tuned: str
    layers: tuple[int, ...]
    n_repeats_base: int
    n_repeats_tuned: int
    n_concepts: int
    n_left_out: int
    n_within_chance_base: int | None
    n_within_chance_tuned: int | None
    interpreted: CategoryRow
    scenarios: tuple[CategoryRow, ...]
    levels: tuple[CategoryRow, ...]
    figure3: tuple[Figure3Row, ...]
    figure7: tuple[Figure7Row, ...]
    words: pl.DataFrame
    clear: pl.DataFrame
    agreement: tuple[AgreementRow, ...]
    unparsed: tuple[UnparsedRow, ...]

    def risen_words(self, layers: str = POOLED, n: int = LISTED) -> pl.DataFrame:
        """The ``n`` rows of ``words`` that rose most in a group of layers, most first (tables 7 to 10).

        Raises `RunError` if ``layers`` is none of the groups.
        """
        return self._words(layers).filter(pl.col("change") > 0).sort(-pl.col("change"), "word").head(n)

    def fallen_words(self, layers: str = POOLED, n: int = LISTED) -> pl.DataFrame:
        """The ``n`` rows of ``words`` that fell most; otherwise as `risen_words`."""
        return self._words(layers).filter(pl.col("change") < 0).sort("change", "word").head(n)

    def clearest(self, model: str, n: int = LISTED) -> pl.DataFrame:
        """The first ``n`` rows of ``clear`` of a model; raises `RunError` if ``model`` is neither of the two."""
        if model not in (self.base, self.tuned):
            raise RunError(f"The model {model!r} was not compared. Ask for {self.base!r} or {self.tuned!r}.")
        return self.clear.filter(model=model).head(n)

    def to_polars(self) -> pl.DataFrame:
        """Tables 5 and 6, a row for each scenario, each level, and the share interpreted; shares are 0 to 1."""
        return frame_of([*self.scenarios, *self.levels, self.interpreted], CategoryRow)

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables by name: ``categories, words, clear, figure3, figure7, agreement, unparsed``.

        Columns are those of the rows (`aftertune.explainers.annotation.rows`), a mean or an interval in columns of
        their own: ``base_mean, difference_interval_low``.
        """
        kinds = {"figure3": Figure3Row, "figure7": Figure7Row, "agreement": AgreementRow, "unparsed": UnparsedRow}
        own = {"categories": self.to_polars(), "words": self.words, "clear": self.clear}
        return own | {name: frame_of(getattr(self, name), kind) for name, kind in kinds.items()}

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain JSON data; of words those that rose and fell most, of concepts the clearest."""
        data = {name: getattr(self, name) for name in PLAIN} | {"interpreted": asdict(self.interpreted)}
        data |= {name: [asdict(row) for row in getattr(self, name)] for name in ROWS}
        data["words"] = [row for name in self._groups() for row in self._most_changed(name)]
        data["clear"] = [row for model in (self.base, self.tuned) for row in self.clearest(model).to_dicts()]
        found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
        return found

    def _facts(self) -> dict[str, Any]:
        repeats = {"n_repeats_base": self.n_repeats_base, "n_repeats_tuned": self.n_repeats_tuned}
        return {"base": self.base, "tuned": self.tuned, "n_concepts": self.n_concepts} | repeats

    def _most_changed(self, layers: str) -> list[dict[str, Any]]:
        return [*self.risen_words(layers).to_dicts(), *self.fallen_words(layers).to_dicts()]

    def _groups(self) -> list[str]:
        return list(dict.fromkeys(row.layers for row in self.figure7))

    def _words(self, layers: str) -> pl.DataFrame:
        if layers not in self._groups():
            raise RunError(f"{layers!r} is no group of layers. Ask for one of {', '.join(self._groups())}.")
        return self.words.filter(pl.col("layers") == layers)
