"""What are the few sentences that matter most?  Findings in, at most six sentences out.

1. Whether a difference is shown, and among how many that were tested.
2. The differences that are shown, the first three.
3. What an explainer wants told in any case, in the order of the explainers.
"""

from collections.abc import Collection, Sequence

from aftertune.statistics.finding import Finding, Verdict

MOST, MOST_SHOWN, MOST_LINKS = 6, 3, 5


def summarise(findings: Sequence[Finding], always: Collection[str]) -> list[str]:
    """At most six sentences; ``always`` are the kinds that are told though nothing is claimed.

    What leads somewhere (a finding with links) stays where there would be too many; the last of the others go.
    """
    shown = [finding for finding in findings if finding.verdict is Verdict.SHOWN]
    others = [one for one in findings if one.kind in always and one not in shown]
    leading = [_sentence(finding) for finding in others if finding.links]
    plain = [_sentence(finding) for finding in [*shown[:MOST_SHOWN], *(one for one in others if not one.links)]]
    return [*[_verdict(findings), *plain][: MOST - len(leading)], *leading]


def _verdict(findings: Sequence[Finding]) -> str:
    n_shown = sum(finding.verdict is Verdict.SHOWN for finding in findings)
    n_tested = n_shown + sum(finding.verdict is Verdict.NOT_SHOWN for finding in findings)
    if not n_tested:
        return "Nothing could be tested, so no difference is claimed; what follows describes the models."
    tests = f"{n_tested} {'test' if n_tested == 1 else 'tests'}"
    if not n_shown:
        return f"No difference between the models was found ({tests}; in a small sample only large differences show)."
    return f"{n_shown} of {n_tested} tested differences between the models {'is' if n_shown == 1 else 'are'} shown."


def _sentence(finding: Finding) -> str:
    if not finding.links:
        return f"{finding.headline}."
    named = ", ".join(link.text for link in finding.links[:MOST_LINKS])
    more = len(finding.links) - MOST_LINKS
    return f"{finding.headline}: {named}{f' and {more} more' if more > 0 else ''}."
