"""The comparison's tables as CSV, LaTeX (booktabs) and Markdown.

CSV carries every number in full, one column each, nested keys joined by an underscore; LaTeX and Markdown carry the
columns a paper shows, and of components without a counterpart the first. `COLUMNS` says for each table which they are:
heading, kind of number, and where it stands in a row ("paired.p_value" is the p-value inside "paired"). "{asked}" in a
heading is the name of the words asked about. A table without an entry there, as that with one row for each of a
thousand heads, becomes CSV alone.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aftertune.explainers.annotation.tables import ANNOTATION_COLUMNS, ANNOTATION_ROWS
from aftertune.explainers.concepts.tables import first_of_each, unmatched_rows
from aftertune.explainers.heads.tables import figure2_rows, table3_rows
from aftertune.report.captions import TITLES
from aftertune.report.contents import ReportContents
from aftertune.report.formats import LATEX, MARKDOWN, Format, latex_text, markdown_text
from aftertune.report.required import CONCEPT_REQUIRED, HEAD_REQUIRED, REQUIRED

Row = Mapping[str, Any]
Column = tuple[str, str, str]

COLUMNS: dict[str, list[Column]] = {
    "table1": [
        ("Data set", "text", "dataset"),
        ("Model", "text", "model"),
        ("Followed", "spread", "followed"),
        ("n", "count", "followed.n"),
        ("Not followed", "spread", "unfollowed"),
        ("n", "count", "unfollowed.n"),
        ("Difference", "change", "difference"),
        ("95% interval", "interval", "difference_interval"),
        ("p", "p", "p_value"),
        ("p (Holm)", "p", "p_value_holm"),
        ("g", "number", "effect_size_g"),
        ("AUROC", "number", "auroc"),
        ("95% interval", "interval", "auroc_interval"),
    ],
    "table2": [
        ("Data set", "text", "dataset"),
        ("n", "count", "tuned.n"),
        ("Base", "spread", "base"),
        ("Tuned", "spread", "tuned"),
        ("Difference", "change", "difference"),
        ("95% interval", "interval", "difference_interval"),
        ("p", "p", "p_value"),
        ("p (Holm)", "p", "p_value_holm"),
        ("g", "number", "effect_size_g"),
        ("Pairs", "count", "paired.n_pairs"),
        ("Paired difference", "change", "paired.difference"),
        ("95% interval", "interval", "paired.difference_interval"),
        ("Paired p", "p", "paired.p_value"),
        ("Paired p (Holm)", "p", "paired.p_value_holm"),
    ],
    "figure6": [
        ("Data set", "text", "dataset"),
        ("Model", "text", "model"),
        ("First quarter", "number", "quarters.0"),
        ("Second", "number", "quarters.1"),
        ("Third", "number", "quarters.2"),
        ("Last quarter", "number", "quarters.3"),
    ],
    "instances": [
        ("Prompt", "text", "id"),
        ("Data set", "text", "dataset"),
        ("Score, base", "number", "score_base"),
        ("Score, tuned", "number", "score_tuned"),
        ("Difference", "change", "difference"),
        ("Copied, base", "number", "copied_share_base"),
        ("Copied, tuned", "number", "copied_share_tuned"),
        ("Repetitive, base", "flag", "repetitive_base"),
        ("Repetitive, tuned", "flag", "repetitive_tuned"),
    ],
    "table3": [
        ("Layers", "text", "layers"),
        ("Lists", "text", "lists"),
        ("{asked}, % (n)", "percent_spread", "instruction"),
        ("General verbs, % (n)", "percent_spread", "general"),
        ("Difference, points", "percent_change", "difference"),
        ("95% interval", "percent_interval", "difference_interval"),
        ("p", "p", "p_value"),
        ("p (Holm)", "p", "p_value_holm"),
        ("Permutation p", "p", "p_value_permutation"),
        ("Permutation p (Holm)", "p", "p_value_permutation_holm"),
        ("g", "number", "effect_size_g"),
        ("Matched words, %", "percent", "matched"),
        ("p (matched)", "p", "p_value_matched"),
    ],
    "figure2": [
        ("Level", "text", "level"),
        ("Layers", "text", "layers"),
        ("Lists", "text", "lists"),
        ("Heads", "count", "distance.n"),
        ("Distance", "number", "distance.mean"),
        ("Standard deviation", "number", "distance.std"),
        ("95% interval", "interval", "interval"),
        ("As read minus control", "change", "excess"),
        ("95% interval", "interval", "excess_interval"),
    ],
    "rotation": [
        ("Layers", "text", "layers"),
        ("Networks", "count", "component_angle.n"),
        ("Angle of spaces, °", "degrees_spread", "subspace_angle"),
        ("Largest, °", "degrees_spread", "largest_angle"),
        ("Angle of components, °", "degrees_spread", "component_angle"),
        ("95% interval", "degrees_interval", "component_angle_interval"),
        ("Well separated ones, °", "degrees_spread", "separated_angle"),
        ("n", "count", "n_separated"),
        ("Same rank, %", "share_spread", "kept_in_order"),
        ("Variance kept, %", "share_spread", "variance_kept"),
        ("Words kept, %", "share_spread", "words_kept"),
        ("95% interval", "percent_interval", "words_kept_interval"),
    ],
    "chance": [
        ("Model", "text", "model"),
        ("Ranks", "text", "ranks"),
        ("Components", "count", "n"),
        ("Nearest word, |cosine|", "number", "nearest"),
        ("Random direction", "number", "nearest_by_chance"),
        ("p ≤ 0.05, %", "percent", "near"),
        ("Beyond chance", "count", "n_beyond"),
        ("Beyond chance, %", "percent", "beyond"),
    ],
    "unmatched": [
        ("Model", "text", "model"),
        ("Layer", "count", "layer"),
        ("Expert", "count", "expert"),
        ("Rank", "count", "rank"),
        ("Variance, %", "percent", "variance_share"),
        ("Nearest, rank", "count", "match_rank"),
        ("Angle to it, °", "number", "angle"),
        ("First words", "text", "words"),
    ],
    **ANNOTATION_COLUMNS,
}
TEXT_KINDS = ("text", "flag")
NESTED = ("followed", "unfollowed", "base", "tuned", "paired")
LONG_ROWS = {"figure2": figure2_rows, "table3": table3_rows}


def table_texts(contents: ReportContents) -> dict[str, dict[str, str]]:
    """The text of each table that the results allow, by file suffix: csv, and tex and md where it has columns."""
    found = {name: {"csv": to_csv(table_rows(contents, name))} for name in table_names(contents)}
    for name in found.keys() & COLUMNS.keys():
        rows, columns = shown_rows(contents, name), columns_of(contents, name)
        found[name] |= {"tex": to_latex(rows, columns, TITLES[name]), "md": to_markdown(rows, columns)}
    return found


def table_names(contents: ReportContents) -> list[str]:
    """The tables of what was run."""
    return [
        *(REQUIRED if contents.comparison is not None else ()),
        *(HEAD_REQUIRED if contents.heads is not None else ()),
        *((*CONCEPT_REQUIRED, "unmatched") if contents.concepts is not None else ()),
        *(ANNOTATION_ROWS if contents.annotations is not None else ()),
    ]


def table_rows(contents: ReportContents, name: str) -> list[dict[str, Any]]:
    """The rows of a table as it is shown: a control below what it controls, categories of all kinds in one."""
    if name in ANNOTATION_ROWS:
        return ANNOTATION_ROWS[name](contents.annotations) if contents.annotations is not None else []
    if name == "unmatched":
        return unmatched_rows(contents.concepts, *contents.models) if contents.concepts is not None else []
    rows = contents.rows(name)
    return LONG_ROWS[name](rows) if name in LONG_ROWS else rows


def shown_rows(contents: ReportContents, name: str) -> list[dict[str, Any]]:
    """The rows of a table on the page, in LaTeX and in Markdown: of components without a counterpart the first."""
    rows = table_rows(contents, name)
    return first_of_each(rows) if name == "unmatched" else rows


def columns_of(contents: ReportContents, name: str) -> list[Column]:
    """The columns of a table, with the words asked about by name."""
    asked = str(contents.heads["asked"]) if contents.heads is not None else ""
    return [(title.replace("{asked}", asked[:1].upper() + asked[1:]), kind, key) for title, kind, key in COLUMNS[name]]


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV with every key of every row, numbers in full, empty where there is none; "" without rows."""
    flat = [dict(_flatten(row)) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    if names:
        writer.writeheader()
    writer.writerows(flat)
    return buffer.getvalue()


def to_latex(rows: Sequence[Row], columns: Sequence[Column], caption: str) -> str:
    """A booktabs table; it needs the package booktabs and nothing else."""
    shape = "".join("l" if kind in TEXT_KINDS else "r" for _, kind, _ in columns)
    body = [" & ".join(cells) + r" \\" for cells in cells_of(rows, columns, LATEX)]
    head = " & ".join(latex_text(title) for title, _, _ in columns) + r" \\"
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex_text(caption)}}}", rf"\begin{{tabular}}{{{shape}}}"]
    lines += [r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def to_markdown(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """A Markdown table, numbers to the right."""
    rule = ["---" if kind in TEXT_KINDS else "---:" for _, kind, _ in columns]
    head = [markdown_text(title) for title, _, _ in columns]
    lines = [head, rule, *cells_of(rows, columns, MARKDOWN)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def cells_of(rows: Sequence[Row], columns: Sequence[Column], formats: Mapping[str, Format]) -> list[list[str]]:
    """The written cells of each row."""
    return [[formats[kind](look_up(row, key)) for _, kind, key in columns] for row in rows]


def look_up(row: Row, key: str) -> Any:
    """The value at a dotted key; None where a part on the way is None."""
    value: Any = row
    for name in key.split("."):
        if value is None:
            return None
        value = value[int(name)] if isinstance(value, (list, tuple)) else value[name]
    return value


def _flatten(row: Row, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}_")
        elif isinstance(value, (list, tuple)):
            yield from _flatten({part: item for part, item in zip(_parts(name, value), value, strict=True)}, f"{name}_")
        elif value is not None or not (key in NESTED or key.endswith("interval")):
            yield name, value


def _parts(name: str, values: Sequence[Any]) -> list[str]:
    is_interval = name.endswith("interval") and len(values) == 2
    return ["low", "high"] if is_interval else [str(index) for index in range(1, len(values) + 1)]
