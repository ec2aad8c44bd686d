"""How is the change in the use of prompts shown: tables, figures, and in a notebook?  The page is in `page`."""

from collections.abc import Sequence
from functools import singledispatch

from aftertune.explainers.attribution.change import AttributionChange, InstanceRow
from aftertune.explainers.attribution.charts import quarters_chart, scores_chart
from aftertune.explainers.attribution.controls import Table1Control, Table2Control
from aftertune.explainers.attribution.density_comparison import Table1Row, Table2Row
from aftertune.explainers.attribution.difference import DifferenceRow
from aftertune.explainers.attribution.faithfulness import RaterRow
from aftertune.explainers.attribution.findings import questions
from aftertune.explainers.attribution.instance import render_instance
from aftertune.explainers.attribution.instruction.show import instruction_table
from aftertune.explainers.attribution.read_first import LISTED, PromptToRead, rows_to_read
from aftertune.explainers.attribution.result import Attribution, SalientMap
from aftertune.explainers.attribution.sentence_position import Figure6Row
from aftertune.report import notebook
from aftertune.report.figure import Figure
from aftertune.report.table import Column, Table
from aftertune.runs.readable import readable, visible
from aftertune.runs.result import Result
from aftertune.statistics.questions import answer

TABLE2_CAPTION = (
    "One row for each data set: the mean score of the instruction ± its standard deviation over n prompts. A higher "
    "score means that more of the instruction's words matter for many of the response's words. The difference is tuned "
    "minus base within prompts, since both models answered the same ones; its 95% interval is the range that would "
    "hold it 19 times out of 20 if other prompts of the same kind were drawn. Up and down count the prompts whose "
    "score rose and fell. p is that of a two-sided permutation test of signs within prompts: the chance of a "
    "difference this large or larger, either way, if there were none. What is claimed rests on the table below, which "
    "leaves copied tokens out. Holm's correction allows for several data sets and leaves out the row of all data sets "
    "together. g is the difference in standard "
    "deviations of the scores: 0.2 is small, 0.5 medium, 0.8 large. The paper's p is that of Welch's one-sided test, "
    "which asks for an increase only and does not pair; it decides nothing."
)
TABLE1_CAPTION = (
    "People rated whether a response is helpful; followed means that it does what was asked. The table compares the "
    "score of such responses with that of the others. AUROC is the chance that a followed response scores higher than "
    "an unfollowed one: 0.5 is a coin toss, 1 is perfect. Both p (Welch) and p (permutation), two-sided, must be small "
    "for a claim; the paper's p is that of Welch's one-sided test. Read the other columns as in table 2."
)
DIFFERENCES_CAPTION = (
    "The tuned model's responses under both models. The log-ratio is the mean over tokens of log p_tuned - log p_base. "
    "A token of the prompt counts by how far that falls without it, where it falls. The responses that the base finds "
    "least likely come first; the CSV has all."
)
TABLE2_CONTROLS_CAPTION = (
    "Tuned minus base within prompts, of the score without response tokens that are copied from the prompt or from the "
    "response itself. Any words: the mean of the same score over all choices of as many of the words that the user "
    "wrote. Only what the instruction has beyond them is said of the instruction; where it is all that the user wrote "
    "that is 0. The last difference holds the copied share constant. p is that of a permutation test of signs."
)
TABLE1_CONTROLS_CAPTION = (
    "The chance that a followed response scores higher than an unfollowed one, without copied tokens: of the "
    "instruction's score, of as many of any words that the user wrote, and of what the instruction has beyond them. p "
    "is of the last, the larger of Welch's and the permutation test's. The last column is how much higher a followed "
    "response scores where its length, its copied share and having been cut off are held constant."
)
FIGURE6_CAPTION = (
    "Each sentence of a prompt is cut into four equal runs of tokens. A point is the share of the prompt's density "
    "that falls on that quarter, averaged over prompts; the dotted line at 25% is where it would lie if all quarters "
    "mattered equally. A U shape means that the model looks at the beginning and the end of sentences."
)
SCORES_CAPTION = (
    "One mark for each prompt. Marks above the dashed line are prompts whose instruction the tuned model uses more "
    "densely than the base model; marks below it, less densely."
)
RATERS_CAPTION = (
    "Krippendorff's alpha is 1 where raters agree fully and 0 where they agree as by chance. Below 0.667 no conclusion "
    "should be drawn; from 0.8 on labels can be relied on."
)
READ_FIRST_CAPTION = (
    "Prompts whose response under the tuned model gives a reason to look, those with a reason that the base's response "
    "does not give before the others. A reason says where to look, not what is wrong."
)
NO_TABLE1 = (
    "There is no table 1: it needs people's ratings of the responses (helpfulness 1 to 4, in both groups), and these "
    "prompts carry none. People give them with aftertune label."
)


