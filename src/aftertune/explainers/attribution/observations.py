"""What can be seen in the comparison without a test?

1. Figure 6: do the ends of sentences matter most (a U shape), and in which model more?
2. Empty responses, which score 0: does the difference remain where both models answered?
3. Repetition: how many responses of each model mostly copy the prompt or themselves?
4. The prompts to look at: `suspects`.
"""

from collections.abc import Iterator, Sequence

from aftertune.explainers.attribution.change import Comparison
from aftertune.explainers.attribution.rows import Figure6Row
from aftertune.explainers.attribution.suspects import describe_suspects
from aftertune.statistics.finding import Finding


def observe(comparison: Comparison) -> list[Finding]:
    """Findings that describe and claim no significance."""
    found = (_answered, _positions, _repetition, describe_suspects)
    return [finding for look in found for finding in look(comparison)]


def _answered(comparison: Comparison) -> Iterator[Finding]:
    for row in comparison.table2_answered:
        if row.difference is None:
            continue
        where = "All data sets pooled" if row.pooled else row.dataset
        n, interval = row.paired.n_pairs, row.paired.difference_interval
        between = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
        sentence = (
            f"An empty response scores 0, so a model that stays silent scores low. On the {n} prompts that both models "
            f"answered, the tuned model scores {row.tuned.mean:.3f} and the base {row.base.mean:.3f}, prompt by prompt "
            f"a difference of {row.paired.difference:+.3f}{between}. This is a description; no test was made."
        )
        evidence = {"dataset": row.dataset, "n_pairs": n, "difference": row.paired.difference}
        headline = f"{where}: what remains of the difference where both models answered"
        yield Finding(headline, sentence, None, evidence | {"difference_interval": interval})


def _positions(comparison: Comparison) -> Iterator[Finding]:
    rows = {(row.dataset, row.model): row for row in comparison.figure6}
    for dataset in dict.fromkeys(row.dataset for row in comparison.figure6):
        base, tuned = rows.get((dataset, comparison.base)), rows.get((dataset, comparison.tuned))
        if base and tuned:
            yield _position(base, tuned)


def _position(base: Figure6Row, tuned: Figure6Row) -> Finding:
    curved = [row.model for row in (base, tuned) if _is_u_shaped(row)]
    shape = f"under {' and '.join(curved)}" if curved else "under neither model"
    sharper = max((base, tuned), key=_ends).model
    sentence = (
        f"The first and last quarters of sentences hold {_ends(base):.1%} of the density under {base.model} and "
        f"{_ends(tuned):.1%} under {tuned.model} ({base.n} and {tuned.n} prompts), where 50% would be even; both ends "
        "exceed both middle quarters "
        f"{shape}. The ends weigh more under {sharper}. This is a description; no test was made."
    )
    evidence = {"dataset": base.dataset, "n_base": base.n, "n_tuned": tuned.n}
    shares = {"ends_share_base": _ends(base), "ends_share_tuned": _ends(tuned)}
    return Finding(f"{base.dataset}: the ends of sentences matter most {shape}", sentence, None, evidence | shares)


def _ends(row: Figure6Row) -> float:
    return row.quarters[0] + row.quarters[3]


def _is_u_shaped(row: Figure6Row) -> bool:
    first, second, third, last = row.quarters
    return min(first, last) > max(second, third)


def _repetition(comparison: Comparison) -> Iterator[Finding]:
    base = [row.repetitive_base for row in comparison.instances if row.repetitive_base is not None]
    tuned = [row.repetitive_tuned for row in comparison.instances if row.repetitive_tuned is not None]
    if not sum(base) and not sum(tuned):
        return
    sentence = (
        f"At least half of the tokens stand in the prompt or earlier in the response in {sum(base)} of {len(base)} "
        f"responses of {comparison.base} and {sum(tuned)} of {len(tuned)} of {comparison.tuned}. The plain score "
        "counts copied tokens too (appendix B.2), so read it beside the score without them."
    )
    evidence = {
        "n_base": len(base),
        "n_tuned": len(tuned),
        "repetitive_base": sum(base),
        "repetitive_tuned": sum(tuned),
        "score_novel_mean_base": _mean([row.score_novel_base for row in comparison.instances]),
        "score_novel_mean_tuned": _mean([row.score_novel_tuned for row in comparison.instances]),
    }
    headline = (
        f"Mostly copied: {sum(base)} of {len(base)} responses of the base, {sum(tuned)} of {len(tuned)} of the tuned"
    )
    yield Finding(f"{headline} model", sentence, None, evidence)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
