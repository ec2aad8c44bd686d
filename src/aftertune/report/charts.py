"""Which figures do the results allow? Each is a chart definition, by the name of its file."""

from aftertune.explainers.annotation.figures import interpreted_chart, levels_chart
from aftertune.explainers.concepts.figures import angles_chart, variance_chart
from aftertune.explainers.heads.figures import heads_chart, layers_chart
from aftertune.report.contents import ReportContents
from aftertune.report.figures import Spec, quarters_chart, scores_chart


def charts_of(contents: ReportContents) -> dict[str, Spec]:
    """The figures on prompts, on heads and on concepts; what has no data has no figure."""
    return _prompt_charts(contents) | _head_charts(contents) | _concept_charts(contents) | _annotation_charts(contents)


def _prompt_charts(contents: ReportContents) -> dict[str, Spec]:
    charts = {}
    if contents.rows("figure6"):
        charts["figure6"] = quarters_chart(contents.rows("figure6"), contents.models)
    if any(row["score_base"] is not None and row["score_tuned"] is not None for row in contents.rows("instances")):
        charts["scores"] = scores_chart(contents.rows("instances"), contents.base, contents.tuned)
    return charts


def _head_charts(contents: ReportContents) -> dict[str, Spec]:
    charts = {}
    if any(row["distance"]["mean"] is not None for row in contents.rows("figure2")):
        charts["figure2"] = layers_chart(contents.rows("figure2"))
    if contents.heads is not None and contents.heads["heads"]:
        charts["heads"] = heads_chart(contents.heads["heads"], contents.heads["layers"], contents.heads["n_heads"])
    return charts


def _concept_charts(contents: ReportContents) -> dict[str, Spec]:
    charts = {}
    if contents.concepts is not None and contents.concepts["figure8"]:
        rows, n_components = contents.rows("figure8"), contents.concepts["n_components"]
        charts["figure8"] = variance_chart(rows, contents.models, n_components)
    if any(row["mean_component_angle"] is not None for row in contents.rows("networks")):
        charts["angles"] = angles_chart(contents.rows("networks"))
    return charts


def _annotation_charts(contents: ReportContents) -> dict[str, Spec]:
    charts = {}
    for name, chart in (("figure3", levels_chart), ("figure7", interpreted_chart)):
        if any(row["share"]["mean"] is not None for row in contents.rows(name)):
            charts[name] = chart(contents.rows(name), contents.models)
    return charts
