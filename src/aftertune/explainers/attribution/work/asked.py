"""What is asked of attribution, whoever answers: the prompts, how, and what of it lies in the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aftertune.errors import CheckpointError
from aftertune.explainers.attribution.importance.describe import respond
from aftertune.explainers.attribution.reading import (
    ATTRIBUTIONS,
    PROMPTS,
    RESPONSES,
    SETTINGS,
    SHARED,
    beyond_base,
)
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.sample_size import say_what_can_show
from aftertune.explainers.attribution.settings import AttributionSettings, must_be_known, must_belong
from aftertune.explainers.explainer import Inputs, Work
from aftertune.prompts.encoding import EncodedPrompt
from aftertune.prompts.prompt import Prompt, SavedPrompts, to_record
from aftertune.prompts.templates import TEMPLATES
from aftertune.runs.records import record_of
from aftertune.runs.reuse import Reusable
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder


@dataclass(frozen=True)
class AskedAttribution(Work):
    """The attribution of the responses to all prompts; raises `AttributionError` for settings that do not fit."""

    settings: AttributionSettings
    inputs: Inputs
    saved_settings = SETTINGS
    is_shared = True
    reusable = (
        Reusable((f"{RESPONSES}/{{role}}/*",), ("template", "prompts", "max_new_tokens")),
        Reusable((f"{ATTRIBUTIONS}/{{role}}/*", f"{SHARED}/{{base}}-{{tuned}}/*")),
    )

    def __post_init__(self) -> None:
        must_be_known("template", self.inputs.template, TEMPLATES)
        must_belong(self.settings.method, self.settings.route, self.settings.removal_budget, self.settings.unit)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on: the settings, and the prompts to the letter."""
        return self.settings.of("parts") | self.inputs.identity | {"max_new_tokens": self.inputs.max_new_tokens}

    def must_fit(self, configs: Sequence[Any], run: RunFolder) -> None:  # noqa: ARG002
        """Refuse a run that was measured otherwise."""
        if run.exists(SETTINGS):
            run.claim(SETTINGS, self.identity, {})

    def chosen(self) -> Sequence[tuple[str, str]]:
        """The prompts, their lengths, how they are put, and what so many of them can show."""
        prompts, lengths = self.inputs.prompts, self.inputs.lengths
        size = f" of {min(lengths)} to {max(lengths)} tokens" if lengths else ""
        given = sum(prompt.response is not None for prompt in prompts)
        most = f"responses of at most {self.inputs.max_new_tokens}" if given < len(prompts) else "responses given"
        datasets = ", ".join(dict.fromkeys(prompt.dataset for prompt in prompts))
        how = f"template {self.inputs.template}, by {_way(self.settings)}"
        told = ("prompts", f"{len(prompts)} ({datasets}){size}, {most}, {how}")
        return [told, ("can show", say_what_can_show(len(prompts)))]

    def is_measured(self, run: RunFolder, role: str) -> bool:
        """Whether the prompts are kept, and every one has its attribution, and its response where none was given."""
        silent = [prompt for prompt in self.inputs.prompts if prompt.response is None]
        wanted = [(ATTRIBUTIONS, prompt) for prompt in self.inputs.prompts] + [(RESPONSES, prompt) for prompt in silent]
        return run.exists(PROMPTS) and all(run.exists(*run.part(kind, role, one.id)) for kind, one in wanted)

    def is_pair_measured(self, run: RunFolder, pair: Pair) -> bool:
        """Whether the base has read all responses of the tuned model."""
        return not self.settings.difference or not self.unread(run, pair)

    def unread(self, run: RunFolder, pair: Pair) -> list[Prompt]:
        """The prompts whose tuned response the base has not read, and can; one that was given it read anyway."""
        return [one for one in self.to_read(run, pair) if not run.exists(*run.part(SHARED, "-".join(pair), one.id))]

    def to_read(self, run: RunFolder, pair: Pair) -> list[Prompt]:
        """The prompts whose tuned response the base can read, as far as is known."""
        beyond = beyond_base(run, pair)
        return [prompt for prompt in self.inputs.prompts if prompt.response is None and prompt.id not in beyond]

    def claim(self, run: RunFolder, tokens: dict[str, list[int]]) -> None:
        """Bind the run to the settings and to the prompts' tokens; raises what `measure` raises."""
        if run.exists(PROMPTS):
            _must_be_same_tokens(record_of(run, PROMPTS, SavedPrompts)["tokens"], tokens)
        run.claim(SETTINGS, self.identity, {})
        records = [to_record(prompt) for prompt in self.inputs.prompts]
        run.claim(PROMPTS, {}, {"tokens": tokens, "prompts": records})


def with_response(role: str, item: EncodedPrompt, run: RunFolder) -> EncodedPrompt:
    """The prompt with the response that was given, or that lies in the run."""
    if item.response_ids is not None:
        return item
    return respond(item, run.read(run.part(RESPONSES, role, item.prompt.id))["response_ids"])


def row_of(item: EncodedPrompt, found: Attribution) -> dict[str, object]:
    """What a part keeps of an attribution."""
    return {"id": item.prompt.id, "dataset": item.prompt.dataset, **found.to_row()}


def _way(settings: AttributionSettings) -> str:
    """The method with what it depends on."""
    budget = f", budget {settings.removal_budget:g}" if settings.removal_budget < 1 else ""
    of = {"removal": f" ({settings.removal}{budget})", "gradient": f" (route {settings.route})"}
    return settings.method + of.get(settings.method, "")


def _must_be_same_tokens(before: dict[str, list[int]], now: dict[str, list[int]]) -> None:
    differing = [id for id in now if now[id] != before.get(id)]
    if differing:
        raise CheckpointError(
            f"The checkpoint reads {len(differing)} of {len(now)} prompts as different tokens from the one before it "
            f"(the first is {differing[0]!r}): their tokenizers or chat templates differ, so maps can't be compared "
            "token by token. Give checkpoints with the same tokenizer, or use the template 'raw'."
        )
