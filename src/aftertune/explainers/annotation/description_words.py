"""Which words do an annotator's descriptions use more, and which less, of the tuned model's concepts?

Tables 7 to 10 (appendix D.2), over the descriptions of a group of layers, all repeats together.
1. The words of a description, lower-cased, a plural as its singular ("keys" as "key"); other forms stay ("describing"),
   as in the published tables. Hyphens hold words together, slashes part them.
2. Those of four letters or more that are no stop words, and of each its share among all such words of a model.
3. The words' ranks in each model, most frequent first, equal ones alike; what a model never uses comes last.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import polars as pl

from aftertune.explainers.annotation.marks import Marks
from aftertune.explainers.heads.word_shares import Groups

WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
LEAST_LETTERS = 4
STOPPED = """
about above across after again against along also although among another anything around because been before being
below between beyond both cannot could does doing down during each either else even every everything from further have
having here hers herself himself however instead into itself just like many more most much must myself neither none
nothing once only onto other others otherwise ours ourselves over perhaps same shall should since some somewhat such
than that their theirs them themselves then there therefore these they this those though through thus together toward
towards under unless until upon very were what whatever when where whereas whether which while whom whose will with
within without would your yours yourself yourselves
"""
STOP_WORDS = frozenset(STOPPED.split())
WORDS = {
    **{"layers": pl.String, "word": pl.String, "n_base": pl.Int64, "n_tuned": pl.Int64},
    **dict.fromkeys(("frequency_base", "frequency_tuned", "change"), pl.Float64),
    **dict.fromkeys(("rank_base", "rank_tuned", "rank_change"), pl.Int64),
}


def description_words(base: Marks, tuned: Marks, groups: Groups) -> pl.DataFrame:
    """``layers, word, n_base, n_tuned, frequency_base, frequency_tuned, change, rank_base, rank_tuned, rank_change``.

    A row for each group of layers and word of its descriptions. ``frequency`` is a share of the counted words of a
    model in that group, 0 where there is none; ``change`` is tuned - base; ``rank_change`` is positive where a word
    rose.
    """
    return pl.concat([_group(name, _counted(base, layers), _counted(tuned, layers)) for name, layers in groups.items()])


def words_of(description: str) -> Iterator[str]:
    """The words of a description that count, as often as they stand in it."""
    for found in WORD.findall(description.lower()):
        *before, last = found.split("-")
        word = "-".join([*before, _singular(last)])
        if len(word.replace("-", "")) >= LEAST_LETTERS and word not in STOP_WORDS:
            yield word


@cache
def _singular(word: str) -> str:
    import lemminflect

    return str(lemminflect.getAllLemmas(word, upos="NOUN").get("NOUN", (word,))[0])


def _counted(marks: Marks, layers: Sequence[int]) -> Counter[str]:
    inside = marks.answers.filter(pl.col("layer").is_in(list(layers)), pl.col("description").is_not_null())
    return Counter(word for description in inside["description"] for word in words_of(description))


def _group(name: str, base: Counter[str], tuned: Counter[str]) -> pl.DataFrame:
    rows = [(name, word, base[word], tuned[word]) for word in sorted(base | tuned)]
    found = pl.DataFrame(rows, schema={column: WORDS[column] for column in list(WORDS)[:4]}, orient="row")
    ranks = {f"rank_{of}": pl.col(f"n_{of}").rank("min", descending=True).cast(pl.Int64) for of in ("base", "tuned")}
    totals = {"base": max(1, base.total()), "tuned": max(1, tuned.total())}
    frequencies = {f"frequency_{of}": pl.col(f"n_{of}") / total for of, total in totals.items()}
    return (
        found.with_columns(**ranks, **frequencies)
        .with_columns(
            change=pl.col("frequency_tuned") - pl.col("frequency_base"),
            rank_change=pl.col("rank_base") - pl.col("rank_tuned"),
        )
        .select(*WORDS)
    )
