"""Can the tuning be named?  Findings in; a status, a few sentences with their evidence, and what to do next out.

1. ``same weights``: nothing was tuned, and nothing else is told.
2. ``named``: a finding that says what was tuned (`Part.NAME`) is shown, so it holds beyond what chance, or weight noise
   of the same effect, brings about.
3. ``changed, cannot say how``: the models differ in what they say, or another difference is shown, but nothing of it
   says what was tuned.
4. ``no change found``: none of these.

No chat model decides on the status: the same findings give the same verdict. A name that an annotator gave
(`Part.TOLD`) is told as such, where the models differ.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from aftertune.addresses import without_secrets
from aftertune.statistics.finding import Finding, Part, Verdict

MOST_NAMING = 3


class Status(StrEnum):
    """What could be said of a tuning."""

    NAMED = "named"
    CHANGED = "changed, cannot say how"
    NO_CHANGE = "no change found"
    SAME = "same weights"


@dataclass(frozen=True)
class Sentence:
    """A sentence of the verdict; ``kind`` is the finding that it rests on, ``address`` where the report shows it."""

    text: str
    kind: str = ""
    address: str = ""


@dataclass(frozen=True)
class Step:
    """What to do next, and the ``command`` that does it; empty where there is none."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class TuningVerdict:
    """What can be said of a tuning as a whole: its ``status``, ``sentences``, and the next ``steps``, at most three."""

    status: Status
    sentences: tuple[Sentence, ...]
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"Verdict: {self.status}", *(f"- {text}" for text in self.texts)])

    @property
    def texts(self) -> list[str]:
        """The sentences alone."""
        return [one.text for one in self.sentences]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        evidence = [asdict(one) for one in self.sentences if one.kind]
        steps = [asdict(one) for one in self.steps]
        return {"status": self.status.value, "sentences": self.texts, "evidence": evidence, "next": steps}


@dataclass(frozen=True)
class Addresses:
    """What next commands name, ready for a shell: both models, as ``aftertune compare`` takes them, the run, and its
    prompts, if it was given any.

    A comparison that was not read from a run has neither: placeholders stand in their place. ``is_served`` models are
    behind servers. ``options`` are the words of the options that the run was made with: those of all of it under "",
    those of each explainer under its name.
    """

    models: str = "BASE TUNED"
    run: str = "RUN"
    is_served: bool = False
    prompts: str = ""
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        base: Mapping[str, Any],
        tuned: Mapping[str, Any],
        run: str,
        prompts: str | None = None,
        options: Mapping[str, Sequence[str]] | None = None,
    ) -> "Addresses":
        """Those of a run; of each model ``checkpoint, adapter, revision, server``, as `run.json` has them.

        ``prompts`` is the place of the study's own, if any.
        """
        words = [str(base["checkpoint"]), str(tuned["checkpoint"])]
        for role, one in (("base", base), ("tuned", tuned)):
            for name in ("adapter", "revision", "server"):
                words += [f"--{role}-{name}", str(one[name])] if one.get(name) else []
        asked = f" --prompts {shlex.quote(without_secrets(prompts))}" if prompts else ""
        told = shlex.join(map(without_secrets, words))
        return cls(told, shlex.quote(without_secrets(run)), bool(tuned.get("server")), asked, options or {})

    def asking(self, only: str = "") -> str:
        """The options of the run, or of those the ones for one explainer, which is then the only one; spaced."""
        names = ["", only] if only else list(self.options)
        words = ["--only", only] if only else []
        for option in (one for name in names for one in options_in(self.options.get(name, ()))):
            is_other = only and option[0] in ("--only", "--skip")
            words += [] if is_other or (option[0] in words and option[0] not in REPEATED) else option
        return "".join(f" {shlex.quote(without_secrets(word))}" for word in words)

    def beside(self, name: str) -> str:
        """A new folder for another run of the same models, that takes from this one what it has already.

        Nothing is taken where models are served: nobody can tell whether they are still the same.
        """
        if self == PLACEHOLDERS:
            return "--run NEW_FOLDER"
        folder = f"--run {shlex.quote(f'{shlex.split(self.run)[0]}-{name}')}"
        return folder if self.is_served else f"{folder} --reuse {self.run}"


PLACEHOLDERS = Addresses()
REPEATED = ("--only", "--skip", "--template-arg")  # once for each of several values


def options_in(words: Sequence[str]) -> list[list[str]]:
    """Options, each with its values."""
    found: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not found:
            found.append([word])
        else:
            found[-1].append(word)
    return found


