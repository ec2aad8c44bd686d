"""How are the outputs of two models shown: tables, answers token by token, and in a notebook?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import TypeVar

from aftertune.explainers.outputs.answer_tables import (
    behaviour_table,
    first_tokens_table,
    openings_table,
    response_words_table,
    sampled_table,
    samples_table,
)
from aftertune.explainers.outputs.answers import answers_html
from aftertune.explainers.outputs.change import (
    AnswerRow,
    NoiseRow,
    OutputChange,
    RisingWordRow,
    WordRow,
)
from aftertune.explainers.outputs.findings import questions
from aftertune.explainers.outputs.instruction.show import instructed_table
from aftertune.explainers.outputs.words import DIRECTIONS
from aftertune.report import notebook
from aftertune.report.colours import BASE, TUNED
from aftertune.report.environment import render
from aftertune.report.numbers import read_labels
from aftertune.report.section import Section
from aftertune.report.table import Column, Table
from aftertune.runs.readable import visible
from aftertune.runs.result import Result
from aftertune.statistics.questions import answer

Row = TypeVar("Row", WordRow, RisingWordRow)
NAME, TITLE = "outputs", "Outputs"
TEMPLATES = Path(__file__).parent / "templates"
N_WORDS = 6

WORDS_CAPTION = (
    "Tokens whose probability moved most, in texts that both models read: openings of our own (generic), everyday "
    "prompts with the base's answers (answers), and your prompts with the base's answers (prompts). The score is the "
    "logarithm of how many times as likely the token became, the smaller of two halves of the texts. The limit is the "
    "largest score of any token in models with random weight changes of the same effect; beyond noise is what exceeds "
    "it. Whether that is claimed, the finding says, corrected for all that is asked. Your prompts are described only. "
    "The CSV has more tokens."
)
NOISE_CAPTION = (
    "The largest score of any token beside that of models whose weights were changed at random, scaled so that as much "
    "of the next token's probability moves. p is the chance that such a model reaches the score; p (rank) is by the "
    "rank among the draws alone, which can't be small with few draws. Coherence is the mean cosine between the output "
    "embeddings of the 30 words that rose, or fell, most, without the components that tell frequent tokens from rare "
    "ones. Words of one subject belong together, those that noise moves do not; p (coherence) is that of a next draw."
)
RISING_CAPTION = (
    "Words whose mean log probability moved most over all positions of the texts, beyond that of words as likely: "
    "every position counts alike, so that the words of a subject show in texts about other things. The cosine is the "
    "mean with the other words of the same texts and direction: the larger, the more typical of them. Whether they "
    "belong together beyond noise is in the table below."
)
POSITIONS_TITLE = "Every token of every answer under both models"


@dataclass(frozen=True)
class PositionRow:
    """A token of one model's answer, with its place in it."""

    context: str
    id: str
    side: str
    position: int
    token: str
    log_ratio: float
    kl: float


def tables(change: OutputChange) -> tuple[Table, ...]:
    """All tables, what says most first; that of every token of the answers becomes a CSV alone."""
    positions = [row for one in change.answers for row in _positions(one)]
    marked = [instructed_table(change.instructed)] if change.instructed else []
    return (
        *marked,
        behaviour_table(change),
        sampled_table(change),
        openings_table(change),
        response_words_table(change),
        words_table(change),
        rising_table(change),
        noise_table(change),
        samples_table(change),
        first_tokens_table(change),
        Table("output_positions", POSITIONS_TITLE, "", (), positions, PositionRow),
    )


