"""All prompts of one checkpoint, unit by unit, into the run folder.

1. Encode the prompts, and bind the run to their tokens: they must be the same for all models.
2. Responses in fixed batches of prompts of like length, one part a prompt; a batch is the unit of work, since the
   numbers of a batch depend on its members.
3. Attributions in fixed batches too, one part a prompt; on the CPU a batch is one prompt.
4. Of a pair, the attribution of the tuned model's responses under the base.
5. On a sample, how well the maps predict what replacing words does, and the agreement with removal.
What has its part already is not computed again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from aftertune.errors import CheckpointError
from aftertune.explainers.attribution import cost
from aftertune.explainers.attribution.attribute import encode_for
from aftertune.explainers.attribution.importance.chunks import RESPONSES_AT_ONCE, attributions_at_once
from aftertune.explainers.attribution.importance.describe import respond, response_of
from aftertune.explainers.attribution.importance.routes import (
    attribute_batch,
    checked,
    must_suit,
    must_suit_architecture,
)
from aftertune.explainers.attribution.reading import ATTRIBUTIONS, PROMPTS, RESPONSES, SETTINGS, SHARED
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.sample_size import say_what_can_show
from aftertune.explainers.attribution.settings import AttributionSettings, must_be_known, must_belong
from aftertune.explainers.explainer import Inputs, Work
from aftertune.models.checkpoint import Checkpoint
from aftertune.models.cost import Remaining
from aftertune.models.generation import generate
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.prompts.encoding import EncodedPrompt
from aftertune.prompts.prompt import Prompt, to_record
from aftertune.prompts.templates import TEMPLATES
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress


@dataclass(frozen=True)
class AttributionWork(Work):
    """The attribution of the responses to all prompts; raises `AttributionError` for settings that do not fit."""

    settings: AttributionSettings
    inputs: Inputs

    def __post_init__(self) -> None:
        must_be_known("template", self.inputs.template, TEMPLATES)
        must_belong(self.settings.method, self.settings.route)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on: the settings, and the prompts to the letter."""
        return self.settings.of("parts") | self.inputs.identity | {"max_new_tokens": self.inputs.max_new_tokens}

    def must_fit(self, configs: Sequence[Any], run: RunFolder) -> None:
        """Refuse a method or route that is not for an architecture, and a run that was measured otherwise."""
        for config in configs:
            if config is not None:
                must_suit_architecture(config, self.inputs.dtype, self.settings.method, self.settings.route)
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

    def remaining(self, run: RunFolder, role: str, size: ModelSize, machine: Machine) -> Remaining:
        """The responses and attributions that are not in the run."""
        return cost.remaining(self.settings, self.inputs, run, role, size, machine)

    def is_measured(self, run: RunFolder, role: str) -> bool:
        """Whether every prompt has its attribution."""
        return all(run.exists(*run.part(ATTRIBUTIONS, role, prompt.id)) for prompt in self.inputs.prompts)

    def measure(self, checkpoint: Checkpoint, role: str, run: RunFolder, progress: StepProgress) -> None:
        """Write the responses and attributions that are not there yet; ``progress`` is in units of estimated cost.

        Raises what `aftertune.attribute` raises, `CheckpointError` if the checkpoint reads the prompts as other tokens
        than those before it, and `RunError` if a part cannot be written.
        """
        must_suit(checkpoint, self.settings.method)
        must_suit(checkpoint, self.settings.route)
        template = self.inputs.template
        encoded = [encode_for(checkpoint, prompt, template, prompt.response) for prompt in self.inputs.prompts]
        self.claim(run, {item.prompt.id: item.ids.tolist() for item in encoded})
        answered = self._respond(checkpoint, role, encoded, run, progress)
        self._attribute(checkpoint, role, answered, run, progress)

    def remaining_pair(self, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:
        """The base's attributions of the tuned model's responses that are not in the run."""
        missing = self.unread(run, pair) if self.settings.difference else []
        return cost.remaining_pair(self.settings, self.inputs, missing, size, machine)

    def is_pair_measured(self, run: RunFolder, pair: Pair) -> bool:
        """Whether the base has read all responses of the tuned model."""
        return not self.settings.difference or not self.unread(run, pair)

    def measure_pair(
        self,
        base: Checkpoint,
        tuned: Checkpoint,  # noqa: ARG002
        pair: Pair,
        run: RunFolder,
        progress: StepProgress,
    ) -> None:
        """Let the base read the tuned model's responses, those that it has not read yet."""
        how, missing = self.settings, self.unread(run, pair)
        encoded = [encode_for(base, prompt, self.inputs.template, prompt.response) for prompt in missing]
        answered = [with_response(pair.tuned, item, run) for item in encoded]
        done, total = 0.0, sum(map(_cost, answered))
        for batch in _batches(answered, attributions_at_once(base.model.device.type)):
            progress("difference", done, total)
            done += sum(map(_cost, batch))
            found = attribute_batch(base, batch, how.method, how.unit, removal=how.removal, route=how.route)
            for item, one in zip(batch, found, strict=True):
                run.write(run.part(SHARED, "-".join(pair), item.prompt.id), row_of(item, one))
        progress("difference", total, total)

    def unread(self, run: RunFolder, pair: Pair) -> list[Prompt]:
        """The prompts whose tuned response the base has not read; one that was given it read anyway."""
        own = [prompt for prompt in self.inputs.prompts if prompt.response is None]
        return [prompt for prompt in own if not run.exists(*run.part(SHARED, "-".join(pair), prompt.id))]

    def claim(self, run: RunFolder, tokens: dict[str, list[int]]) -> None:
        """Bind the run to the settings and to the prompts' tokens; raises what `measure` raises."""
        if run.exists(PROMPTS):
            _must_be_same_tokens(run.read_json(PROMPTS)["record"]["tokens"], tokens)
        run.claim(SETTINGS, self.identity, {})
        records = [to_record(prompt) for prompt in self.inputs.prompts]
        run.claim(PROMPTS, {}, {"tokens": tokens, "prompts": records})

    def _respond(
        self,
        checkpoint: Checkpoint,
        role: str,
        encoded: Sequence[EncodedPrompt],
        run: RunFolder,
        progress: StepProgress,
    ) -> list[EncodedPrompt]:
        silent = [item for item in encoded if item.response_ids is None]
        for done, batch in enumerate(_batches(silent, RESPONSES_AT_ONCE)):
            progress("responses", done * RESPONSES_AT_ONCE, len(silent))
            missing = _missing(run, RESPONSES, role, batch)
            if missing:
                ids = [item.ids.tolist() for item in batch]
                found = generate(checkpoint, ids, self.inputs.max_new_tokens)
                _write_responses(checkpoint, role, batch, found, run)
        progress("responses", len(silent), len(silent))
        return [with_response(role, item, run) for item in encoded]

    def _attribute(
        self,
        checkpoint: Checkpoint,
        role: str,
        answered: Sequence[EncodedPrompt],
        run: RunFolder,
        progress: StepProgress,
    ) -> None:
        sampled = self._sampled(answered)
        done, total = 0.0, sum(map(_cost, answered))
        for batch in _batches(answered, attributions_at_once(checkpoint.model.device.type)):
            progress("attribution", done, total)
            done += sum(map(_cost, batch))
            missing = _missing(run, ATTRIBUTIONS, role, batch)
            if not missing:
                continue
            how = self.settings
            found = attribute_batch(checkpoint, batch, how.method, how.unit, removal=how.removal, route=how.route)
            for item, one in zip(batch, found, strict=True):
                if item.prompt.id in missing & sampled:
                    one = checked(checkpoint, item, one, how.unit, how.method, how.removal)
                if item.prompt.id in missing:
                    run.write(run.part(ATTRIBUTIONS, role, item.prompt.id), row_of(item, one))
        progress("attribution", total, total)

    def _sampled(self, answered: Sequence[EncodedPrompt]) -> set[str]:
        """The prompts whose maps are checked."""
        answering = [item for item in answered if len(response_of(item))]
        return {item.prompt.id for item in sample(answering, self.settings.check)}


def _way(settings: AttributionSettings) -> str:
    """The method with what it depends on."""
    of = {"removal": f" ({settings.removal})", "gradient": f" (route {settings.route})"}
    return settings.method + of.get(settings.method, "")


def sample(items: Sequence[EncodedPrompt], n: int) -> list[EncodedPrompt]:
    """``n`` items spread evenly over the list, the same ones every time."""
    n = min(n, len(items))
    return [items[int((index + 0.5) * len(items) / n)] for index in range(n)]


def _must_be_same_tokens(before: dict[str, list[int]], now: dict[str, list[int]]) -> None:
    differing = [id for id in now if now[id] != before[id]]
    if differing:
        raise CheckpointError(
            f"The checkpoint reads {len(differing)} of {len(now)} prompts as different tokens from the one before it "
            f"(the first is {differing[0]!r}): their tokenizers or chat templates differ, so maps can't be compared "
            "token by token. Give checkpoints with the same tokenizer, or use the template 'raw'."
        )


def _missing(run: RunFolder, kind: str, role: str, batch: Sequence[EncodedPrompt]) -> set[str]:
    return {item.prompt.id for item in batch if not run.exists(*run.part(kind, role, item.prompt.id))}


def _write_responses(
    checkpoint: Checkpoint, role: str, batch: Sequence[EncodedPrompt], found: Sequence[Sequence[int]], run: RunFolder
) -> None:
    for item, ids in zip(batch, found, strict=True):
        part = run.part(RESPONSES, role, item.prompt.id)
        if not run.exists(*part):
            text = checkpoint.tokenizer.decode(ids)
            run.write(part, {"id": item.prompt.id, "response": text, "response_ids": np.array(ids, dtype=np.int64)})


def with_response(role: str, item: EncodedPrompt, run: RunFolder) -> EncodedPrompt:
    """The prompt with the response that was given, or that lies in the run."""
    if item.response_ids is not None:
        return item
    return respond(item, run.read(run.part(RESPONSES, role, item.prompt.id))["response_ids"])


def row_of(item: EncodedPrompt, found: Attribution) -> dict[str, object]:
    """What a part keeps of an attribution."""
    return {"id": item.prompt.id, "dataset": item.prompt.dataset, **found.to_row()}


def _cost(item: EncodedPrompt) -> float:
    return cost.relative_cost(len(item.ids), len(response_of(item)))


def _batches(items: Sequence[EncodedPrompt], size: int) -> Iterator[list[EncodedPrompt]]:
    ordered = sorted(items, key=lambda item: len(item.ids))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
