"""The rows of what is named and was swapped by itself, and of the texts that drive a direction.

Shares are those of `aftertune.explainers.location.rows`. A number that is not defined is None.
"""

from dataclasses import dataclass

from aftertune.explainers.location.named.result import DIRECTION, HEAD, Kind
from aftertune.statistics.spread import Interval


@dataclass(frozen=True)
class NamedRow:
    """One head, the group of heads that share its keys and values, or one direction of the change, swapped alone.

    ``layer`` counts from 0, and so does ``number``, that of the head or of the group's first, ``last`` that of its last
    head. Of a direction ``number`` is its rank in the ``module``, 1 the largest. ``words`` are those by which it was
    named, none of a group.

    ``noise`` is the largest share that any of ``n_draws`` draws of noise of the same size brings in its place, and
    ``module_brings`` what its whole module brings, None where that was not swapped. ``p_value`` is two-sided, by a
    permutation test of the signs of texts, that it brings no more than noise does on average; 1 where it does not bring
    more than every draw, None with too few texts. ``p_value_holm`` is corrected for all heads and groups, or for all
    directions; ``is_confirmed`` whether it is below 5 %.
    """

    kind: Kind
    layer: int
    module: str
    number: int
    last: int
    words: tuple[str, ...]
    brings: float | None
    brings_interval: Interval | None
    takes: float | None
    takes_interval: Interval | None
    brings_divergence: float | None
    takes_divergence: float | None
    noise: float | None
    n_draws: int
    module_brings: float | None
    p_value: float | None
    p_value_holm: float | None = None
    is_confirmed: bool | None = None

    @property
    def text(self) -> str:
        """Its name in a sentence."""
        return name_of(self.kind, self.layer, self.module, self.number, self.last)


@dataclass(frozen=True)
class ContextRow:
    """A token of a text at which the change of weights writes most along a direction.

    ``layer``, ``module`` and ``number`` (its rank) are those of the direction, ``words`` its words. ``strength`` is
    what the change writes along it at this token, in units of the root mean square over all tokens of the texts.
    ``before`` and ``after`` are what stands around the ``token`` at ``position`` of the ``prompt`` with its answer.
    """

    layer: int
    module: str
    number: int
    words: tuple[str, ...]
    strength: float
    prompt: str
    position: int
    before: str
    token: str
    after: str


def name_of(kind: Kind, layer: int, module: str, number: int, last: int) -> str:
    """The name of a unit in a sentence."""
    if kind == DIRECTION:
        return f"direction {number} of the {module} of layer {layer}"
    if kind == HEAD:
        return f"head {number} of layer {layer}"
    return f"heads {number} to {last} of layer {layer} with the keys and values that they share"
