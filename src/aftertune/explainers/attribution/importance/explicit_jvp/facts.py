"""What do the layers of a model do that its description does not say?  Found out by running three tokens through it.

1. How scores are made (scaling, soft cap, window) is noted where attention is called.
2. Rotary position: which kind makes of queries what attention was given. Some layers have none (SmolLM3).
3. Factors: by what embeddings are multiplied before the first layer, and what a layer writes before it is added
   (Granite). They must be 1 or numbers of the configuration.

A model that does anything else has no facts, and is left to `torch.func`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from aftertune.models.backbone import Backbone
from aftertune.models.description import Description, at
from aftertune.models.factors import named_factor
from aftertune.models.norms import NormKind, kind_of
from aftertune.models.recorded import LayerRecord, recording
from aftertune.models.temporary_state import quiet
from aftertune.models.weights import attention_shape

N_SEQUENCES, N_POSITIONS = 2, 3
TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Rotary:
    """Rotary position of a layer: cosines and sines (1, 1, T, d).

    Dimensions are rotated in pairs: each of the first half with one of the second, or with ``in_pairs`` each with its
    neighbour.
    """

    cosine: Tensor
    sine: Tensor
    in_pairs: bool = False

    def after(self, start: int, number: torch.dtype) -> "Rotary":
        """That of the positions from ``start`` on, in another type."""
        return Rotary(self.cosine[:, :, start:].to(number), self.sine[:, :, start:].to(number), self.in_pairs)


MakeRotary = Callable[[Tensor], Rotary]
"""Embeddings (B, T, d_model) -> the rotary of their positions."""


@dataclass(frozen=True, eq=False)
class LayerFacts:
    """How a layer makes scores and turns queries and keys, and the factor of what its halves write.

    ``rotary`` is None where nothing is rotated; ``kind`` names layers that share it.
    """

    scaling: float
    softcap: float | None
    window: int | None
    rotary: MakeRotary | None
    kind: object
    residual: float


@dataclass(frozen=True, eq=False)
class Facts:
    """Those of every layer, kinds of norms by their place, and the factor of embeddings."""

    layers: tuple[LayerFacts, ...]
    norms: dict[str, NormKind]
    embedding: float


_KNOWN: WeakKeyDictionary[nn.Module, Facts] = WeakKeyDictionary()


def facts_of(backbone: Backbone) -> Facts | None:
    """The facts of a model whose architecture forward mode is written out for; None if it does anything else."""
    model = backbone.checkpoint.model
    if model not in _KNOWN:
        with torch.no_grad(), quiet():
            found = _find(backbone)
        if found is None:
            return None
        _KNOWN[model] = found
    return _KNOWN[model]


def rotated(heads: Tensor, rotary: Rotary | None) -> Tensor:
    """Rotary position: linear, so tangents are rotated as values are; dimensions beyond its own stay."""
    if rotary is None:
        return heads
    moved, still = torch.split(heads, [rotary.cosine.shape[-1], heads.shape[-1] - rotary.cosine.shape[-1]], dim=-1)
    if rotary.in_pairs:
        across = torch.stack((-moved[..., 1::2], moved[..., ::2]), dim=-1).flatten(-2)
    else:
        first, second = moved.chunk(2, dim=-1)
        across = torch.cat((-second, first), dim=-1)
    found = torch.addcmul(moved * rotary.cosine, across, rotary.sine)
    return torch.cat((found, still), dim=-1) if still.shape[-1] else found


def _find(backbone: Backbone) -> Facts | None:
    checkpoint = backbone.checkpoint
    described, model = checkpoint.description, checkpoint.model
    inner = at(model, described.backbone)
    layers = at(inner, described.layers)
    norms = _norms(layers[0], inner, described, attention_shape(checkpoint).d_head)
    generator = torch.Generator().manual_seed(0)
    shape = (N_SEQUENCES, N_POSITIONS, model.config.hidden_size)
    embeds = torch.randn(shape, generator=generator, device="cpu").to(backbone.device, model.dtype)
    with recording(model, layers) as records, _rotary_calls(inner) as rotary:
        backbone.states(embeds)
    embedding = _factor(model.config, records[0].given, embeds)
    found = [_layer(record, described, model.config, attention_shape(checkpoint).d_head, rotary) for record in records]
    whole = tuple(one for one in found if one is not None)
    if embedding is None or len(whole) < len(layers) or any(kind.centred for kind in norms.values()):
        return None
    return Facts(whole, norms, embedding)


def _norms(layer: Any, inner: Any, described: Description, d_head: int) -> dict[str, NormKind]:
    d_model = layer.get_submodule(described.down).weight.shape[0]
    names = (described.norm, described.attended_norm, described.network_norm, described.written_norm)
    found = {name: kind_of(at(layer, name), d_model) for name in names if name}
    attention = at(layer, described.attention)
    found |= {name: kind_of(at(attention, name), d_head) for name in described.head_norms or ()}
    return found | {described.final_norm: kind_of(at(inner, described.final_norm), d_model)}


@contextmanager
def _rotary_calls(inner: Any) -> Iterator[list[tuple[Any, MakeRotary]]]:
    """What was given by modules of the backbone that give pairs of tensors, and how to get it for other positions."""
    calls: list[tuple[Any, MakeRotary]] = []

    def note(module: nn.Module, args: Any, named: Any, gave: Any) -> None:
        if isinstance(gave, tuple) and len(gave) == 2 and all(isinstance(part, Tensor) for part in gave):
            calls.append((gave, partial(_turn_at, module, args, named)))

    handles = [child.register_forward_hook(note, with_kwargs=True) for child in inner.children()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _turn_at(module: nn.Module, args: Any, named: Any, embeds: Tensor) -> Rotary:
    """The rotary that a module gives for the positions of ``embeds``, called as it was for others."""
    positions = torch.arange(embeds.shape[1], device=embeds.device)[None]

    def other(given: Any) -> Any:
        if not isinstance(given, Tensor):
            return given
        return embeds if given.is_floating_point() else positions

    cosine, sine = module(*map(other, args), **{name: other(value) for name, value in named.items()})
    return Rotary(cosine[:1, None].to(embeds.dtype), sine[:1, None].to(embeds.dtype))


def _layer(
    record: LayerRecord, described: Description, config: Any, d_head: int, rotary: list[tuple[Any, MakeRotary]]
) -> LayerFacts | None:
    (attended,) = record.attended
    residual = _residual(record, described, config)
    makers = [make for gave, make in rotary if gave is record.rotary]
    if residual is None or attended.scaling is None or not makers:
        return None
    before = _query_before_rotary(record, described, attended.query, d_head)
    for make, kind in (
        (None, None),
        (makers[0], (id(makers[0]), False)),
        (partial(_in_pairs, makers[0]), (id(makers[0]), True)),
    ):
        if _agree(rotated(before, None if make is None else make(record.given)), attended.query):
            return LayerFacts(attended.scaling, attended.softcap, attended.window, make, kind, residual)
    return None


def _in_pairs(make: MakeRotary, embeds: Tensor) -> Rotary:
    plain = make(embeds)
    half = plain.cosine.shape[-1] // 2
    cosine, sine = (part[..., :half].repeat_interleave(2, dim=-1) for part in (plain.cosine, plain.sine))
    return Rotary(cosine, sine, in_pairs=True)


def _query_before_rotary(record: LayerRecord, described: Description, query: Tensor, d_head: int) -> Tensor:
    """Queries (B, heads, T, d_head) as their projection, or the norm after it, gave them."""
    attention = at(record.module, described.attention)
    place = described.head_norms[0] if described.head_norms else described.projections[0]
    call = record.last(at(attention, place))
    assert call is not None and call.gave is not None
    if call.gave.shape == query.shape:
        return call.gave
    b, n_heads, t, _ = query.shape
    return call.gave.reshape(b, t, -1)[..., : n_heads * d_head].reshape(b, t, n_heads, d_head).transpose(1, 2)


def _residual(record: LayerRecord, described: Description, config: Any) -> float | None:
    """The factor of what attention writes before it is added to the layer's input."""
    last = at(record.module, described.attended_norm or f"{described.attention}.{described.out}")
    written, given = record.last(last), record.last(at(record.module, described.network_norm or described.gates[0]))
    if written is None or given is None or written.gave is None or given.given is None:
        return None
    return _factor(config, given.given - record.given, written.gave)


def _factor(config: Any, product: Tensor, one: Tensor) -> float | None:
    """The number that ``one`` was multiplied by; None if it was not, or if the configuration does not name it."""
    factor = named_factor(config, float((product * one).sum() / one.square().sum()))
    return factor if _agree(product, one * factor) else None


def _agree(one: Tensor, other: Tensor) -> bool:
    return float((one - other).abs().max()) <= TOLERANCE * float(other.abs().max())
