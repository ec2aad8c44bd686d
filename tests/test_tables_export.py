"""Tables as CSV, LaTeX and Markdown: every number, every sign."""

import csv
import io
from dataclasses import dataclass, replace

import polars as pl
import pytest

from aftertune.explainers.attribution.change import AttributionChange
from aftertune.explainers.attribution.sentence_position import Figure6Row
from aftertune.explainers.attribution.show import figure6_table, tables
from aftertune.report.formats import HTML, LATEX, MARKDOWN, p_value, spread
from aftertune.report.spreadsheet import to_csv
from aftertune.report.table import Column, Table, look_up
from aftertune.report.values import describe, flatten
from aftertune.statistics.spread import Spread
from report_samples import sample_change, table2_row
from spreadsheet_samples import FORMULAS, PLAIN_TEXTS


@dataclass(frozen=True)
class Row:
    name: str | None
    p: float | None = None
    change: float | None = None
    s: Spread | None = None
    ok: bool | None = None


def table_of(change: AttributionChange, name: str) -> Table:
    return {table.name: table for table in tables(change)}[name]


@pytest.mark.parametrize(
    ("value", "plain", "latex"),
    [
        (0.0382, "0.0382", "0.0382"),
        (1.93e-5, "1.9e-5", r"$1.9\times10^{-5}$"),
        (0.001, "0.0010", "0.0010"),
        (0.0, "<1e-300", r"$<1\times10^{-300}$"),
        (None, "–", "--"),
        (float("nan"), "–", "--"),
    ],
)
def test_p_values_are_scientific_when_small(value, plain, latex):
    assert p_value(value) == plain
    assert LATEX["p"](value) == latex


def test_means_stand_with_their_deviation_as_in_the_paper():
    assert spread(Spread(3, 1.13024, 0.536)) == "1.1302±0.54"
    assert spread(Spread(1, 1.0, None)) == "1.0000±–"
    assert spread(None) == spread(Spread(0, None, None)) == "–"


def test_every_medium_knows_every_kind_that_a_table_uses():
    kinds = {column.kind for table in tables(sample_change()) for column in table.columns}
    assert kinds and kinds <= LATEX.keys() & MARKDOWN.keys() & HTML.keys()


def test_markdown_of_a_hand_made_table():
    rows = [Row("a|b*", 1.93e-5, s=Spread(2, 0.5, 0.25)), Row(None)]
    columns = [Column("name", "Data set"), Column("p", "p", "p")]
    columns += [Column("s", "Base", "spread"), Column("s.n", "n", "count")]
    assert Table("t", "", "", columns, rows, Row).markdown() == (
        "| Data set | p | Base | n |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| a\\|b\\* | 1.9e-5 | 0.5000±0.25 | 2 |\n"
        "| – | – | – | – |\n"
    )