def tables(change: AttributionChange) -> tuple[Table, ...]:
    """Tables 1 and 2, the numbers of figure 6, all prompts, those to read first, and how far raters agree, if any."""
    found = [table1_table(change.table1), *_table2(change), figure6_table(change.figure6), _instances(change)]
    found += [table2_controls_table(change.table2_controls), table1_controls_table(change.table1_controls)]
    found += [instruction_table(change.instruction)] if change.instruction else []
    found += [_differences(change)] if change.differences else []
    return (*found, _read_first(change), *([_raters(change)] if change.raters else ()))


def figures(change: AttributionChange) -> tuple[Figure, ...]:
    """Figure 6, and the score of each prompt under both models."""
    has_scores = any(row.difference is not None for row in change.instances)
    scores = scores_chart(change.instances, change.base, change.tuned) if has_scores else None
    title, empty = "Scores of each prompt under both models", "No prompt has a score under both models."
    return (
        figure6_figure(change.figure6, (change.base, change.tuned)),
        Figure("scores", title, SCORES_CAPTION, scores, "instances", empty),
    )


def table1_table(rows: Sequence[Table1Row]) -> Table:
    """Table 1, of one or more models."""
    columns = [
        Column("dataset", "Data set"),
        Column("model", "Model"),
        Column("followed", "Followed", "spread"),
        Column("followed.n", "n", "count"),
        Column("unfollowed", "Not followed", "spread"),
        Column("unfollowed.n", "n", "count"),
        Column("difference", "Difference", "change"),
        Column("difference_interval", "95% interval", "interval"),
        Column("p_value_two_sided", "p (Welch)", "p"),
        Column("p_value_permutation", "p (permutation)", "p"),
        Column("p_value", "Paper's p", "p"),
        Column("p_value_holm", "Paper's p (Holm)", "p"),
        Column("effect_size_g", "g", "number"),
        Column("auroc", "AUROC", "number"),
        Column("auroc_interval", "95% interval", "interval"),
    ]
    title = "Table 1. Do responses that follow the instruction use it more densely?"
    return Table("table1", title, TABLE1_CAPTION, columns, rows, Table1Row, empty=NO_TABLE1)


def table2_controls_table(rows: Sequence[Table2Control]) -> Table:
    """Table 2 without copied tokens, beside any words of the prompt, of one or more models."""
    columns = [
        Column("dataset", "Data set"),
        Column("score.n_pairs", "Pairs", "count"),
        Column("score.difference", "Score", "change"),
        Column("score.difference_interval", "95% interval", "interval"),
        Column("score.p_value", "p", "p"),
        Column("control.difference", "Any words", "change"),
        Column("excess.difference", "Instruction beyond them", "change"),
        Column("excess.difference_interval", "95% interval", "interval"),
        Column("excess.p_value", "p", "p"),
        Column("adjusted", "Copied share held constant", "change"),
        Column("adjusted_interval", "95% interval", "interval"),
    ]
    title, empty = "Is it the instruction? Table 2 beside any words of the prompt", "No prompt was answered by both."
    return Table("table2_controls", title, TABLE2_CONTROLS_CAPTION, columns, rows, Table2Control, empty=empty)


def table1_controls_table(rows: Sequence[Table1Control]) -> Table:
    """Table 1 without copied tokens, beside any words of the prompt, of one or more models."""
    columns = [
        Column("dataset", "Data set"),
        Column("model", "Model"),
        Column("auroc_score", "AUROC, score", "number"),
        Column("auroc_score_interval", "95% interval", "interval"),
        Column("auroc_control", "Any words", "number"),
        Column("auroc_excess", "Instruction beyond them", "number"),
        Column("auroc_excess_interval", "95% interval", "interval"),
        Column("p_value", "p", "p"),
        Column("adjusted", "Length, copies, cut-off held constant", "change"),
        Column("adjusted_interval", "95% interval", "interval"),
    ]
    title = "Is it the instruction? Table 1 beside any words of the prompt"
    return Table("table1_controls", title, TABLE1_CONTROLS_CAPTION, columns, rows, Table1Control, empty=NO_TABLE1)


def _differences(change: AttributionChange) -> Table:
    columns = (
        Column("id", "Prompt"),
        Column("log_ratio", "Log-ratio, nats", "change"),
        Column("instruction", "Instruction, %", "percent"),
        Column("other", "Other text, %", "percent"),
        Column("template", "Template, %", "percent"),
        Column("score", "Score", "number"),
        Column("words", "Most of all, of what the user wrote"),
    )
    rows = change.difference_rows
    shown = [
        {name: getattr(row, name) for name in ("id", "log_ratio", "instruction", "other", "template", "score")}
        | {"words": ", ".join(visible(one.strip()) for one in readable(row.words) if one.strip())}
        for row in sorted(rows, key=lambda row: -row.log_ratio)[:LISTED]
    ]
    title = "What the difference between the models depends on"
    return Table("differences", title, DIFFERENCES_CAPTION, columns, rows, DifferenceRow, shown)


