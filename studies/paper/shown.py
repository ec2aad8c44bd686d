"""Open a finished run and print a table of it in full, as Markdown."""

import sys

import polars as pl

import aftertune

FULL = {"tbl_rows": -1, "tbl_cols": -1, "tbl_formatting": "MARKDOWN", "tbl_hide_dataframe_shape": True}
WIDE = {
    "tbl_hide_column_data_types": True,
    "fmt_str_lengths": 1000,
    "fmt_table_cell_list_len": -1,
    "tbl_width_chars": -1,
}


def tables() -> dict[str, pl.DataFrame]:
    """The tables of the run whose folder is the script's first argument."""
    return aftertune.open_comparison(sys.argv[1]).tables()


def table(name: str, needs: str = "That part was skipped in this run.") -> pl.DataFrame:
    """One of them; ends with what it ``needs`` where the run does not have it."""
    found = tables()
    if name not in found or not found[name].height:
        sys.exit(f"There is no {name} in {sys.argv[1]}. {needs}")
    return found[name]


def show(frame: pl.DataFrame, picture: str | None = None) -> None:
    """Print a frame, and where its picture lies."""
    with pl.Config(**FULL, **WIDE):
        print(frame)
    if picture:
        print(f"\nPicture: {sys.argv[1].rstrip('/')}/figures/{picture}.svg")


ANNOTATIONS = "Nobody annotated its concepts yet: aftertune annotate."
