"""What does a model say with some of its weights exchanged?  Weights alone are swapped, no activation.

1. The output of a model M on a text: the mean over answer tokens of log p_M - log p_base (on the tuned model's own
   answers), and of KL(tuned || M) over the tokens that both models know.
2. A module of the other model is put into the slots of this one, and taken out again whatever happens: the parameters
   themselves are exchanged, no number is copied or computed.
3. Layers before the first one that differs give what they gave in the plain model, which was recorded, so that only the
   layers after it are computed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aftertune.explainers.location.modules import Place, Slot
from aftertune.explainers.location.texts import Batch
from aftertune.models.backbone import Backbone
from aftertune.models.description import at
from aftertune.models.loaded import Checkpoint
from aftertune.models.mapped.computing import dtype_of
from aftertune.models.mapped.files import spilled
from aftertune.models.mapped.memory import is_mapped
from aftertune.models.temporary_state import borrowed
from aftertune.statistics.spread import Scores

Outputs = list[Any]  # what each layer gave for one batch


@dataclass(frozen=True)
class Outcome:
    """``log_ratio`` (n_texts,) against the base and ``divergence`` (n_texts,) from the tuned model, in nats a token."""

    log_ratio: Scores
    divergence: Scores


@dataclass(frozen=True, eq=False)
class Said:
    """The tuned model's logits and probabilities (n_positions, n_known), and the logits' log-sums (n_positions,)."""

    logits: Tensor
    probabilities: Tensor
    total: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> "Said":
        """With the probabilities of logits."""
        return cls(logits, torch.softmax(logits, dim=1), torch.logsumexp(logits, dim=1))

    def divergence(self, logits: Tensor, total: Tensor) -> Tensor:
        """KL(tuned || other) (n_positions,) of the other's logits, which are used up, and their log-sums.

        The logits are subtracted first: what is left is small, and so is its rounding.
        """
        difference = logits.neg_().add_(self.logits)
        mean = torch.bmm(self.probabilities[:, None, :], difference[:, :, None])[:, 0, 0]
        return mean.double() - (self.total - total).double()


@contextmanager
def exchanged(weights: Mapping[Slot, Tensor]) -> Iterator[None]:
    """Put weights into slots of a model; afterwards it has its own, the same objects."""
    own = {slot: slot.weight for slot in weights}
    try:
        for slot, weight in weights.items():
            slot.owner._parameters[slot.leaf] = _as_parameter(weight, own[slot], dtype_of(slot.owner, own[slot]))
        yield
    finally:
        for slot, weight in own.items():
            slot.owner._parameters[slot.leaf] = weight  # type: ignore[assignment]


def noise_like(places: Sequence[Place], seed: int) -> dict[str, Tensor]:
    """For each weight that changed, independent normal numbers of the norm of its change, drawn where it lies."""
    generators, found = dict[torch.device, torch.Generator](), dict[str, Tensor]()
    for place in places:
        base, tuned = place.pair
        if base.device not in generators:
            generators[base.device] = torch.Generator(base.device).manual_seed(seed)
        drawn = torch.randn(base.shape, generator=generators[base.device], device=base.device)
        size = torch.linalg.vector_norm(tuned.to(base.device).double() - base.double())
        noise = drawn.mul_(float(size) / float(torch.linalg.vector_norm(drawn, dtype=torch.float64)))
        found[place.name] = spilled(noise) if is_mapped(place.base[0].weight) else noise
    return found


@dataclass(frozen=True, eq=False)
class Bench:
    """Base and tuned with the texts on which modules of one are tried in the other; made by `of`.

    ``n_known`` are the tokens that both know. Of the plain models, for each batch: what every layer gives, the
    log-probabilities (n_positions,) of the answers under the base, and what the tuned model says. All of it is read
    before anything is exchanged.
    """

    base: Checkpoint
    tuned: Checkpoint
    batches: Sequence[Batch]
    n_texts: int
    n_known: int
    base_layers: Sequence[Outputs]
    tuned_layers: Sequence[Outputs]
    base_says: Sequence[Tensor]
    tuned_says: Sequence[Said]

    @classmethod
    @torch.inference_mode()
    def of(cls, base: Checkpoint, tuned: Checkpoint, batches: Sequence[Batch], n_texts: int, n_known: int) -> "Bench":
        """Read the plain models."""
        base_layers, tuned_layers = ([_recorded(one, batch) for batch in batches] for one in (base, tuned))
        base_says, tuned_says = list[Tensor](), list[Said]()
        for batch, own, other in zip(batches, base_layers, tuned_layers, strict=True):
            logits = _logits(base, batch, own, n_known)
            base_says.append(_of_targets(logits, batch) - torch.logsumexp(logits, dim=1))
            tuned_says.append(Said.of(_logits(tuned, batch, other, n_known).to(_device(base))))
        return cls(base, tuned, batches, n_texts, n_known, base_layers, tuned_layers, base_says, tuned_says)

    def whole(self) -> Outcome:
        """The tuned model's log-ratio against the base, and the divergence of the base from the tuned model."""
        log_ratio = self.outcome(self.tuned, self.tuned_layers, len(_layers(self.tuned))).log_ratio
        return Outcome(log_ratio, self.outcome(self.base, self.base_layers, len(_layers(self.base))).divergence)

    def base_with(self, weights: Mapping[Slot, Tensor], start: int = 0) -> Outcome:
        """The base with ``weights`` in its slots; layers before ``start`` are as in the base."""
        with exchanged(weights):
            return self.outcome(self.base, self.base_layers, start)

    def tuned_with(self, weights: Mapping[Slot, Tensor], start: int = 0) -> Outcome:
        """The tuned model with ``weights`` in its slots; layers before ``start`` are as in the tuned model."""
        with exchanged(weights):
            return self.outcome(self.tuned, self.tuned_layers, start)

    @torch.inference_mode()
    def outcome(self, checkpoint: Checkpoint, before: Sequence[Outputs], start: int) -> Outcome:
        """What a model says where its first ``start`` layers give what lies in ``before``."""
        place = _device(self.base)
        ratio, divergence = (torch.zeros(self.n_texts, dtype=torch.float64, device=place) for _ in range(2))
        for batch, outputs, base, tuned in zip(self.batches, before, self.base_says, self.tuned_says, strict=True):
            logits = _logits(checkpoint, batch, outputs[:start], self.n_known).to(place)
            total = torch.logsumexp(logits, dim=1)
            said = _of_targets(logits, batch) - total
            ratio += batch.mean_by_text(said - base, self.n_texts)
            divergence += batch.mean_by_text(tuned.divergence(logits, total), self.n_texts)
        return Outcome(np.asarray(ratio.cpu().numpy()), np.asarray(divergence.cpu().numpy()))


