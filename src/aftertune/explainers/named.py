"""What does an explainer name: an attention head, or a direction that the change of weights writes along?

Names come from weights alone. Another explainer is handed them and says, by a swap, whether they carry the change.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["head", "direction"]


@dataclass(frozen=True)
class Named:
    """A head or a direction of a ``layer``, counted from 0.

    ``number`` is that of a head in its layer, counted from 0, or the rank of a direction in its ``module``
    ("attention", "feed-forward"), 1 the largest; ``sign`` is the side of the direction that has the ``words``.
    """

    kind: Kind
    layer: int
    module: str
    number: int
    sign: int
    words: tuple[str, ...]
