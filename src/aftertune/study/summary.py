"""What are the few sentences that matter most?  Findings in, three to six sentences out.

1. How many of the claims that were tested are shown.
2. The claims that are shown, the first three; if there are none, what this does and does not mean.
3. A warning where the maps were found to say little about single tokens.
4. How much changed in heads and in feed-forward layers, as described.
5. The prompts to look at. They stay where more than six sentences would be too many; the last of the others go.
"""

from collections.abc import Sequence

from aftertune.explainers.attribution.removal_check import FAIR
from aftertune.statistics.finding import Finding

MOST, MOST_SHOWN, NAMED = 6, 3, 5
CHANGED = ("of word pairs changed", "Concepts: spaces turned")


def summarise(findings: Sequence[Finding]) -> list[str]:
    """At most six sentences on findings of `describe`; one that nothing was tested where there are none."""
    shown = [finding for finding in findings if finding.significant]
    claims = [_sentence(finding) for finding in shown[:MOST_SHOWN]]
    warnings = [_sentence(finding) for finding in findings if finding.evidence.get("spearman_mean", FAIR) < FAIR]
    changes = [_sentence(one) for one in findings if _is_change(one) and one not in shown]
    prompts = [_with_prompts(finding) for finding in findings if finding.prompts]
    before = [_verdict(findings), *claims, *warnings, *changes]
    return [*before[: MOST - len(prompts)], *prompts]


def _verdict(findings: Sequence[Finding]) -> str:
    n_tested = sum(finding.significant is not None for finding in findings)
    n_shown = sum(finding.significant is True for finding in findings)
    if not n_tested:
        return "Nothing could be tested; all findings are descriptions."
    if not n_shown:
        return (
            f"Of {n_tested} findings that were tested none is shown. That does not say that the models are alike: a "
            "small sample shows large differences only."
        )
    return f"Of {n_tested} findings that were tested {n_shown} {'is' if n_shown == 1 else 'are'} shown."


def _is_change(finding: Finding) -> bool:
    return any(part in finding.headline for part in CHANGED)


def _sentence(finding: Finding) -> str:
    return f"{finding.headline}."


def _with_prompts(finding: Finding) -> str:
    named = ", ".join(id for _, id in finding.prompts[:NAMED])
    return f"{finding.headline}; look at {named}{_more(len(finding.prompts) - NAMED)}."


def _more(n: int) -> str:
    return f" and {n} more" if n > 0 else ""
