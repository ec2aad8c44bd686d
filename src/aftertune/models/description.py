"""What is an architecture?  Where a model keeps the parts that the explainers need, as data.

One description serves heads, concepts, estimates of size, and forward mode as it is written out. It says where parts
lie; what they compute (whether a norm centres, what it adds to its weight) is found out on the parts themselves. How
many layers, heads and dimensions attention has is read from the configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from aftertune.errors import CheckpointError

HOW = 'Give a mapping, or a .json or .yaml file, such as {"name": "Mine", "projections": ["wq", "wk"]}.'


@dataclass(frozen=True)
class Description:
    """Where an architecture keeps what the explainers need; the defaults are Llama's. Places are dotted paths.

    ``backbone`` is the place in the causal language model of what maps embeddings to final, normalised states;
    in it lie ``layers``, the list of layers, and ``final_norm``.

    In a layer, ``attention`` is the attention module, ``norm`` the one that normalises its input, None where there is
    none, and ``attended_norm`` the one of what attention writes. In the attention module, ``projections`` names the
    query and the key projection, ``value`` and ``out`` those of values and of what is read. A single projection is a
    fused one (then also ``value``), laid out as ``fused`` says: "blocks" (all queries, all keys, all values) or "heads"
    (query, key and value of the first head, of the second, ...). Two projections that are "gated" hold in the first
    the query and the gate of the first head, of the second, ... ``head_norms`` normalise queries and keys once more.
    ``transposed`` weights are (in, out) instead of (out, in).

    ``network_norm`` is the norm of what a layer's feed-forward network is given, ``written_norm`` the one of what it
    writes, None where there is none. ``gates`` are the places in the layer of its first projections: of the gate and
    of what the gate lets through, one place where both are fused (gate first) or where there is no gate;
    ``activation`` is what is applied to the gate, ``down`` the projection that writes.

    In a mixture of experts ``experts`` is the place of the module that holds the ``down_proj`` of all routed experts in
    one tensor, (experts, out, in), and ``shared`` that of the network that every token passes through beside them, None
    where there is none. A layer without that module is dense, as ``down`` says.

    ``written_out`` architectures have layers of Llama's build: two halves, one after the other, that add to x what
    attention and a gated network write, with root mean square norms. For them forward mode is written out.
    """

    name: str
    backbone: str = "model"
    layers: str = "layers"
    final_norm: str = "norm"
    attention: str = "self_attn"
    norm: str | None = "input_layernorm"
    projections: tuple[str, ...] = ("q_proj", "k_proj")
    fused: Literal["blocks", "heads", "gated"] | None = None
    transposed: bool = False
    head_norms: tuple[str, str] | None = None
    value: str = "v_proj"
    out: str = "o_proj"
    attended_norm: str | None = None
    network_norm: str | None = "post_attention_layernorm"
    gates: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    activation: str | None = "mlp.act_fn"
    down: str = "mlp.down_proj"
    written_norm: str | None = None
    experts: str | None = None
    shared: str | None = None
    written_out: bool = False


Architecture = Mapping[str, Any] | str | Path | Description
"""A description, or what one is read from: a mapping, or a JSON or YAML file of one."""


def at(owner: Any, place: str) -> Any:
    """What lies at a dotted path; raises `CheckpointError` if there is nothing."""
    found = found_at(owner, place)
    if found is None:
        raise CheckpointError(
            f"The description says {place!r}, but {type(owner).__name__} has nothing there. Correct the description."
        )
    return found


def found_at(owner: Any, place: str | None) -> Any:
    """What lies at a dotted path; None if there is nothing, or for no path."""
    for name in place.split(".") if place else ():
        owner = getattr(owner, name, None)
    return owner if place else None


def read_description(source: Architecture) -> Description:
    """The description that a mapping, or a JSON or YAML file of one, gives; the fields are those of `Description`.

    Raises `CheckpointError` if the file can't be read, ``name`` is missing, or a field is unknown or of another type.
    """
    from aftertune.written import fault_in

    if isinstance(source, Description):
        return source
    given = source if isinstance(source, Mapping) else _read(source)
    known = [field.name for field in fields(Description)]
    unknown = [f"{name!r:.80}" for name in given if name not in known]
    if unknown:
        raise CheckpointError(f"A description has no field {', '.join(unknown)}. Allowed: {', '.join(known)}.")
    try:
        found = TypeAdapter(Description).validate_python(dict(given))
    except ValidationError as error:
        raise CheckpointError(f"A description can't be used: {fault_in(error)}. {HOW}") from error
    _must_be_consistent(found)
    return found


def _read(source: str | Path) -> Mapping[str, Any]:
    from aftertune.places import path_of, read_text
    from aftertune.written import parse_json, parse_yaml

    path = path_of(source, CheckpointError, HOW)
    parse = parse_json if path.suffix == ".json" else parse_yaml
    given = parse(read_text(str(path), CheckpointError, HOW), f"The description {path}", CheckpointError, HOW)
    if not isinstance(given, Mapping):
        raise CheckpointError(f"The description {path} holds a {type(given).__name__}, not fields. {HOW}")
    return given


def _must_be_consistent(given: Description) -> None:
    expected = 1 if given.fused in ("blocks", "heads") else 2
    if len(given.projections) != expected:
        raise CheckpointError(
            f"A description with fused {given.fused!r} names {len(given.projections)} projections, it must name "
            f"{expected}. Name the query and the key projection, or one that is fused as blocks or heads."
        )
    if len(given.gates) not in (1, 2):
        raise CheckpointError(f"A description names {len(given.gates)} gates, it must name 1 or 2: gate and up.")


@dataclass(frozen=True)
class AttentionShape:
    """Numbers of layers, query heads, key heads, and dimensions of a head."""

    n_layers: int
    n_heads: int
    n_key_heads: int
    d_head: int

    @property
    def n_sharing(self) -> int:
        """How many query heads share a key head (grouped-query attention); query head h uses key head h // this."""
        return self.n_heads // self.n_key_heads


def shape_of(config: Any) -> AttentionShape:
    """The shape of the attention that a Hugging Face configuration describes."""
    n_heads = config.num_attention_heads
    d_head = getattr(config, "head_dim", None) or config.hidden_size // n_heads
    n_key_heads = getattr(config, "num_key_value_heads", None) or n_heads
    return AttentionShape(config.num_hidden_layers, n_heads, n_key_heads, d_head)
