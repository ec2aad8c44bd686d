import csv
import io

import pytest

from aftertune.errors import RunError
from aftertune.report.evidence import check_sentence, describe, flatten
from aftertune.report.formats import HTML, LATEX, MARKDOWN, p_value, spread
from aftertune.report.tables import COLUMNS, look_up, to_csv, to_latex, to_markdown
from report_samples import sample_contents, table1_row, table2_row


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
    assert spread({"n": 3, "mean": 1.13024, "std": 0.536}) == "1.1302±0.54"
    assert spread({"n": 1, "mean": 1.0, "std": None}) == "1.0000±–"
    assert spread(None) == spread({"n": 0, "mean": None, "std": None}) == "–"


def test_every_medium_knows_every_kind_that_a_table_uses():
    kinds = {kind for columns in COLUMNS.values() for _, kind, _ in columns}
    assert kinds <= LATEX.keys() & MARKDOWN.keys() & HTML.keys()


def test_markdown_of_a_hand_made_table():
    rows = [
        {"name": "a|b*", "p": 1.93e-5, "s": {"n": 2, "mean": 0.5, "std": 0.25}},
        {"name": None, "p": None, "s": None},
    ]
    columns = [("Data set", "text", "name"), ("p", "p", "p"), ("Base", "spread", "s"), ("n", "count", "s.n")]
    assert to_markdown(rows, columns) == (
        "| Data set | p | Base | n |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| a\\|b\\* | 1.9e-5 | 0.5000±0.25 | 2 |\n"
        "| – | – | – | – |\n"
    )


def test_latex_of_a_hand_made_table():
    rows = [{"name": "a_b & 50% $x^2$ \\~", "change": -0.25, "s": {"n": 2, "mean": 0.5, "std": 0.25}, "ok": True}]
    columns = [
        ("Set #1", "text", "name"),
        ("Change", "change", "change"),
        ("Base", "spread", "s"),
        ("OK", "flag", "ok"),
    ]
    assert to_latex(rows, columns, "Table of {sets}") == (
        "\\begin{table}\n\\centering\n\\caption{Table of \\{sets\\}}\n\\begin{tabular}{lrrl}\n\\toprule\n"
        "Set \\#1 & Change & Base & OK \\\\\n\\midrule\n"
        "a\\_b \\& 50\\% \\$x\\textasciicircum{}2\\$ \\textbackslash{}\\textasciitilde{} "
        "& $-0.250$ & 0.5000$\\pm$0.25 & yes \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def test_csv_carries_every_number_in_full():
    rows = [table2_row('a,"b"'), table2_row("c") | {"paired": None, "difference_interval": None, "extra": 1}]
    first, second = csv.DictReader(io.StringIO(to_csv(rows)))
    assert first["dataset"] == 'a,"b"'
    assert float(first["base_mean"]) == 0.93941
    assert (float(first["difference_interval_low"]), float(first["difference_interval_high"])) == (0.1012, 0.2804)
    assert float(first["paired_p_value"]) == 0.0382
    assert first["extra"] == "" and second["extra"] == "1"
    assert second["paired_n_pairs"] == second["difference_interval_low"] == ""
    assert "paired" not in first and "difference_interval" not in first


def test_csv_of_nothing_is_empty():
    assert to_csv([]) == ""


def test_quarters_become_four_columns():
    text = to_csv([{"dataset": "d", "model": "m", "quarters": [0.3, 0.2, 0.2, 0.3]}])
    assert text == "dataset,model,quarters_1,quarters_2,quarters_3,quarters_4\nd,m,0.3,0.2,0.2,0.3\n"


def test_table2_in_markdown_as_a_reader_sees_it():
    assert to_markdown([table2_row()], COLUMNS["table2"]).splitlines()[2] == (
        "| odd | 6 | 0.9394±0.48 | 1.1302±0.54 | +0.191 | [0.101, 0.280] | 1.9e-5 | 3.9e-5 | 0.372 "
        "| 6 | +0.191 | [0.110, 0.270] | 0.0382 | 0.0764 |"
    )


def test_table1_in_markdown_as_a_reader_sees_it():
    assert to_markdown([table1_row()], COLUMNS["table1"]).splitlines()[2] == (
        "| odd | tuned-model | 1.2283±0.52 | 200 | 0.8917±0.48 | 40 | +0.337 | [0.170, 0.500] | 1.4e-4 | – | 0.657 "
        "| 0.684 | [0.590, 0.770] |"
    )


def test_look_up_goes_through_what_is_missing():
    assert look_up({"a": {"b": [1, 2]}}, "a.b.1") == 2
    assert look_up({"a": None}, "a.b.1") is None


@pytest.mark.parametrize("table", ["table1", "table2", "figure6", "instances"])
def test_a_missing_key_is_refused_by_name(table):
    comparison = sample_contents().comparison
    key = list(comparison[table][0])[-1]
    broken = comparison | {table: [{k: v for k, v in comparison[table][0].items() if k != key}]}
    with pytest.raises(RunError, match=rf"{table}, row 1, has no {key}; it has "):
        sample_contents(comparison=broken)


def test_missing_table_nested_key_finding_and_check_are_refused():
    comparison = sample_contents().comparison
    with pytest.raises(RunError, match="has no figure6"):
        sample_contents(comparison={k: v for k, v in comparison.items() if k != "figure6"})
    with pytest.raises(RunError, match="table2, paired, has no p_value_holm"):
        paired = {k: v for k, v in table2_row()["paired"].items() if k != "p_value_holm"}
        sample_contents(comparison=comparison | {"table2": [table2_row() | {"paired": paired}]})
    with pytest.raises(RunError, match="finding 1 has no sentence"):
        sample_contents(findings=[{"headline": "", "significant": None, "evidence": {}}])
    with pytest.raises(RunError, match="the honesty check has no spearman_std"):
        sample_contents(check={"n_instances": 1, "spearman_mean": 1, "top1_agreement": 1, "removal": "zeroed"})


def test_maps_of_a_third_model_are_refused():
    with pytest.raises(RunError, match="is of model 'tuned-model'; the report compares 'base-model' with 'other'"):
        sample_contents(tuned="other")
    with pytest.raises(RunError, match="both called"):
        sample_contents(tuned="base-model")


def test_the_honesty_check_in_words():
    check = {
        "n_instances": 4,
        "spearman_mean": 0.812,
        "spearman_std": 0.05,
        "top1_agreement": 0.73,
        "removal": "zeroed",
    }
    said = check_sentence(check)
    assert said.startswith("On 4 instances,")
    assert "embedding set to zero" in said and "0.81 ± 0.05" in said and "73%" in said
    assert check_sentence(check | {"n_instances": 1, "spearman_std": None}).startswith("On 1 instance,")
    assert "could be computed" in check_sentence(check | {"spearman_mean": None})


def test_evidence_and_settings_in_words():
    nested = {"p_value": 1.93e-5, "a": {"p_value_holm": 0.04, "share": 0.123456}, "difference_interval": [0.1, 0.2]}
    said = {name: describe(value, name) for name, value in flatten(nested)}
    assert said == {
        "p value": "1.9e-5",
        "a · p value holm": "0.0400",
        "a · share": "0.123",
        "difference interval": "[0.1, 0.2]",
    }
    assert [describe(value) for value in (None, True, False, 3, "x", [], ["a", 1])] == [
        *("–", "yes", "no", "3", "x", "none", "a, 1"),
    ]
