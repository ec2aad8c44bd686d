"""The part of a report on how responses depend on their prompts: its page, its methods, its notes and its maps."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from aftertune.explainers.attribution.change import AttributionChange
from aftertune.explainers.attribution.charts import map_chart, pair_chart
from aftertune.explainers.attribution.faithfulness import FaithfulnessCheck, RemovalCheck, of_possible
from aftertune.explainers.attribution.prompt_pairs import (
    ROLES,
    TEMPLATES,
    PromptPair,
    listed_prompt,
    pair_maps,
    payload,
)
from aftertune.explainers.attribution.settings import LEAST_UNITS
from aftertune.explainers.attribution.show import figures, tables
from aftertune.report.environment import render
from aftertune.report.figure import Figure
from aftertune.report.numbers import read_labels
from aftertune.report.packing import packed
from aftertune.report.section import Section
from aftertune.report.table import Table
from aftertune.runs.readable import visible

N_PICTURES = 12
REMOVALS = {
    "zeroed": "with the token's input embedding set to zero",
    "deleted": "with the token left out of the sequence",
    "mean": "with the token's input embedding set to the mean of all tokens' embeddings",
    "averaged": "as the mean of the effects of leaving it out and of setting its embedding to the mean of all tokens'",
    "mixed": "as the mean of the effects of leaving it out, of setting its embedding to the mean of all tokens' and to "
    "zero, and of other tokens in its place",
}


SECOND = "table1_controls"  # says what table 1 says where both are empty
PLACED = (
    "table2",
    "table2_controls",
    "instruction",
    "differences",
    "table1",
    "table1_controls",
    "read_first",
    "raters",
)


def section(change: AttributionChange) -> Section:
    """The part of a report on two models."""
    pairs, own_tables, own_figures = pair_maps(change), tables(change), figures(change)
    return Section(
        name="attribution",
        title="Attribution",
        tables=own_tables,
        figures=own_figures,
        pictures=tuple(_picture(pair) for pair in pairs[:N_PICTURES] if pair.base or pair.tuned),
        body=_body(change, pairs, own_tables, own_figures),
        methods=methods(change),
        data={"index": [visible(f"{pair.row.id} {pair.text}".lower()) for pair in pairs]},
        blocks={f"p{pair.number}": packed(payload(pair)) for pair in pairs},
        scripts=(TEMPLATES / "list.js",),
        styles=(TEMPLATES / "prompt.css", TEMPLATES / "list.css"),
        settings=change.settings,
        notes=tuple(_notes(change)),
        labels=read_labels(TEMPLATES),
    )


def methods(change: AttributionChange) -> Markup:
    """The paragraphs of the page on methods."""
    removal = change.settings["removal"] if change.settings.get("method") == "removal" else None
    check = change.agreement
    return render(
        "methods.html",
        TEMPLATES,
        removal=None if removal is None else REMOVALS[removal],
        by_hierarchy=by_hierarchy(change),
        is_locally_linear=change.settings.get("method") == "locally-linear",
        faithfulness=None if change.faithfulness is None else faithfulness_sentence(change.faithfulness),
        check=None if check is None else check_sentence(check),
        per_model={} if check is None else check.per_model,
    )


def by_hierarchy(change: AttributionChange) -> str | None:
    """What maps of long prompts hold where removal had a budget: the line on the page."""
    budget = change.settings.get("removal_budget", 1.0)
    if budget == 1:
        return None
    return (
        f"In prompts of {LEAST_UNITS} tokens or more only the sentences that matter most were looked into, at "
        f"{budget:.0%} of the cost; tokens of the others share their sentence's importance, divided evenly."
    )


def faithfulness_sentence(check: FaithfulnessCheck) -> str:
    """How well the maps predict what replacing a word does: the line on the page."""
    how, kind = "" if check.is_faithful else "hardly ", of_possible(check.spearman_mean, check.ceiling_mean)
    return f"These maps {how}predict what happens when a word is replaced: {kind}."


def check_sentence(check: RemovalCheck) -> str:
    """What the check against removal found."""
    spread = f" ± {check.spearman_std:.2f}" if check.spearman_std is not None else ""
    return (
        f"On {check.n_instances} response{'' if check.n_instances == 1 else 's'}, importance was "
        f"compared with removing each prompt token ({REMOVALS[check.removal]}). Over prompt tokens the two have a rank "
        f"correlation of {check.spearman_mean:.2f}{spread} (1 is the same order, 0 is none), and for "
        f"{check.top1_agreement:.0%} of response tokens they name the same most important prompt token."
    )


def _picture(pair: PromptPair) -> Figure:
    name, title = f"map-{pair.file_id}", f"Figure 1. Salient maps of {visible(pair.row.id)}"
    if pair.base is not None and pair.tuned is not None:
        return Figure(name, title, "", pair_chart(pair.base, pair.tuned))
    (only,) = (one for one in pair.maps.values() if one is not None)
    return Figure(name, title, "", map_chart(only))


def _body(
    change: AttributionChange, pairs: Sequence[PromptPair], own_tables: Sequence[Table], own_figures: Sequence[Figure]
) -> Markup:
    rows = [listed_prompt(pair) for pair in pairs]
    shown = {table.name: table for table in own_tables}
    return render(
        "section.html",
        TEMPLATES,
        is_removal=change.settings.get("method") == "removal",
        by_hierarchy=by_hierarchy(change),
        faithfulness=None if change.faithfulness is None else faithfulness_sentence(change.faithfulness),
        is_pale=change.faithfulness is not None and not change.faithfulness.is_faithful,
        tables=[shown[name] for name in PLACED if name in shown and (shown[name].listed or name != SECOND)],
        figures=own_figures,
        rows=rows,
        rated={role: n for role in ROLES if (n := sum(row.ratings[role] is not None for row in rows))},
        widest=max((abs(row.row.difference or 0) for row in rows), default=0) or 1,
        datasets=list(dict.fromkeys(row.row.dataset for row in rows)),
    )


def _notes(change: AttributionChange) -> Iterator[str]:
    """What a reader must know before the findings."""
    labels, n_prompts = change.labels, len(change.instances)
    if labels is not None and (labels.n_rated or labels.n_marked):
        rule = (
            "Of several ratings the median counts, between two levels the lower one; a character is instruction where "
            "at least half of those who marked the prompt marked it."
            if len(labels.raters) > 1
            else "Only one person labelled, so how far others would agree is not known."
        )
        yield (
            f"People rated {labels.n_rated} of {labels.n_responses} responses and marked the instruction of "
            f"{labels.n_marked} of {labels.n_prompts} prompts (aftertune label: {', '.join(labels.raters)}). {rule}"
        )
    if labels is not None and labels.n_unmarked:
        yield (
            f"In {labels.n_unmarked} of {labels.n_prompts} prompts no instruction was marked: all that the user wrote, "
            "less the context where one was given, counts as instruction."
        )
    for name in (change.base, change.tuned):
        empty = sum(one.n_response == 0 for one in change.maps if one.model == name)
        if empty:
            yield f"{name} ended {empty} of {n_prompts} responses at once; such a response scores 0."