def same_weights(base: str, tuned: str, at: Addresses = PLACEHOLDERS) -> TuningVerdict:
    """The verdict on two checkpoints of which no weight differs."""
    text = f"{base} and {tuned} are the same weights. Was an adapter meant?"
    call = f"aftertune compare {at.models} --tuned-adapter FOLDER{at.prompts}{at.asking()} {at.beside('adapter')}"
    is_given = "--tuned-adapter" in at.models  # which changes nothing then
    meant = () if is_given else (Step("Give the adapter beside the model.", call),)
    return TuningVerdict(Status.SAME, (Sentence(text),), meant)


def judge(findings: Sequence[Finding], at: Addresses = PLACEHOLDERS) -> TuningVerdict:
    """The verdict that the findings of a comparison give; ``at`` is what the commands of its next steps name."""
    shown = [one for one in findings if one.verdict is Verdict.SHOWN]
    naming = [one for one in shown if one.part is Part.NAME]
    if naming:
        told = [
            *_of_each_kind(naming),
            *_of(findings, Part.TOLD),
            *_of(findings, Part.EXAMPLE),
            *_of(findings, Part.PLACE),
        ]
        return TuningVerdict(Status.NAMED, tuple(map(_sentence, told)), _steps(Status.NAMED, findings, at))
    moved = _of(findings, Part.CHANGE)
    if moved or shown:
        opening = Sentence("The models differ, but nothing that was found says what was tuned.")
        others = [one for one in shown if one.part is None]
        told = [
            *moved,
            *_of(findings, Part.TOLD),
            *_of(findings, Part.EXAMPLE),
            *others[:MOST_NAMING],
            *_of(findings, Part.PLACE),
        ]
        return TuningVerdict(Status.CHANGED, (opening, *map(_sentence, told)), _steps(Status.CHANGED, findings, at))
    nothing = Sentence(f"No difference between the models was found ({_tests(findings)}).")
    return TuningVerdict(Status.NO_CHANGE, (nothing,), _steps(Status.NO_CHANGE, findings, at))


def _of_each_kind(naming: Sequence[Finding]) -> list[Finding]:
    """At most three, and of each kind the first: the others of it say much the same."""
    return list({one.kind: one for one in reversed(naming)}.values())[::-1][:MOST_NAMING]


def _of(findings: Sequence[Finding], part: Part) -> list[Finding]:
    """The first finding of a part that is not denied, if any."""
    return [one for one in findings if one.part is part and one.verdict is not Verdict.NOT_SHOWN][:1]


def _sentence(finding: Finding) -> Sentence:
    text = finding.clause or f"{finding.headline}."
    return Sentence(text, finding.kind, finding.links[0].address if finding.links else "findings")


def _tests(findings: Sequence[Finding]) -> str:
    n = sum(one.verdict is Verdict.NOT_SHOWN for one in findings)
    if not n:
        return "nothing could be tested"
    return f"{n} {'test' if n == 1 else 'tests'}; in a small sample only large differences show"


def _steps(status: Status, findings: Sequence[Finding], at: Addresses) -> tuple[Step, ...]:
    """At most three: prompts where the tuning was meant to show, what was not measured, and a name by an annotator."""
    compared = at.is_served or any(one.part in (Part.NAME, Part.CHANGE) for one in findings)
    asking = at.asking("" if compared else "outputs")
    prompts = Step(
        "Give prompts of the kind that the model was tuned for: what shows on no everyday prompt is not seen.",
        f"aftertune compare {at.models} --prompts FILE{asking} {at.beside('prompts')}",
    )
    if at.is_served:
        weights = Step(
            "Where you have the checkpoints, compare them: what models say, where the change sits, heads and concepts "
            "are read with weights.",
            "aftertune compare BASE TUNED --run NEW_FOLDER",
        )
        return prompts, weights
    found = [prompts] if status is not Status.NAMED else []
    if not compared:
        found.append(
            Step(
                "Compare what the models say.",
                f"aftertune compare {at.models}{at.prompts}{at.asking('outputs')} {at.beside('outputs')}",
            )
        )
    elif status is Status.CHANGED and not any(one.part is Part.TOLD for one in findings):
        found.append(
            Step(
                "Let a chat model name it: it sees what both models say, blind, and may abstain.",
                f"aftertune annotate {at.run} --server ADDRESS --model NAME --name-only",
            )
        )
    if not any(one.part is Part.PLACE for one in findings):
        found.append(
            Step(
                "Measure where the change sits.",
                f"aftertune compare {at.models}{at.prompts}{at.asking('location')} {at.beside('location')}",
            )
        )
    return tuple(found[:3])
