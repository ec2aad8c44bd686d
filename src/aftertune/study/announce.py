"""What was chosen and what it will take, in a few lines for the person who is about to wait."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress

from aftertune.addresses import without_secrets
from aftertune.errors import CheckpointError
from aftertune.explainers.explainer import ServedWork
from aftertune.explainers.settings import flag_of
from aftertune.models.machine import chosen_device, measure_machine
from aftertune.models.mapped.memory import ON_DISK
from aftertune.runs.roles import pairs_of
from aftertune.runs.stage import Stage
from aftertune.study.estimate import Estimate, estimate
from aftertune.study.forecast import Forecast, say_seconds
from aftertune.study.intent import Intent
from aftertune.study.study import Study, measuring

LABEL = 12
SECONDS_SHOWN = 1.0


def prepare(intent: Intent) -> tuple[str, Forecast]:
    """The block that tells what was chosen and what it takes, and the forecast; measures the machine for 0.2 s.

    Of workers that are awaited (`Intent.awaits`) nothing is forecast yet; when they are there, what was told before is
    not told again. Raises `CheckpointError` if the device or dtype that was asked for can't be used.
    """
    if intent.study.is_served:
        return describe_served(intent), Forecast(expected_of_requests(intent))
    if intent.awaits:
        return without_secrets(_block(_lines_before_workers(intent))), Forecast({})
    own = None if intent.means is None else intent.means.machine
    found = estimate(intent, own or measure_machine(intent.study.device, intent.study.dtype))
    return describe(intent, found), Forecast(found.expected, found.already, at_once=intent.means is not None)


def describe(intent: Intent, found: Estimate) -> str:
    """The block that is shown before a comparison begins, a line for each thing that was chosen."""
    return without_secrets(_block(_lines(intent, found)))


def describe_served(intent: Intent) -> str:
    """The same before served models are asked: nothing is computed here, so requests are told in place of time."""
    return without_secrets(_block(_served_lines(intent)))


def say_bytes(n: float) -> str:
    """A size in gigabytes."""
    return f"{n / 1e9:.1f} GB"


def memory_warning(found: Estimate) -> str | None:
    """What to do where more memory is needed than is free; None where there is enough."""
    if found.most_bytes <= found.machine.free_bytes:
        return None
    machine, smaller = found.machine, ["--dtype bfloat16", "a smaller --max-new-tokens", "shorter prompts"]
    if machine.kind == "cpu" and not machine.on_disk:
        smaller.insert(0, "--device disk, which reads weights tensor by tensor and runs models slowly")
    if machine.kind == "cuda":
        smaller.insert(0, "--device balanced, which leaves in memory or on disk what the GPUs have no room for")
    place = "the machine has" if machine.kind == "cpu" else "the GPU has"
    return (
        f"It may need {say_bytes(found.most_bytes)}, more than the {say_bytes(machine.free_bytes)} that "
        f"{place} free, and stop half-way. Free some, give {', '.join(smaller)}, or run it on a larger machine; "
        "what is done until then is kept."
    )


def say_unused(study: Study, chosen: Collection[str]) -> str:
    """Settings that differ from their defaults and are of none of the ``chosen`` explainers; empty where all are read.

    Each with the explainers that it is for.
    """
    homes: dict[str, list[str]] = {}
    for setting, explainer in [*_of_study(study), *_of_explainers(study)]:
        homes.setdefault(setting, []).append(explainer)
    unused = {setting: own for setting, own in homes.items() if not set(own) & set(chosen)}
    told = ", ".join(f"--{setting} (for {' and '.join(own)})" for setting, own in unused.items())
    return f"{told}: not among what is computed" if told else ""


def _of_study(study: Study) -> Iterator[tuple[str, str]]:
    """What was said of prompts and responses, with each explainer that reads it."""
    for name, reads in (("limit", "reads_prompts"), ("prompts", "reads_prompts"), ("max_new_tokens", "needs_room")):
        if getattr(study, name) != type(study).model_fields[name].default:
            yield from ((name.replace("_", "-"), one) for one, about in measuring().items() if getattr(about, reads))


def _of_explainers(study: Study) -> Iterator[tuple[str, str]]:
    for name, own in study.settings.items():
        for field, about in type(own).model_fields.items():
            flag = flag_of(field, about)
            if flag is not None and getattr(own, field) != about.default:
                yield flag, name


def expected_of_requests(intent: Intent) -> dict[Stage, float]:
    """The requests that are left, by their stage: as if each took a second, which the first ones correct."""
    found: dict[Stage, float] = {}
    for name, work in intent.works.items():
        if isinstance(work, ServedWork):
            found |= {
                Stage(role, name, step): n
                for role in intent.subjects
                for step, n in work.requests(intent.run, role).items()
            }
            for pair in pairs_of(list(intent.subjects)):
                found |= {
                    Stage("-".join(pair), name, step): n for step, n in work.requests_of_pair(intent.run, pair).items()
                }
    return {stage: float(n) for stage, n in found.items() if n}


def _block(lines: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{label:<{LABEL}}{text}" for label, text in dict.fromkeys(lines))


def _lines(intent: Intent, found: Estimate) -> Iterator[tuple[str, str]]:
    if intent.means is None:
        yield from _asked_for(intent)
    yield from _of_machine(intent, found)


def _lines_before_workers(intent: Intent) -> Iterator[tuple[str, str]]:
    """All that does not depend on them, and what one worker would take that is like this process."""
    yield from _asked_for(intent)
    yield "workers", intent.awaits
    with suppress(CheckpointError):  # this machine may lack the device of the workers
        device = intent.study.device
        if device not in ("auto", "cpu", ON_DISK) or chosen_device(device) not in ("cpu", ON_DISK):
            return  # to measure a GPU takes memory of it, which they will need
        found = estimate(intent, measure_machine(intent.study.device, intent.study.dtype))
        yield "alone", f"one such worker on this machine would take {_time(found)}, {_memory(found)}"


def _asked_for(intent: Intent) -> Iterator[tuple[str, str]]:
    for role, subject in intent.subjects.items():
        yield role, f"{subject.label}{'' if role in intent.sizes else ' (measured already)'}"
    yield from _chosen(intent)
    yield "skipped", ", ".join(name for name in measuring() if name not in intent.works) or "nothing"
    yield "run", intent.run.address
    if intent.study.reuse:
        yield "reuse", f"{intent.study.reuse}: what is the same there is taken; the time is that of the rest"


def _of_machine(intent: Intent, found: Estimate) -> Iterator[tuple[str, str]]:
    kept = "; weights stay on disk" if found.machine.on_disk else ""
    yield "device", f"{found.machine.kind}, {intent.study.dtype}{kept}"
    if intent.means is not None:
        yield "workers", intent.means.text
    yield "time", _time(found)
    yield "memory", f"{_memory(found)}{'' if intent.means is None else ' of each worker'}"
    has_room = intent.means is not None and found.machine.kind == "cpu"  # Ray has seen to that
    warning = None if has_room else memory_warning(found)
    if warning is not None:
        yield "warning", warning


def _served_lines(intent: Intent) -> Iterator[tuple[str, str]]:
    for role, subject in intent.subjects.items():
        yield role, f"{subject.label} at {subject.server}"
    yield from _chosen(intent)
    skipped = [name for name in intent.study.explainers if name not in intent.works]
    if skipped:
        yield "skipped", f"{', '.join(skipped)}: they need weights, which a server does not give"
    yield "run", intent.run.address
    n = round(sum(expected_of_requests(intent).values()))
    yield "requests", f"about {n:,} ({intent.study.concurrency} at a time)" if n else "none: all is answered already"


def _chosen(intent: Intent) -> Iterator[tuple[str, str]]:
    names = {role: one.label for role, one in intent.subjects.items()}
    lent = intent.template.said(names, intent.subjects)
    if lent:
        yield "template", lent
    for said in intent.tokens.said(names, intent.subjects) if intent.tokens else ():
        yield "tokens", said
    for one in intent.roundings:
        yield "rounding", one.announced(names)
    for work in intent.works.values():
        yield from work.chosen()
    unused = say_unused(intent.study, intent.works)
    if unused:
        yield "not used", unused
    for sentence in intent.rows.sentences:
        yield "rows", sentence.rstrip(".")


def _time(found: Estimate) -> str:
    """The whole, and the steps of all roles together that take longest."""
    least, most = found.seconds
    steps: dict[str, float] = {}
    for stage, seconds in found.expected.items():
        steps[stage.step] = steps.get(stage.step, 0.0) + seconds
    parts = ", ".join(f"{step} {say_seconds(seconds)}" for step, seconds in steps.items() if seconds >= SECONDS_SHOWN)
    return f"about {_span(say_seconds(least), say_seconds(most))}" + (f" ({parts})" if parts else "")


def _memory(found: Estimate) -> str:
    return f"{_span(say_bytes(found.least_bytes), say_bytes(found.most_bytes))} at the peak"


def _span(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"
