"""What are the parts of one layer?  Told by what it did with a few tokens; part of `structure`."""

from typing import Any, Literal

from torch import Tensor, nn

from aftertune.models.description import AttentionShape, Description
from aftertune.models.recorded import Attended, Call, LayerRecord


class Unreadable(Exception):  # noqa: N818 - it ends a sentence
    """Why an architecture can't be described: the rest of a sentence."""


class Layer:
    """What one layer did, taken apart."""

    def __init__(self, record: LayerRecord, shape: AttentionShape) -> None:
        self.record, self.shape = record, shape
        self.places: dict[int, str] = {id(module): place for place, module in record.module.named_modules()}
        self.calls = [call for call in record.calls if isinstance(call, Call)]

    @property
    def attended(self) -> Attended:
        """The one call of attention."""
        return self.record.attended[0]

    @property
    def attention(self) -> str:
        """The place of the attention module."""
        return self.places[id(self.attended.module)]

    def has_network_of(self, described: Description) -> bool:
        """Whether a layer without attention has the same network, between the same norms."""
        by_place = {call.place: call for call in self._linear()}
        places = (*described.gates, described.down)
        if not all(place in by_place for place in places):
            return False
        before, after = self._norm_before(by_place[places[0]]), self._norm_after(by_place[described.down])
        return (_place(before), _place(after)) == (described.network_norm, described.written_norm)

    def describe(self) -> Description:
        """What a layer with attention tells of a description; the rest has no meaning yet."""
        if len(self.record.attended) != 1 or self.attended.module is self.record.module:
            raise Unreadable("not all its layers have attention with queries and keys of their own, in one place")
        query, key, value = (
            self._projection(part) for part in (self.attended.query, self.attended.key, self.attended.value)
        )
        out = self._out()
        *gates, down = self._network()
        norm, network_norm = self._norm_before(query), self._norm_before(gates[0])
        attended_norm, written_norm = self._norm_after(out), self._norm_after(down)
        head_norms = self._head_norms(query, key)
        gate, activation = self._activation(gates)
        known = [query, key, value, out, *gates, down, norm, network_norm, attended_norm, written_norm, *head_norms]
        self._must_be_all([call for call in known if call])
        fused = self._fused(query, key, value)
        return Description(
            name="",
            attention=self.attention,
            norm=_place(norm),
            projections=(self._inside(query),) if fused == "blocks" else (self._inside(query), self._inside(key)),
            fused=fused,
            head_norms=(self._inside(head_norms[0]), self._inside(head_norms[1])) if head_norms else None,
            value=self._inside(value),
            out=self._inside(out),
            attended_norm=_place(attended_norm),
            network_norm=_place(network_norm),
            gates=tuple(call.place for call in sorted(gates, key=lambda call: call is not gate)),
            activation=_place(activation),
            down=down.place,
            written_norm=_place(written_norm),
            written_out=fused != "gated"
            and self._is_plain(out, gates, activation, down)
            and all(storage_of(c.given) == storage_of(p.gave) for c, p in zip(head_norms, (query, key), strict=False)),
        )

    def _projection(self, reached: Tensor) -> Call:
        """The one projection that the gradient of queries, keys or values leads to."""
        behind = _graph_behind(reached)
        found = [call for call in self._linear() if call.gave is not None and call.gave.grad_fn in behind]
        if len(found) != 1 or not found[0].place.startswith(f"{self.attention}."):
            raise Unreadable("its queries, keys or values are not made by one projection each")
        return found[0]

    def _linear(self) -> list[Call]:
        return [call for call in self.calls if isinstance(call.module, nn.Linear)]

    def _out(self) -> Call:
        at_once = self.record.calls.index(self.attended)
        after = [c for c in self.record.calls[at_once:] if isinstance(c, Call) and isinstance(c.module, nn.Linear)]
        found = [call for call in after if call.place.startswith(f"{self.attention}.")]
        if len(found) != 1:
            raise Unreadable("what its attention reads does not go through one projection")
        return found[0]

    def _network(self) -> list[Call]:
        """The projections of the feed-forward network, in the order of their calls."""
        found = [call for call in self._linear() if not call.place.startswith(f"{self.attention}.")]
        if len(found) not in (2, 3) or len({storage_of(call.given) for call in found[:-1]}) != 1:
            raise Unreadable("its layers have not one feed-forward network each, of two or three projections")
        return found

    def _fused(self, query: Call, key: Call, value: Call) -> Literal["blocks", "gated"] | None:
        rows, q, k = (
            _rows(query),
            self.shape.n_heads * self.shape.d_head,
            self.shape.n_key_heads * self.shape.d_head,
        )
        if query is key is value and rows == q + 2 * k:
            return "blocks"
        if query is not key and key is not value and _rows(key) == k and rows in (q, 2 * q):
            return "gated" if rows == 2 * q else None
        raise Unreadable("its projections have not the numbers of heads of its configuration")

    def _norm_before(self, projection: Call) -> Call | None:
        """The norm that gave what a projection was given; None if it was not given by any module."""
        found = [c for c in self._others() if storage_of(c.gave) == storage_of(projection.given) != storage_of(c.given)]
        return found[-1] if found else None

    def _norm_after(self, projection: Call) -> Call | None:
        """The norm that was given what a projection gave; None if there is none."""
        found = [c for c in self._others() if storage_of(c.given) == storage_of(projection.gave) != storage_of(c.gave)]
        return found[0] if found else None

    def _others(self) -> list[Call]:
        """Calls of modules without others in them that are no projections."""
        return [c for c in self.calls if not isinstance(c.module, nn.Linear) and not list(c.module.children())]

    def _head_norms(self, query: Call, key: Call) -> list[Call]:
        found = []
        for reached, projection in ((self.attended.query, query), (self.attended.key, key)):
            behind = _graph_behind(reached)
            inside = [call for call in self._others() if call.place.startswith(f"{self.attention}.")]
            between = [
                c for c in inside if c.gave is not None and c.gave.grad_fn is not None and c.gave.grad_fn in behind
            ]
            found.append([c for c in between if storage_of(c.gave) != storage_of(projection.gave)])
        if [len(norms) for norms in found] not in ([0, 0], [1, 1]):
            raise Unreadable("its queries and keys do not go through one norm each, or none")
        return [norm for norms in found for norm in norms]

    def _activation(self, gates: list[Call]) -> tuple[Call | None, Call | None]:
        """The projection of the gate, and what is applied to it, where that is a module."""
        for call in self._others():
            for gate in gates:
                first_half = call.given is not None and call.given.storage_offset() == 0
                if storage_of(call.given) == storage_of(gate.gave) != storage_of(call.gave) and first_half:
                    return gate, call
        return None, None

    def _must_be_all(self, known: list[Call]) -> None:
        places = {call.place for call in known}
        for name, weight in self.record.module.named_parameters():
            if name.rpartition(".")[0] not in places and weight.numel() > 1:  # one number may shape an activation
                raise Unreadable(f"its layers have a weight, {name}, that no description has a place for")

    def _is_plain(self, out: Call, gates: list[Call], activation: Call | None, down: Call) -> bool:
        """Whether one half of the layer comes after the other, and the network has a gate."""
        n_gated = sum(_rows(gate) for gate in gates) == 2 * _weight(down).shape[1]
        after = gates[0].given is not None and _is_behind(gates[0].given, self.attended.read)
        plain = storage_of(out.given) == storage_of(self.attended.read) and self.record.rotary is not None
        return n_gated and after and plain and activation is not None

    def _inside(self, call: Call) -> str:
        return call.place.removeprefix(f"{self.attention}.")


def _rows(projection: Call) -> int:
    return _weight(projection).shape[0]


def _weight(projection: Call) -> Tensor:
    assert isinstance(projection.module, nn.Linear)
    return projection.module.weight


def _place(call: Call | None) -> str | None:
    return None if call is None else call.place


def _graph_behind(tensor: Tensor) -> set[Any]:
    """All nodes of the graph that a tensor was made by."""
    found, open_nodes = set[Any](), [tensor.grad_fn]
    while open_nodes:
        node = open_nodes.pop()
        if node is not None and node not in found:
            found.add(node)
            open_nodes += [before for before, _ in node.next_functions]
    return found


def _is_behind(tensor: Tensor, given: Tensor) -> bool:
    """Whether ``given``, a leaf, is among what a tensor was made of."""
    return any(getattr(node, "variable", None) is given for node in _graph_behind(tensor))


def storage_of(given: Any) -> int:
    """The identity of a tensor's storage, which its views share; 0 for what is no tensor. Valid while it lives."""
    return given.untyped_storage()._cdata if isinstance(given, Tensor) else 0
