"""How far can the maps be trusted?  The first order held against removal itself (Eq. 1), summed up and told.

1. Pool the agreements of the checked prompts: mean and spread of the rank correlation, share of the same top token.
2. Say in words what a correlation of that size means for the reader of a map.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from aftertune.explainers.attribution.result import Agreement
from aftertune.statistics.finding import Finding

GOOD, FAIR = 0.7, 0.3


def summarise_agreement(checks: Mapping[str, Sequence[Agreement]]) -> dict[str, Any] | None:
    """Mean agreement over all checked instances and per model; None where nothing was checked."""
    pooled = [one for each in checks.values() for one in each]
    if not pooled:
        return None
    per_model = {name: _summarise(each) for name, each in checks.items() if each}
    return _summarise(pooled) | {"removal": pooled[0].removal, "per_model": per_model}


def describe_agreement(check: Mapping[str, Any]) -> Finding:
    """A summary of `summarise_agreement` as a finding that the reader sees beside the others."""
    correlation, top, n = check["spearman_mean"], check["top1_agreement"], check["n_instances"]
    advice = (
        "The maps can be read as what removal would show."
        if correlation >= GOOD
        else "The maps follow removal roughly; look at removal itself before you rely on single tokens."
        if correlation >= FAIR
        else "So the maps and scores here say what the paper's gradient measure says, and not which tokens the model "
        "needs. Compare again with route 'removal' before you conclude anything about single tokens."
    )
    sentence = (
        f"On {n} responses every prompt token was also removed in turn ({check['removal']}, Eq. 1). Over prompt tokens "
        f"the first order ranks with a correlation of {correlation:.2f} to removal (1 is the same order, 0 is none), "
        f"and names the same most important token for {top:.0%} of response tokens. {advice}"
    )
    how = "agree well" if correlation >= GOOD else "roughly agree" if correlation >= FAIR else "hardly agree"
    return Finding(f"The maps {how} with removing tokens", sentence, None, dict(check))


def _summarise(checks: Sequence[Agreement]) -> dict[str, Any]:
    spearman = [one.spearman for one in checks]
    return {
        "n_instances": len(checks),
        "spearman_mean": fmean(spearman),
        "spearman_std": stdev(spearman) if len(checks) > 1 else None,
        "top1_agreement": fmean(one.top1 for one in checks),
    }