def words_table(change: OutputChange) -> Table:
    """The tokens that moved most, of each context and direction."""
    columns = (
        Column("direction", "Direction"),
        Column("text", "Token"),
        Column("context", "Texts"),
        Column("times", "Times as likely", "number"),
        Column("p_base", "Base, %", "percent"),
        Column("p_tuned", "Tuned, %", "percent"),
        Column("score", "Score", "number"),
        Column("limit", "Limit", "number"),
        Column("shown", "Beyond noise", "flag"),
    )
    shown = [_visible(row) for group in _groups(change.words) for row in group[:N_WORDS]]
    title, empty = "Which tokens became likelier, and which less likely", "No token's probability moved."
    return Table(
        "output_words", title, WORDS_CAPTION, columns, change.words, WordRow, shown, pale="is_pale", empty=empty
    )


def rising_table(change: OutputChange) -> Table:
    """The words that rose or fell most in all texts."""
    columns = (
        Column("direction", "Direction"),
        Column("text", "Word"),
        Column("context", "Texts"),
        Column("rise", "Rise, nats", "number"),
        Column("cosine", "Cosine with the others", "number"),
    )
    shown = [row for group in _groups(change.rising_words) for row in group[:N_WORDS]]
    title, empty = "Words that rose or fell in all texts", "No noise was drawn, so this was not read."
    return Table(
        "output_rising", title, RISING_CAPTION, columns, change.rising_words, RisingWordRow, shown, empty=empty
    )


def noise_table(change: OutputChange) -> Table:
    """The tests of tokens against noise."""
    columns = (
        Column("context", "Texts"),
        Column("direction", "Direction"),
        Column("largest", "Largest score", "number"),
        Column("limit", "Largest of noise", "number"),
        Column("n_draws", "Draws", "count"),
        Column("n_beyond", "Tokens beyond", "count"),
        Column("total_variation", "Probability moved, %", "percent"),
        Column("noise_total_variation", "By noise, %", "percent"),
        Column("scale", "Norm of noise", "number"),
        Column("p_value", "p", "p"),
        Column("p_value_rank", "p (rank)", "p"),
        Column("coherence", "Coherence", "number"),
        Column("noise_coherence", "Of noise", "number"),
        Column("p_value_coherence", "p (coherence)", "p"),
    )
    title, empty = "Is it more than noise of like effect?", "Nothing was tested."
    return Table("output_noise", title, NOISE_CAPTION, columns, change.noise, NoiseRow, empty=empty)


def section(change: OutputChange) -> Section:
    """The part of a report on the outputs of two models."""
    own = tables(change)
    page = {"change": change, "tables": own[:-1], "answers": answers_html(change), "base": BASE, "tuned": TUNED}
    return Section(
        name=NAME,
        title=TITLE,
        tables=own,
        body=render("section.html", TEMPLATES, **page),
        methods=render("methods.html", TEMPLATES, change=change),
        settings=change.settings,
        labels=read_labels(TEMPLATES),
    )


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    contexts = dict.fromkeys(row.context for row in rows)
    return [
        [row for row in rows if (row.direction, row.context) == (direction, context)]
        for direction in DIRECTIONS
        for context in contexts
    ]


def _visible(row: WordRow) -> dict[str, object]:
    names = ("direction", "context", "times", "p_base", "p_tuned", "score", "limit", "shown")
    text = visible(row.text).replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣" if row.text.isspace() else " ")
    return {name: getattr(row, name) for name in names} | {"text": text, "is_pale": row.shown is False}


def _positions(one: AnswerRow) -> list[PositionRow]:
    return [
        PositionRow(one.context, one.id, side, place, row.token, row.log_ratio, row.kl)
        for side, own in (("base", one.base), ("tuned", one.tuned))
        for place, row in enumerate(own)
    ]


@singledispatch
def to_html(result: Result) -> str:
    """A result of outputs as a notebook shows it."""
    return notebook.frame_to_html(type(result).__name__, repr(result), result.to_polars())


@to_html.register
def _change(change: OutputChange) -> str:
    """The findings, the words and how answers behave."""
    title = f"What the tuned model says that the base did not: {change.base} → {change.tuned}"
    facts = f"{len(change.answers)} prompts answered by both"
    return notebook.to_html(title, facts, answer(questions(change)), [words_table(change), behaviour_table(change)])
