"""All prompts of one checkpoint, unit by unit, into the run folder.

1. Encode the prompts, and bind the run to their tokens: they must be the same for all models.
2. Responses in fixed batches of prompts of like length, one part a prompt; a batch is the unit of work, since the
   numbers of a batch depend on its members.
3. Attributions in fixed batches too, one part a prompt; on the CPU a batch is one prompt.
4. Of a pair, the attribution of the tuned model's responses under the base, but of those with tokens that tuning added.
5. Of prompts with a marked instruction, how far log p of the response falls without all of it.
6. On a sample, how well the maps predict what replacing words does, and the agreement with removal.
A map whose numbers are not finite is kept as it is; who reads the run leaves its prompt out.
What has its part already is not computed again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from aftertune.explainers.attribution.attribute import encode_for
from aftertune.explainers.attribution.importance.chunks import attributions_at_once, responses_at_once
from aftertune.explainers.attribution.importance.describe import response_of
from aftertune.explainers.attribution.importance.routes import (
    attribute_batch,
    checked,
    must_suit,
    must_suit_architecture,
    without_instruction,
)
from aftertune.explainers.attribution.reading import ATTRIBUTIONS, RESPONSES, SHARED, beyond_base, beyond_file
from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.explainers.attribution.work import cost
from aftertune.explainers.attribution.work.asked import AskedAttribution, row_of, with_response
from aftertune.models.cost import Remaining
from aftertune.models.generation import generate
from aftertune.models.loaded import Checkpoint
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.models.weights import attention_shape
from aftertune.prompts.encoding import EncodedPrompt
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress

Batch = Sequence[EncodedPrompt]


@dataclass(frozen=True)
class AttributionWork(AskedAttribution):
    """The attribution of a checkpoint's responses; raises `AttributionError` for settings that do not fit."""

    def must_fit(self, configs: Sequence[Any], run: RunFolder) -> None:
        """Refuse a method or route that is not for an architecture, and a run that was measured otherwise."""
        for config in configs:
            if config is not None:
                must_suit_architecture(config, self.inputs.dtype, self.settings.method, self.settings.route)
        super().must_fit(configs, run)

    def remaining(self, run: RunFolder, role: str, size: ModelSize, machine: Machine) -> Remaining:
        """The responses and attributions that are not in the run."""
        return cost.remaining(self.settings, self.inputs, run, role, size, machine)

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

    def measure_pair(
        self,
        base: Checkpoint,
        tuned: Checkpoint,  # noqa: ARG002
        pair: Pair,
        run: RunFolder,
        progress: StepProgress,
    ) -> None:
        """Let the base read the tuned model's responses, those that it has not read yet."""
        how, place, prompts = self.settings, (SHARED, "-".join(pair)), self.to_read(run, pair)
        encoded = [encode_for(base, prompt, self.inputs.template, prompt.response) for prompt in prompts]
        answered = [with_response(pair.tuned, item, run) for item in encoded]
        answered = _readable(base, answered, run, pair)
        batches = list(_batches(answered, attributions_at_once(base.model.device.type)))
        parts, tell = _parts(run, *place), partial(progress, "difference")
        for batch in run.missing(batches, parts, tell, _cost_of_batch, wait=False):
            missing = _missing(run, *place, batch)
            found = attribute_batch(base, batch, how.method, how.unit, **_ways(how))
            for item, one in zip(batch, found, strict=True):
                if item.prompt.id in missing:
                    run.write(run.part(*place, item.prompt.id), row_of(item, one))

    def _respond(
        self,
        checkpoint: Checkpoint,
        role: str,
        encoded: Sequence[EncodedPrompt],
        run: RunFolder,
        progress: StepProgress,
    ) -> list[EncodedPrompt]:
        silent = [item for item in encoded if item.response_ids is None]
        at_once = _at_once(checkpoint, silent, self.inputs.max_new_tokens)
        batches, tell = list(_batches(silent, at_once)), partial(progress, "responses")
        for batch in run.missing(batches, _parts(run, RESPONSES, role), tell, len):
            ids = [item.ids.tolist() for item in batch]
            found = generate(checkpoint, ids, self.inputs.max_new_tokens)
            _write_responses(checkpoint, role, batch, found, run)
        return [with_response(role, item, run) for item in encoded]

    def _attribute(
        self,
        checkpoint: Checkpoint,
        role: str,
        answered: Sequence[EncodedPrompt],
        run: RunFolder,
        progress: StepProgress,
    ) -> None:
        sampled, how, place = self._sampled(answered), self.settings, (ATTRIBUTIONS, role)
        batches = list(_batches(answered, attributions_at_once(checkpoint.model.device.type)))
        parts, tell = _parts(run, *place), partial(progress, "attribution")
        for batch in run.missing(batches, parts, tell, _cost_of_batch, wait=False):
            missing = _missing(run, *place, batch)
            found = attribute_batch(checkpoint, batch, how.method, how.unit, **_ways(how))
            for item, one in zip(batch, found, strict=True):
                if item.prompt.id in missing & sampled and one.is_finite:
                    one = checked(checkpoint, item, one, how.unit, how.method, how.removal)
                if item.prompt.id in missing:
                    one = without_instruction(checkpoint, item, one, how.unit)
                    run.write(run.part(*place, item.prompt.id), row_of(item, one))

    def _sampled(self, answered: Sequence[EncodedPrompt]) -> set[str]:
        """The prompts whose maps are checked."""
        answering = [item for item in answered if len(response_of(item))]
        return {item.prompt.id for item in sample(answering, self.settings.check)}


def _ways(settings: AttributionSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("removal", "route", "removal_budget")}


def sample(items: Sequence[EncodedPrompt], n: int) -> list[EncodedPrompt]:
    """``n`` items spread evenly over the list, the same ones every time."""
    n = min(n, len(items))
    return [items[int((index + 0.5) * len(items) / n)] for index in range(n)]


def _at_once(checkpoint: Checkpoint, silent: Sequence[EncodedPrompt], n_new: int) -> int:
    """How many responses are generated in one batch."""
    longest = max((len(item.ids) for item in silent), default=0)
    kept = cost.kept_of_position(attention_shape(checkpoint))
    place = checkpoint.model.device.type
    return responses_at_once(checkpoint.provenance.n_parameters, kept, longest + n_new, place)


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


def _readable(base: Checkpoint, answered: Sequence[EncodedPrompt], run: RunFolder, pair: Pair) -> list[EncodedPrompt]:
    """Those whose response holds no token that the base has not; the others are kept by their ids."""
    n_known = base.model.get_input_embeddings().weight.shape[0]
    found = [item for item in answered if max(response_of(item), default=0) < n_known]
    beyond = {item.prompt.id for item in answered} - {item.prompt.id for item in found}
    if beyond:
        run.remember(beyond_file(pair), {"ids": sorted(beyond | beyond_base(run, pair))})
    return found


def _parts(run: RunFolder, kind: str, role: str) -> Callable[[Batch], list[tuple[str, str, str]]]:
    """The parts of a batch."""
    return lambda batch: [run.part(kind, role, item.prompt.id) for item in batch]


def _cost_of_batch(batch: Batch) -> float:
    return sum(cost.relative_cost(len(item.ids), len(response_of(item))) for item in batch)


def _batches(items: Sequence[EncodedPrompt], size: int) -> Iterator[list[EncodedPrompt]]:
    ordered = sorted(items, key=lambda item: len(item.ids))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