def _logits(checkpoint: Checkpoint, batch: Batch, before: Outputs, n_known: int) -> Tensor:
    """(n_positions, n_known) in float32 or better, with the first layers' outputs given."""
    with borrowed(checkpoint.model, experts=experts_of(checkpoint)), _skipped(_layers(checkpoint), before):
        states = _inner(checkpoint)(input_ids=batch.ids.to(_device(checkpoint)), use_cache=False)[0]
        logits = Backbone(checkpoint).logits(states.flatten(0, 1)[batch.before.to(states.device)])
    return logits[:, :n_known]


def _of_targets(logits: Tensor, batch: Batch) -> Tensor:
    return logits.gather(1, batch.targets.to(logits.device)[:, None])[:, 0]


def _recorded(checkpoint: Checkpoint, batch: Batch) -> Outputs:
    """What each layer gives for a batch."""
    found: Outputs = []
    with ExitStack() as stack:
        stack.enter_context(borrowed(checkpoint.model, experts=experts_of(checkpoint)))
        for layer in _layers(checkpoint):
            hook = layer.register_forward_hook(lambda _layer, _given, output: found.append(output))
            stack.callback(hook.remove)
        _inner(checkpoint)(input_ids=batch.ids.to(_device(checkpoint)), use_cache=False)
    return found


@contextmanager
def _skipped(layers: Sequence[nn.Module], outputs: Outputs) -> Iterator[None]:
    """Let the first layers give ``outputs`` without computing them."""
    skipped = list(zip(layers, outputs, strict=False))
    own = [vars(layer).get("forward") for layer, _ in skipped]  # accelerate puts one of its own there
    try:
        for layer, output in skipped:
            layer.forward = _giving(output)
        yield
    finally:
        for (layer, _), forward in zip(skipped, own, strict=True):
            if forward is not None:
                layer.forward = forward
            elif "forward" in vars(layer):
                del layer.forward


def _giving(output: Any) -> Any:
    return lambda *_given, **_named: output


def _as_parameter(weight: Tensor, own: Tensor, dtype: torch.dtype) -> nn.Parameter:
    """A weight for the place of another, whose module takes it in a dtype; one of a model on disk stays there."""
    fits = (is_mapped(weight) and is_mapped(own)) or weight.dtype == dtype
    if isinstance(weight, nn.Parameter) and weight.device == own.device and fits:
        return weight
    return nn.Parameter(weight.detach().to(own.device, dtype), requires_grad=False)


def _inner(checkpoint: Checkpoint) -> Any:
    return at(checkpoint.model, checkpoint.description.backbone)


def _layers(checkpoint: Checkpoint) -> list[nn.Module]:
    return list(at(_inner(checkpoint), checkpoint.description.layers))


def _device(checkpoint: Checkpoint) -> torch.device:
    weight: Tensor = checkpoint.model.get_input_embeddings().weight
    return weight.device


def experts_of(checkpoint: Checkpoint) -> str | None:
    """How experts are computed, where not as the model says."""
    return "eager" if checkpoint.model.dtype == torch.float64 else None  # fused experts do not know float64