def test_latex_of_a_hand_made_table():
    rows = [Row("a_b & 50% $x^2$ \\~", change=-0.25, s=Spread(2, 0.5, 0.25), ok=True)]
    columns = [Column("name", "Set #1"), Column("change", "Change", "change")]
    columns += [Column("s", "Base", "spread"), Column("ok", "OK", "flag")]
    assert Table("t", "Table of {sets}", "", columns, rows, Row).latex() == (
        "\\begin{table}\n\\centering\n\\caption{Table of \\{sets\\}}\n\\label{tab:t}\n"
        "\\begin{tabular}{lrrl}\n\\toprule\n"
        "Set \\#1 & Change & Base & OK \\\\\n\\midrule\n"
        "a\\_b \\& 50\\% \\$x\\textasciicircum{}2\\$ \\textbackslash{}\\textasciitilde{} "
        "& $-0.250$ & 0.5000$\\pm$0.25 & yes \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def test_numbers_below_zero_have_a_true_minus_in_latex():
    columns = [Column("a", "a", "number"), Column("b", "b", "interval"), Column("c", "c"), Column("d", "d", "p")]
    row = {"a": -0.5, "b": (-1.0, 0.25), "c": "x-1 -2", "d": 1.5e-5}
    found = Table("t", "", "", columns, [row]).latex()
    assert "$-$0.500 & [$-$1.000, 0.250] & x-1 -2 & $1.5\\times10^{-5}$" in found


def test_latex_names_the_models_and_leaves_numbers_to_latex():
    titles = ("Base, %", "Score, tuned", "Tuned", "Change over base")
    columns = [Column("name", title) for title in titles]
    found = Table("table2_x", "Table 2. How → densely", "", columns, [Row("a")], Row).latex(("my_base", "b & c"))
    assert "my\\_base, \\% & Score, b \\& c & b \\& c & Change over base" in found
    assert "\\caption{How $\\rightarrow$ densely}\n\\label{tab:table2-x}" in found


def test_csv_carries_every_number_in_full():
    row = table2_row('a,"b"')
    unknown = replace(table2_row("c"), difference_interval=None, paired=replace(row.paired, p_value=None))
    text = table_of(sample_change(table2=(row, unknown)), "table2").csv()
    first, second = csv.DictReader(io.StringIO(text))
    assert first["dataset"] == 'a,"b"'
    assert float(first["base_mean"]) == 0.93941
    assert (float(first["difference_interval_low"]), float(first["difference_interval_high"])) == (0.1012, 0.2804)
    assert float(first["paired_p_value"]) == 0.0382
    assert second["paired_p_value"] == second["difference_interval_low"] == ""
    assert "paired" not in first and "difference_interval" not in first


def test_a_table_of_nothing_keeps_its_columns():
    assert table_of(sample_change(table2=()), "table2").csv().startswith("dataset,base_n,base_mean,base_std,")


def test_a_change_gives_its_tables_as_frames():
    frames = sample_change().tables()
    paper = ["table1", "table2", "table2_answered", "figure6", "instances"]
    assert list(frames) == [*paper, "table2_controls", "table1_controls", "read_first"]
    assert frames["table2"]["paired_n_pairs"].to_list() == [6]
    assert frames["table2_answered"].is_empty() and frames["table2_answered"].columns == frames["table2"].columns
    assert frames["instances"].equals(sample_change().to_polars())
    assert frames["table1"].schema["auroc_interval_low"] == pl.Float64


def test_quarters_become_four_columns():
    text = figure6_table([Figure6Row("d", "m", (0.3, 0.2, 0.2, 0.3), 4)]).csv()
    assert text == "dataset,model,quarters_1,quarters_2,quarters_3,quarters_4,n\nd,m,0.3,0.2,0.2,0.3,4\n"


def test_table2_in_markdown_as_a_reader_sees_it():
    assert table_of(sample_change(), "table2").markdown().splitlines()[2] == (
        "| odd | 6 | 0.9394±0.48 | 1.1302±0.54 | 6 | +0.191 | [0.110, 0.270] | 6 | 0 | 0.0382 | 0.0764 | 0.372 "
        "| 1.9e-5 | 3.9e-5 |"
    )


def test_table1_in_markdown_as_a_reader_sees_it():
    assert table_of(sample_change(), "table1").markdown().splitlines()[2] == (
        "| odd | tuned-model | 1.2283±0.52 | 200 | 0.8917±0.48 | 40 | +0.337 | [0.170, 0.500] | 2.8e-4 | 1.0e-4 "
        "| 1.4e-4 | – | 0.657 | 0.684 | [0.590, 0.770] |"
    )


def test_look_up_goes_through_what_is_missing():
    assert look_up({"a": {"b": [1, 2]}}, "a.b.1") == 2
    assert look_up({"a": None}, "a.b.1") is None


def test_evidence_and_settings_in_words():
    nested = {"p_value": 1.93e-5, "a": {"p_value_holm": 0.04, "share": 0.123456}, "difference_interval": [0.1, 0.2]}
    found = {name: describe(value, name) for name, value in flatten(nested)}
    assert found == {
        "p value": "1.9e-5",
        "a · p value holm": "0.0400",
        "a · share": "0.123",
        "difference interval": "[0.1, 0.2]",
    }
    assert [describe(value) for value in (None, True, False, 3, "x", [], ["a", 1])] == [
        *("–", "yes", "no", "3", "x", "none", "a, 1"),
    ]


def test_no_text_is_a_formula() -> None:
    texts = [*FORMULAS, *PLAIN_TEXTS]
    frame = pl.DataFrame({"text": texts, "words": [[one, "x"] for one in texts], "n": [-0.5] * len(texts)})
    rows = list(csv.DictReader(io.StringIO(to_csv(frame), newline="")))
    assert [row["text"] for row in rows] == [*(f"'{one}" for one in FORMULAS), *PLAIN_TEXTS]
    assert all(not row["words"].startswith(tuple("=+-@\t\r")) for row in rows)
    assert {row["n"] for row in rows} == {"-0.5"}, "numbers stay numbers"
    assert frame["text"].to_list() == texts


def test_tables_of_a_report_are_written_so() -> None:
    table = Table("t", "T", "", [Column("name", "Name")], [Row("=HYPERLINK(1)", change=-0.5)], Row)
    (row,) = csv.DictReader(io.StringIO(table.csv()))
    assert row["name"] == "'=HYPERLINK(1)" and row["change"] == "-0.5"
