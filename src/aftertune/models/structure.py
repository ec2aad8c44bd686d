"""How is a model built that no row of the table describes?  Told by what its layers do, not by what they are called.

1. Run a few tokens through the model without weights (on PyTorch's "meta" device), noting what each module in a layer
   was given and what it gave (`recorded`).
2. Queries, keys and values: the one projection each that the gradient of what reaches attention leads to, and the
   norms between. The graph is cut at the layer's input and at what attention reads.
3. Norms: what a projection was given is what a norm gave; what a norm was given is what attention, or the network,
   gave. Tensors are the same if they share their storage.
4. All weights of a layer must have found their place, and all layers must be alike; nothing is guessed. Layers that
   mix positions in another way than by attention (Qwen3.5) may stand between, with the same feed-forward network.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from aftertune.models.description import AttentionShape, Description, at, shape_of
from aftertune.models.layer_parts import Layer, Unreadable, storage_of
from aftertune.models.norms import is_centred
from aftertune.models.recorded import LayerRecord, recording
from aftertune.models.temporary_state import quiet

N_POSITIONS = 2


def describe(model: Any, name: str) -> Description:
    """The description of the architecture of a model without weights; raises `Unreadable` with the reason."""
    backbone = model.base_model_prefix
    inner = getattr(model, backbone, None)
    if inner is None or not isinstance(getattr(model, "get_output_embeddings", lambda: None)(), nn.Linear):
        raise Unreadable("it is not a decoder with an output embedding above it")
    layers, place = _layers(inner, model.config)
    shape = _shape(model.config)
    _must_be_matrices(layers)
    records, final = _run(model, inner, layers)
    attending = [Layer(record, shape) for record in records if record.attended]
    if not attending:
        raise Unreadable("its attention does not go through transformers' attention functions")
    found = {layer.describe() for layer in attending}
    others = [Layer(record, shape) for record in records if not record.attended]
    if len(found) > 1 or not all(layer.has_network_of(one) for layer in others for one in found):
        raise Unreadable("its layers are not all built alike")
    (one,) = found
    described = replace(one, name=name, backbone=backbone, layers=place, final_norm=final)
    centred = _any_centred(inner, attending[0].record.module, described, model.config)
    return replace(described, written_out=described.written_out and not centred and not others)


def _any_centred(inner: Any, layer: Any, described: Description, config: Any) -> bool:
    """Whether any norm is no root mean square norm; raises `Unreadable` for one that is not a LayerNorm either."""
    width = config.hidden_size
    names = (described.norm, described.attended_norm, described.network_norm, described.written_norm)
    norms = [(at(layer, name), width) for name in names if name]
    attention = at(layer, described.attention)
    norms += [(at(attention, name), shape_of(config).d_head) for name in described.head_norms or ()]
    try:
        return any([is_centred(norm, d) for norm, d in [*norms, (at(inner, described.final_norm), width)]])
    except Exception as error:  # a module in a norm's place that is none can raise anything
        raise Unreadable("it has norms that are neither root mean square norms nor LayerNorms") from error


def _layers(inner: Any, config: Any) -> tuple[nn.ModuleList, str]:
    found = [
        (child, name)
        for name, child in inner.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == getattr(config, "num_hidden_layers", None)
    ]
    if len(found) != 1:
        raise Unreadable("it has no list of layers, one for each that its configuration counts")
    return found[0]


def _shape(config: Any) -> AttentionShape:
    try:
        return shape_of(config)
    except Exception as error:  # configurations refuse what differs from layer to layer in ways of their own
        raise Unreadable("its configuration does not say how many heads all its layers have") from error


def _must_be_matrices(layers: nn.ModuleList) -> None:
    convolutions = {id(module.weight) for module in layers.modules() if isinstance(module, nn.Conv1d)}
    for name, weight in layers.named_parameters():
        if weight.ndim > 2 and id(weight) not in convolutions:
            raise Unreadable(f"its layers have a weight, {name}, that is no matrix, as those of experts")


def _run(model: Any, inner: Any, layers: nn.ModuleList) -> tuple[list[LayerRecord], str]:
    """Of each layer what it did; and the name of the module that the final states come from."""
    gave: dict[int, str] = {}
    handles = [
        child.register_forward_hook(lambda _, __, out, name=name: gave.update({storage_of(out): name}))
        for name, child in inner.named_children()
        if not isinstance(child, nn.ModuleList)
    ]
    try:
        with quiet(), torch.device("meta"), torch.enable_grad(), recording(model, layers, leaves=True) as records:
            embeds = torch.zeros(1, N_POSITIONS, model.config.hidden_size)
            # A mask of its own, since making one looks at numbers, of which there are none here.
            mask = torch.zeros(1, 1, N_POSITIONS, N_POSITIONS)
            final = inner(inputs_embeds=embeds, attention_mask=mask, use_cache=False)[0]
    except Exception as error:  # any model that is not built as we expect can raise anything
        raise Unreadable("it does not run on embeddings alone, without weights") from error
    finally:
        for handle in handles:
            handle.remove()
    if len(records) != len(layers):
        raise Unreadable("its layers are not run once each")
    if storage_of(final) not in gave:
        raise Unreadable("its final states do not come from a norm after the last layer")
    return records, gave[storage_of(final)]
