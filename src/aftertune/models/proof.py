"""Does a description give back what the model itself computes?  Checked on load, for those that no test has checked.

1. Embeddings -> final states -> logits: those of the backbone that is described must be the model's own. What is done
   to logits after the output embedding (a factor, a soft cap) is measured here.
2. In a few layers, on random inputs and with all biases at 0: the queries and keys that reach attention at position 0,
   where rotary position turns nothing, must be those of `query_key_weights` ...
3. ... and what the feed-forward network adds to the stream must be its neurons' activations times `down_weights`.

And of every model: are its logits on a few tokens finite?

Norms divide by a number that depends on the input, so 2 and 3 hold up to a factor for each input.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from aftertune.errors import CheckpointError
from aftertune.models.backbone import Backbone
from aftertune.models.description import at, found_at
from aftertune.models.factors import named_factor, numbers_of
from aftertune.models.loaded import Checkpoint, LogitRule
from aftertune.models.mapped.computing import dtype_of_model
from aftertune.models.recorded import LayerRecord, recording
from aftertune.models.temporary_state import borrowed, quiet
from aftertune.models.weights import attending, attention_shape, down_weights, query_key_weights

N_TOKENS, N_INPUTS = 5, 4
TOLERANCE, TOLERANCE_OF_HALF = 1e-3, 5e-2
HOW = "Give a description that fits (architecture), or a checkpoint of another architecture."


def prove(checkpoint: Checkpoint) -> LogitRule:
    """What is done to a model's logits, after its description was found to give back what the model computes.

    Raises `CheckpointError` if it does not.
    """
    with torch.no_grad(), quiet():
        try:
            rule = _logit_rule(checkpoint)
            _must_give_back(checkpoint)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise _wrong(checkpoint, f"the model can't be run as it says: {reason}") from error
    return rule


def must_predict(checkpoint: Checkpoint) -> None:
    """Raise `CheckpointError` if a few tokens give logits that are not finite, though all weights are."""
    model: Any = checkpoint.model
    experts = "eager" if model.dtype == torch.float64 else None  # fused experts do not know float64
    with torch.no_grad(), borrowed(model, experts=experts):
        finite = bool(torch.isfinite(model(input_ids=_few_tokens(checkpoint), use_cache=False).logits).all())
    if not finite:
        kind = checkpoint.provenance.dtype
        mend = (
            "Load it in float32" if kind != "float32" else "Its weights are damaged, or not those of its configuration"
        )
        raise CheckpointError(
            f"{checkpoint.provenance.name} predicts nothing: in {kind} its logits on {N_TOKENS} tokens are NaN or "
            f"infinite, though all of its weights are finite. {mend}."
        )


def _few_tokens(checkpoint: Checkpoint) -> Tensor:
    """Token ids (1, N_TOKENS), spread over the vocabulary."""
    n_words = checkpoint.model.get_input_embeddings().weight.shape[0]
    return torch.linspace(0, n_words - 1, N_TOKENS, device=Backbone(checkpoint).device).long()[None]


def _wrong(checkpoint: Checkpoint, reason: str) -> CheckpointError:
    kind, name = checkpoint.model.config.model_type, checkpoint.provenance.name
    return CheckpointError(
        f"The description of {name} (architecture {kind!r}) does not give back what the model computes: {reason}. {HOW}"
    )


def _tolerance(checkpoint: Checkpoint) -> float:
    return TOLERANCE if dtype_of_model(checkpoint.model) in (torch.float32, torch.float64) else TOLERANCE_OF_HALF


def _logit_rule(checkpoint: Checkpoint) -> LogitRule:
    model, backbone = checkpoint.model, Backbone(checkpoint)
    ids = _few_tokens(checkpoint)
    whole = _precise(model(input_ids=ids, use_cache=False).logits)
    plain = _precise(model.get_output_embeddings()(backbone.states(backbone.embed(ids))))
    cap = next((value for name, value in numbers_of(model.config) if "logit_softcap" in name), None)
    before = whole if cap is None else cap * torch.atanh((whole / cap).clamp(-1 + 1e-7, 1 - 1e-7))
    measured = float((plain * before).sum() / before.square().sum())
    divisor = named_factor(model.config, measured)
    made = plain / divisor
    made = made if cap is None else torch.tanh(made / cap) * cap
    misfit = float((made - whole).norm() / whole.norm())
    if not misfit < _tolerance(checkpoint):
        raise _wrong(checkpoint, f"its logits differ by {misfit:.0%}")
    return LogitRule(divisor, cap)


def _must_give_back(checkpoint: Checkpoint) -> None:
    described, model = checkpoint.description, checkpoint.model
    layers = at(at(model, described.backbone), described.layers)
    if len(layers) != attention_shape(checkpoint).n_layers:
        raise _wrong(checkpoint, f"it has {len(layers)} layers, by its configuration not as many")
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(N_INPUTS, 1, model.config.hidden_size, generator=generator, device="cpu")
    inputs = inputs.to(dtype_of_model(model))
    with recording(model, layers) as records:
        at(model, described.backbone)(inputs_embeds=inputs.to(Backbone(checkpoint).device), use_cache=False)
        ran = {id(record.module): record for record in records}
        for layer in sorted({0, len(layers) // 2, len(layers) - 1, attending(checkpoint, range(len(layers)))[0]}):
            if id(layers[layer]) not in ran:
                raise _wrong(checkpoint, f"its layer {layer} is not run")
            _must_be_that(checkpoint, layer, ran[id(layers[layer])], inputs, records)


def _must_be_that(
    checkpoint: Checkpoint, layer: int, ran: LayerRecord, inputs: Tensor, records: list[LayerRecord]
) -> None:
    """Check one layer on ``inputs`` (n_inputs, 1, d_model), called as it was in the run of the whole model."""
    without = {name: torch.zeros_like(w) for name, w in ran.module.named_parameters() if name.endswith("bias")}

    def again(changed: Mapping[str, Tensor]) -> LayerRecord:
        states = inputs.to(ran.given.device)
        given, named = (
            ((states, *ran.arguments[1:]), ran.named) if ran.arguments else ((), {**ran.named, "hidden_states": states})
        )
        functional_call(ran.module, dict(changed), given, named)
        return records[-1]

    own = again(without)
    if found_at(ran.module, checkpoint.description.attention) is not None:
        _must_be_its_heads(checkpoint, layer, own)
    if found_at(ran.module, checkpoint.description.experts) is None:
        _must_be_its_network(
            checkpoint,
            layer,
            own,
            lambda name: again({**without, name: torch.zeros_like(ran.module.get_parameter(name))}),
        )


def _must_be_its_heads(checkpoint: Checkpoint, layer: int, own: LayerRecord) -> None:
    if len(own.attended) != 1:
        raise _wrong(checkpoint, f"attention of layer {layer} does not go through transformers' attention functions")
    seen = [_precise(part[:, :, 0]) for part in (own.attended[0].query, own.attended[0].key)]
    states = _precise(own.given[:, 0])
    expected = [
        _turned(torch.einsum("hdm,bm->bhd", weight.to(states), states), own)
        for weight in query_key_weights(checkpoint, layer)
    ]
    if [part.shape for part in seen] != [part.shape for part in expected]:
        raise _wrong(checkpoint, f"layer {layer} has other numbers of heads than its configuration")
    described = checkpoint.description
    if described.head_norms is None:  # one factor for queries and keys of all heads
        pairs = {"queries and keys": tuple(torch.cat(both, 1).flatten(1) for both in (seen, expected))}
    else:
        norm = at(at(own.module, described.attention), described.head_norms[0])
        whole = (
            getattr(norm, "weight", None) is not None
            and norm.weight.ndim == 1
            and len(norm.weight) != seen[0].shape[-1]
        )
        pairs = {
            name: (a.flatten(1), b.flatten(1)) if whole else (a, b)
            for name, a, b in zip(("queries", "keys"), seen, expected, strict=True)
        }
    for name, (a, b) in pairs.items():
        _must_agree(checkpoint, f"the {name} of layer {layer}", a, b)


def _must_be_its_network(
    checkpoint: Checkpoint, layer: int, own: LayerRecord, without: Callable[[str], LayerRecord]
) -> None:
    down = checkpoint.description.down
    call = own.last(at(own.module, down))
    if call is None or call.given is None:
        raise _wrong(checkpoint, f"layer {layer} does not run {down}")
    off = without(f"{down}.weight")
    assert own.gave is not None and off.gave is not None
    (rows,) = down_weights(checkpoint, layer)
    active = _precise(call.given[..., -1, :].reshape(len(own.given), -1))
    if active.shape[1] != len(rows):
        raise _wrong(checkpoint, f"the network of layer {layer} has {active.shape[1]} neurons, not {len(rows)}")
    _must_agree(
        checkpoint,
        f"what the network of layer {layer} writes",
        _precise(own.gave - off.gave)[:, 0],
        active @ rows.to(active),
    )


def _must_agree(checkpoint: Checkpoint, what: str, seen: Tensor, expected: Tensor) -> None:
    """That vectors along the last axis have the same directions."""
    units = [part / part.norm(dim=-1, keepdim=True).clamp(min=1e-30) for part in (seen, expected)]
    misfit = float((units[0] - units[1]).norm(dim=-1).max())
    if not misfit < _tolerance(checkpoint):
        raise _wrong(checkpoint, f"{what} differ by {misfit:.0%}")


def _turned(heads: Tensor, own: LayerRecord) -> Tensor:
    """Queries or keys as rotary position leaves them at position 0: some kinds scale what they turn."""
    if own.rotary is None:
        return heads
    cosine = _precise(own.rotary[0])
    width = cosine.shape[-1]
    factor = cosine.reshape(-1, width)[0, 0]
    return torch.cat((heads[..., :width] * factor, heads[..., width:]), dim=-1)


def _precise(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
