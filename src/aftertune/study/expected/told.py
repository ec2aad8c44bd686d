"""What was chosen and what it will take, in a few lines for the person who is about to wait."""

from collections.abc import Iterator, Sequence

from aftertune.study.expected.estimate import Estimate
from aftertune.study.expected.intent import Intent

LABEL = 12
SECONDS_SHOWN = 1.0


def tell(intent: Intent, found: Estimate, skipped: Sequence[str] = ()) -> str:
    """The block that is shown before a comparison begins, a line for each thing that was chosen."""
    lines = [f"{label:<{LABEL}}{text}" for label, text in _lines(intent, found, skipped)]
    return "\n".join(lines)


def tell_seconds(seconds: float) -> str:
    """A time as a person would say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def tell_bytes(n: float) -> str:
    """A size in gigabytes."""
    return f"{n / 1e9:.1f} GB"


def memory_warning(found: Estimate) -> str | None:
    """What to do where more memory is needed than is free; None where there is enough."""
    if found.most_bytes <= found.machine.free_bytes:
        return None
    smaller = "--dtype bfloat16, a smaller --max-new-tokens, or shorter prompts"
    place = "the machine has" if found.machine.kind == "cpu" else "the GPU has"
    return (
        f"It may need {tell_bytes(found.most_bytes)}, more than the {tell_bytes(found.machine.free_bytes)} that "
        f"{place} free, and stop half-way. Free some, give {smaller}, or run it on a larger machine; "
        "what is done until then is kept."
    )


def _lines(intent: Intent, found: Estimate, skipped: Sequence[str]) -> Iterator[tuple[str, str]]:
    for role, subject in intent.subjects.items():
        yield role, f"{subject.label}{'' if role in intent.sizes else ' (measured already)'}"
    if intent.prompts:
        yield "prompts", _prompts(intent)
    words = intent.lexicon.words if intent.lexicon else intent.concepts[0] if intent.concepts else None
    if words is not None:
        yield "words", f"{len(words):,} of {words.source}"
    if intent.lexicon:
        with_vector = intent.lexicon.co_occurrence.has_vector.mean()
        yield "vectors", f"{intent.lexicon.vectors.source}; {with_vector:.0%} of the words have one"
        yield "heads", f"{intent.lexicon.plan.layers or 'all'} layers"
    if intent.concepts:
        plan = intent.concepts[1]
        yield "concepts", f"{plan.layers or 'all'} layers, {plan.n_components} components of each"
    yield "skipped", ", ".join(skipped) or "nothing"
    yield "device", f"{found.machine.kind}, {intent.dtype}"
    yield "run", intent.run.address
    yield "time", _time(found)
    yield "memory", f"{_span(tell_bytes(found.least_bytes), tell_bytes(found.most_bytes))} at the peak"
    warning = memory_warning(found)
    if warning is not None:
        yield "warning", warning


def _prompts(intent: Intent) -> str:
    lengths, plan = intent.n_tokens, intent.plan
    size = f" of {min(lengths)} to {max(lengths)} tokens" if lengths else ""
    given = sum(prompt.response is not None for prompt in intent.prompts)
    told = f"responses of at most {plan.max_new_tokens}" if given < len(intent.prompts) else "responses given"
    datasets = ", ".join(dict.fromkeys(prompt.dataset for prompt in intent.prompts))
    return f"{len(intent.prompts)} ({datasets}){size}, {told}, template {plan.template}, route {plan.route}"


def _time(found: Estimate) -> str:
    """The whole, and the stages of all roles together that take longest."""
    least, most = found.seconds
    kinds: dict[str, float] = {}
    for name, seconds in found.expected.items():
        kind = name.rsplit(": ", 1)[-1]
        kinds[kind] = kinds.get(kind, 0.0) + seconds
    parts = ", ".join(f"{kind} {tell_seconds(seconds)}" for kind, seconds in kinds.items() if seconds >= SECONDS_SHOWN)
    return f"about {_span(tell_seconds(least), tell_seconds(most))}" + (f" ({parts})" if parts else "")


def _span(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"
