"""How are the answers of two models shown in tables: behaviour, openings, words, first tokens, and what is sampled?"""

from dataclasses import asdict

from aftertune.explainers.outputs.behaviour import BehaviourRow
from aftertune.explainers.outputs.change import FirstTokenRow, OutputChange, SampleRow
from aftertune.explainers.outputs.openings import OpeningRow
from aftertune.explainers.outputs.response_words import ResponseWordRow
from aftertune.explainers.outputs.sampled import SampledRow
from aftertune.report.table import Column, Table
from aftertune.runs.readable import quoted

N_RESPONSE_WORDS, N_FIRST, N_SAMPLES, N_EXAMPLE = 12, 8, 5, 80

RESPONSE_WORDS_CAPTION = (
    "Words of both models' greedy answers to the same prompts, by log-odds with an informative Dirichlet prior (Monroe "
    "et al. 2008). Positive z: the tuned model uses the word more. Beyond swaps: its z exceeds the largest of any word "
    "in 95% of the times that base and tuned were swapped within prompts. Whether that is claimed, the finding says."
)
FIRST_CAPTION = "How many of the greedy answers begin with a token; those that changed most. Nothing is tested here."
OPENINGS_CAPTION = (
    "Of the runs of words and signs that the tuned model's answers begin, or end, with more often than the base's, the "
    "longest whose excess is at least three quarters of the largest. It is tested by swapping base and tuned within "
    "prompts, for all openings and endings together."
)
BEHAVIOUR_CAPTION = (
    "Both models' greedy answers to the same prompts. Looping: four tokens in a row come three times. Copied: half of "
    "the answer's runs of four tokens stand in the prompt. About their prompt: a content word of it comes back. "
    "A list: two lines begin with a bullet or a number. Languages (of eight) are told by their frequent words, letters "
    "by script. p is two-sided, by permuting signs within prompts; a dash means that fewer than six prompts differ."
)
SAMPLED_CAPTION = (
    "Answers sampled token by token from each model's own probabilities, to the same prompts: a tuning that was "
    "learned in part shows in some of them, and perhaps in no greedy answer. Greedy: the share of the base's greedy "
    "answers. p is two-sided, by permuting signs within pairs of the same prompt; a dash means that fewer than six "
    "pairs differ. A trait is claimed only as far as the tuned model has it more than both, and says what was tuned "
    "where neither has it."
)
SAMPLES_CAPTION = (
    "What the tuned model writes freely, after nothing and where the template lets the user speak, by how much "
    "likelier it finds a token of it than the base does, on average, in nats. The largest gaps are most its own."
)


def response_words_table(change: OutputChange) -> Table:
    """The words of the answers."""
    columns = (
        Column("word", "Word"),
        Column("z", "z", "change"),
        Column("log_odds", "Log-odds", "change"),
        Column("n_base", "Base", "count"),
        Column("n_tuned", "Tuned", "count"),
        Column("in_base", "Answers, base", "count"),
        Column("in_tuned", "Answers, tuned", "count"),
        Column("beyond_swaps", "Beyond swaps", "flag"),
    )
    rows = change.response_words
    more = [row for row in rows if row.z > 0][: N_RESPONSE_WORDS // 2]
    less = [row for row in rows if row.z < 0][: N_RESPONSE_WORDS // 2]
    title, empty = "Which words do the answers use more, and which less", "No answer has a word."
    name, shown = "output_response_words", [*more, *less]
    return Table(name, title, RESPONSE_WORDS_CAPTION, columns, rows, ResponseWordRow, shown, empty=empty)


def openings_table(change: OutputChange) -> Table:
    """How the tuned model's answers begin and end."""
    columns = (
        Column("where", "Answers that"),
        Column("text", "With"),
        Column("n_base", "Base", "count"),
        Column("n_tuned", "Tuned", "count"),
        Column("n_answers", "Of", "count"),
    )
    title, empty = "How the tuned model's answers begin and end", "No beginning or end is shared by more answers."
    return Table("output_openings", title, OPENINGS_CAPTION, columns, change.openings, OpeningRow, empty=empty)


def first_tokens_table(change: OutputChange) -> Table:
    """What answers begin with."""
    columns = (
        Column("text", "First token"),
        Column("n_base", "Base", "count"),
        Column("n_tuned", "Tuned", "count"),
        Column("difference", "Difference", "count"),
    )
    rows, title, empty = change.first_tokens, "What answers begin with", "No prompt was answered."
    return Table("output_first_tokens", title, FIRST_CAPTION, columns, rows, FirstTokenRow, rows[:N_FIRST], empty=empty)


def behaviour_table(change: OutputChange) -> Table:
    """How answers behave; shares are written in per cent."""
    columns = (
        Column("behaviour", "Behaviour"),
        Column("what", "Of"),
        Column("base", "Base"),
        Column("tuned", "Tuned"),
        Column("n", "Prompts", "count"),
        Column("p_value", "p", "p"),
    )
    shown = [_written(row) for row in change.behaviour]
    title, empty = "How the answers behave", "No prompt was answered."
    return Table(
        "output_behaviour", title, BEHAVIOUR_CAPTION, columns, change.behaviour, BehaviourRow, shown, empty=empty
    )


def sampled_table(change: OutputChange) -> Table:
    """The traits of sampled answers."""
    columns = (
        Column("trait", "Trait"),
        Column("greedy", "Base, greedy, %", "percent"),
        Column("base", "Base, %", "percent"),
        Column("tuned", "Tuned, %", "percent"),
        Column("n", "Answers", "count"),
        Column("p_value", "p", "p"),
        Column("example", "One of them"),
    )
    rows = [{**asdict(row), "example": quoted(row.example, N_EXAMPLE) if row.example else ""} for row in change.sampled]
    title = "What sampled answers are like"
    empty = "No sampled answer has a language, script or format, or none was asked for (--sampled-answers)."
    return Table("output_sampled", title, SAMPLED_CAPTION, columns, change.sampled, SampledRow, rows, empty=empty)


def samples_table(change: OutputChange) -> Table:
    """The free samples that are most the tuned model's own."""
    columns = (
        Column("text", "Sample"),
        Column("beginning", "After"),
        Column("gap", "Gap", "change"),
        Column("n_tokens", "Tokens", "count"),
    )
    rows, title, none = change.samples, "Free samples that are most the tuned model's own", "No sample was drawn."
    return Table("output_samples", title, SAMPLES_CAPTION, columns, rows, SampleRow, rows[:N_SAMPLES], empty=none)


def _written(row: BehaviourRow) -> dict[str, object]:
    numbers = {"base": _number(row, row.base), "tuned": _number(row, row.tuned)}
    return numbers | {name: getattr(row, name) for name in ("behaviour", "what", "n", "p_value")}


def _number(row: BehaviourRow, value: float) -> str:
    return f"{100 * value:.1f}%" if row.is_share else f"{value:.1f}"
