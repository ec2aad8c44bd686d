"""How large is a model?  Told by its configuration, or by a GGUF file's header, before any weight is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from aftertune.errors import CheckpointError, translated
from aftertune.models.architectures import find_description, is_written_out
from aftertune.models.description import Description, at, found_at, read_description, shape_of
from aftertune.models.files.gguf_header import must_fit_its_file
from aftertune.models.files.gguf_parsed import parsed
from aftertune.models.files.references import find_checkpoint
from aftertune.models.temporary_state import quiet


@dataclass(frozen=True)
class ModelSize:
    """The numbers of a model that time and memory depend on.

    ``n_parameters`` are all weights, ``n_active`` those of the layers that one token passes through (of experts only
    the chosen ones). ``n_networks`` are all feed-forward networks, ``n_neurons`` the neurons of all of them together.
    ``d_inner`` is the widest intermediate result of a layer, ``context`` the most positions, None for no limit;
    ``n_largest`` are the weights of the largest module by itself, as the output head or the experts of a layer.
    ``architecture`` is the configuration's model type, ``written_out`` says whether forward mode is written out for it.
    """

    n_parameters: int
    n_active: int
    n_layers: int
    n_heads: int
    n_key_heads: int
    d_head: int
    d_model: int
    d_inner: int
    n_networks: int
    n_neurons: int
    n_vocabulary: int
    context: int | None
    is_gguf: bool = False
    architecture: str = ""
    written_out: bool = False
    n_largest: int = 0


def size_of(ref: str | Path, config: Any, revision: str | None = None, architecture: Any = None) -> ModelSize:
    """The size of a checkpoint with this configuration; None stands for that of a GGUF file, which is read for it.

    Raises `CheckpointError` if the checkpoint is not there or its header is damaged.
    """
    if config is not None:
        return size_by_config(config, architecture)
    source = find_checkpoint(str(ref), revision)
    with translated(CheckpointError, f"The header of {ref} could not be read", source.remedy):
        must_fit_its_file(Path(source.place) / source.arguments["gguf_file"])
        return _by_header(Path(source.place) / source.arguments["gguf_file"])


def size_by_config(config: Any, architecture: Any = None) -> ModelSize:
    """The size of the model that a configuration describes: it is built without its weights."""
    said = "The model that a configuration describes can't be built"
    with quiet(), torch.device("meta"), translated(CheckpointError, said, "Give another checkpoint."):
        model: Any = AutoModelForCausalLM.from_config(config)
    described = find_description(config) if architecture is None else read_description(architecture)
    shape = shape_of(config)
    layers = list(at(at(model, described.backbone), described.layers))
    networks = [network for layer in layers for network in _networks(layer, described)]
    return ModelSize(
        n_parameters=_n_weights(model),
        n_active=sum(_active(layer, described, config) for layer in layers),
        n_layers=shape.n_layers,
        n_heads=shape.n_heads,
        n_key_heads=shape.n_key_heads,
        d_head=shape.d_head,
        d_model=config.hidden_size,
        d_inner=max(networks),
        n_networks=len(networks),
        n_neurons=sum(networks),
        n_vocabulary=model.get_input_embeddings().weight.shape[0],
        context=getattr(config, "max_position_embeddings", None),
        architecture=config.model_type,
        written_out=described.written_out,
        n_largest=max(_n_own(module) for module in model.modules()),
    )


def _networks(layer: Any, described: Description) -> list[int]:
    """The number of neurons of each feed-forward network of a layer."""
    experts = _experts(layer, described)
    if experts is None:
        weight = at(layer, described.down).weight
        return [weight.shape[0] if described.transposed else weight.shape[1]]
    shared = [at(layer, described.shared).down_proj.weight.shape[1]] if described.shared else []
    return [experts.shape[2]] * experts.shape[0] + shared


def _active(layer: Any, described: Description, config: Any) -> int:
    experts, n_all = _experts(layer, described), _n_weights(layer)
    if experts is None or described.experts is None:
        return n_all
    n_routed = _n_weights(at(layer, described.experts))
    return n_all - n_routed + n_routed * int(config.num_experts_per_tok) // len(experts)


def _n_weights(module: Any) -> int:
    return sum(int(weight.numel()) for weight in module.parameters())


def _n_own(module: Any) -> int:
    return sum(int(weight.numel()) for weight in module.parameters(recurse=False))


def _experts(layer: Any, described: Description) -> Any:
    """The down projections (experts, out, in) of a layer's experts; None for a layer without any."""
    return found_at(layer, f"{described.experts}.down_proj") if described.experts else None


def _by_header(file: Path) -> ModelSize:
    reader = parsed(file)
    kind = reader.get_field("general.architecture").contents()

    def number(name: str, otherwise: int) -> int:
        found = reader.get_field(f"{kind}.{name}")
        value = found.contents() if found else None
        return int(max(value) if isinstance(value, list) else value or otherwise)

    sizes = {tensor.name: int(tensor.n_elements) for tensor in reader.tensors}
    d_model, n_heads, n_experts = (
        number(name, 1) for name in ("embedding_length", "attention.head_count", "expert_count")
    )
    written = [size for name, size in sizes.items() if "ffn_down" in name and name.endswith(".weight")]
    routed = sum(size for name, size in sizes.items() if "_exps." in name)
    in_layers = sum(size for name, size in sizes.items() if name.startswith("blk."))
    return ModelSize(
        n_parameters=sum(sizes.values()),
        n_active=in_layers - routed + routed * number("expert_used_count", 1) // n_experts,
        n_layers=number("block_count", 1),
        n_heads=n_heads,
        n_key_heads=number("attention.head_count_kv", n_heads),
        d_head=number("attention.key_length", d_model // n_heads),
        d_model=d_model,
        d_inner=number("feed_forward_length", 4 * d_model),
        n_networks=len(written) * n_experts,
        n_neurons=sum(written) // d_model,
        n_vocabulary=sizes["token_embd.weight"] // d_model,
        context=number("context_length", 0) or None,
        is_gguf=True,
        architecture=str(kind),
        written_out=is_written_out(str(kind)),
    )
