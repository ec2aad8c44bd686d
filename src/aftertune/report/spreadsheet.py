"""A data frame as CSV that a spreadsheet may open: text of a model or a data set is never a formula.

A text that begins as a formula does (=, +, -, @, a tab or a carriage return) gets an apostrophe before it, by which
spreadsheets mark text. Numbers stay numbers, also where a text is one. `templates/table_text.js` does the same.
"""

import polars as pl

FORMULA = "^[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]"  # the last four are the wide forms, which some take for the others
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def to_csv(frame: pl.DataFrame) -> str:
    """All rows as CSV, numbers in full, empty where there is none; lists of words joined by a comma."""
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    joined = frame.with_columns(pl.col(name).cast(pl.List(pl.String)).list.join(", ") for name in lists)
    texts = pl.selectors.string()
    is_formula = texts.str.contains(FORMULA) & ~texts.str.contains(NUMBER)
    return joined.with_columns(pl.when(is_formula).then("'" + texts).otherwise(texts).name.keep()).write_csv()
