"""Plain values in words: a finding's evidence, the settings, the honesty check, the trend over depth, what was run."""

from collections.abc import Iterator, Mapping
from typing import Any

from aftertune.report.contents import ReportContents
from aftertune.report.formats import DASH, is_number, number, p_value

REMOVALS = {
    "zeroed": "with the token's input embedding set to zero",
    "deleted": "with the token left out of the sequence",
}


NO_PROMPTS = (
    "How responses depend on their prompts was not measured: there are no tables 1 and 2, no figure 6 and no prompts "
    "to look at."
)
NO_HEADS = "Attention heads were not read: there are no figure 2 and no table 3."
NO_CONCEPTS = "Feed-forward layers were not read: there are no figure 8 and no components to look at."


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as (name, value) with names in words, joined by a dot."""
    for key, value in values.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name} · ")
        else:
            yield name, value


def describe(value: Any, name: str = "") -> str:
    """A value as a reader wants it: p-values as such, other fractions with three significant digits, lists joined."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        joined = ", ".join(describe(item) for item in value)
        return f"[{joined}]" if "interval" in name and value else joined or "none"
    if isinstance(value, float) and is_number(value):
        return p_value(value) if name.split(" · ")[-1].startswith("p value") else f"{value:.3g}"
    return str(value)


def check_sentence(check: Mapping[str, Any]) -> str:
    """What the honesty check found, in two sentences."""
    mean, std, top = check["spearman_mean"], check["spearman_std"], check["top1_agreement"]
    how = REMOVALS.get(check["removal"], check["removal"])
    if not is_number(mean):
        return f"The first order was set against removal itself ({how}), but no rank correlation could be computed."
    size = f"{check['n_instances']} instance{'' if check['n_instances'] == 1 else 's'}"
    spread = f" ± {std:.2f}" if is_number(std) else ""
    sentence = (
        f"On {size}, importance to the first order was set against removing each prompt token in turn ({how}): over "
        f"prompt tokens the two agree with a rank correlation of {mean:.2f}{spread} (1 is the same order, 0 is none)"
    )
    return sentence + (
        f", and for {top:.0%} of response tokens they name the same most important prompt token."
        if is_number(top)
        else "."
    )


def not_run(contents: ReportContents) -> list[str]:
    """What this report leaves out, a sentence each."""
    has_prompts = contents.comparison is not None
    missing = {
        NO_PROMPTS: not has_prompts,
        "The honesty check.": has_prompts and not contents.check,
        "Table 1, since the prompts carry no ratings.": has_prompts and not contents.rows("table1"),
        NO_HEADS: contents.heads is None,
        NO_CONCEPTS: contents.concepts is None,
    }
    return [sentence for sentence, is_missing in missing.items() if is_missing]


def to_look_at(contents: ReportContents) -> str:
    """What a reader can open in the page, joined by commas and "and"."""
    parts = {"prompt": contents.comparison, "attention head": contents.heads, "feed-forward layer": contents.concepts}
    names = [f"every {name}" for name, part in parts.items() if part is not None]
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[:-1] else names)


def depth_sentence(depth: Mapping[str, Any]) -> str:
    """Whether the lists of deeper heads lie further apart, and whether those of the controls do."""
    if not is_number(depth["correlation"]):
        return "Whether deeper heads change more cannot be said: there are too few layers, or all lists changed alike."
    sentence = (
        f"Over {depth['n_heads']} heads, layer and distance of the head's list have a rank correlation of "
        f"{_correlation(depth)} (1: deeper lists always lie further apart, 0: no trend; two-sided, by permuting layers)"
    )
    controls = [f"{_correlation(control)} under the control {control['control']}" for control in depth["controls"]]
    return f"{sentence}{', against ' if controls else ''}{' and '.join(controls)}."


def _correlation(trend: Mapping[str, Any]) -> str:
    value, p = trend["correlation"], trend["p_value"]
    return f"{number(value, 2, signed=True)}, p {p_value(p)}" if is_number(value) else "one that is not defined"