def figure6_table(rows: Sequence[Figure6Row]) -> Table:
    """The numbers of figure 6, of one or more models."""
    names = ("First quarter", "Second", "Third", "Last quarter")
    columns = [Column("dataset", "Data set"), Column("model", "Model")]
    columns += [Column(f"quarters.{place}", name, "number") for place, name in enumerate(names)]
    title = "Figure 6. Which part of a sentence matters most"
    return Table("figure6", title, FIGURE6_CAPTION, columns, rows, Figure6Row)


def figure6_figure(rows: Sequence[Figure6Row], models: Sequence[str]) -> Figure:
    """Figure 6, of two or more models."""
    chart = quarters_chart(rows, models) if rows else None
    empty = "There is no figure 6: no data set has a prompt with densities."
    return Figure(
        "figure6", "Figure 6. Which part of a sentence matters most", FIGURE6_CAPTION, chart, "figure6", empty
    )


@singledispatch
def to_html(result: Result) -> str:
    """A result as the output of a notebook's cell."""
    return notebook.frame_to_html(type(result).__name__, repr(result), result.to_polars())


@to_html.register
def _(result: SalientMap) -> str:
    title = " · ".join(name for name in (result.model, result.dataset, result.id) if name)
    marks = result.levels, result.density(), result.is_instruction
    return render_instance(result.prompt_tokens, result.response_tokens, *marks, title)


@to_html.register
def _(result: Attribution) -> str:
    return to_html(result.to_map())


@to_html.register
def _(result: AttributionChange) -> str:
    title = f"What tuning changed in the use of prompts: {result.base} → {result.tuned}"
    shown = [table for table in tables(result) if table.name == "table2"]
    drawn = [figure for figure in figures(result) if figure.name == "scores"]
    return notebook.to_html(title, f"{len(result.instances)} prompts", answer(questions(result)), shown, drawn)


def _table2(change: AttributionChange) -> tuple[Table, Table]:
    columns = [
        Column("dataset", "Data set"),
        Column("tuned.n", "n", "count"),
        Column("base", "Base", "spread"),
        Column("tuned", "Tuned", "spread"),
        Column("paired.n_pairs", "Pairs", "count"),
        Column("paired.difference", "Difference", "change"),
        Column("paired.difference_interval", "95% interval", "interval"),
        Column("paired.n_higher", "Up", "count"),
        Column("paired.n_lower", "Down", "count"),
        Column("paired.p_value", "p", "p"),
        Column("paired.p_value_holm", "p (Holm)", "p"),
        Column("effect_size_g", "g", "number"),
        Column("p_value", "Paper's p", "p"),
        Column("p_value_holm", "Paper's p (Holm)", "p"),
    ]
    title, empty = "Table 2. How densely each model uses the instruction", "No data set has responses of both models."
    answered = "Table 2 on the prompts that both models answered"
    return (
        Table("table2", title, TABLE2_CAPTION, columns, change.table2, Table2Row, empty=empty),
        Table("table2_answered", answered, TABLE2_CAPTION, (), change.table2_answered, Table2Row),
    )


def _instances(change: AttributionChange) -> Table:
    columns = [
        Column("id", "Prompt"),
        Column("dataset", "Data set"),
        Column("score_base", "Score, base", "number"),
        Column("score_tuned", "Score, tuned", "number"),
        Column("difference", "Difference", "change"),
        Column("copied_share_base", "Copied, base", "number"),
        Column("copied_share_tuned", "Copied, tuned", "number"),
        Column("repetitive_base", "Repetitive, base", "flag"),
        Column("repetitive_tuned", "Repetitive, tuned", "flag"),
    ]
    return Table("instances", "All prompts", "One row for each prompt.", columns, change.instances, InstanceRow)


def _read_first(change: AttributionChange) -> Table:
    columns = [
        Column("id", "Prompt"),
        Column("reasons_tuned", "Why"),
        Column("response_tuned", "Response, tuned"),
        Column("reasons_base", "The base likewise"),
        Column("response_base", "Response, base"),
    ]
    rows, title = rows_to_read(change), "Prompts to read first"
    empty = "No response of the tuned model gives a reason."
    return Table("read_first", title, READ_FIRST_CAPTION, columns, rows, PromptToRead, rows[:LISTED], empty=empty)


def _raters(change: AttributionChange) -> Table:
    columns = [
        Column("what", "Labels"),
        Column("n_raters", "Raters", "count"),
        Column("n_units", "Judged at least twice", "count"),
        Column("n_prompts", "Prompts", "count"),
        Column("alpha", "Krippendorff's alpha", "number"),
        Column("alpha_interval", "95% interval", "interval"),
    ]
    return Table("raters", "How far raters agree", RATERS_CAPTION, columns, change.raters, RaterRow)
