"""Which part of a sentence matters most? (figure 6, appendix B.3)

1. The text is cut into sentences and lines (`aftertune.prompts.sentences`); a token the user wrote belongs to the
   sentence that holds its middle character. Tokens of templates and line breaks of their own belong to none.
2. The densities of a sentence are divided by their sum; a sentence in which nothing matters is left out.
3. A sentence of n tokens is cut into four runs of exactly n / 4 tokens. Where a cut falls inside a token, the
   token's density is divided in that proportion, so that even densities give even quarters at every length: cutting
   between whole tokens would give the first quarters of short sentences more tokens than the last.
4. The quarters are added up over the prompt's sentences, divided by their sum, and averaged over prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aftertune.explainers.attribution.result import SalientMap
from aftertune.prompts.sentences import sentences

N_QUARTERS = 4


Densities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Figure6Row:
    """Shares of the density that fall on the four quarters of sentences, averaged over ``n`` prompts; they sum to 1."""

    dataset: str
    model: str
    quarters: tuple[float, float, float, float]
    n: int


def figure6(maps: Sequence[SalientMap]) -> tuple[Figure6Row, ...]:
    """Figure 6 for each data set and model, in the order of the maps; prompts in which nothing matters are left out."""
    found: dict[tuple[str, str], list[Densities]] = {}
    for salient in maps:
        shares = quarters(salient)
        if shares is not None:
            found.setdefault((salient.dataset, salient.model), []).append(shares)
    return tuple(_row(dataset, model, shares) for (dataset, model), shares in found.items())


def quarters(salient: SalientMap) -> Densities | None:
    """Share of one prompt's density in each quarter of its sentences (4,); None if nothing matters."""
    densities, owners = salient.density(), _owners(salient)
    total = np.zeros(N_QUARTERS)
    for number in np.unique(owners[owners >= 0]):
        inside = densities[owners == number]
        if inside.any():
            total += split(inside / inside.sum())
    return total / total.sum() if total.any() else None


def split(values: Densities) -> Densities:
    """Sum of values (n,) in each of four runs of n / 4 entries (4,), an entry on a border divided in proportion."""
    reached = np.concatenate([[0.0], np.cumsum(values)])
    borders = np.linspace(0, len(values), N_QUARTERS + 1)
    return np.diff(np.interp(borders, np.arange(len(values) + 1), reached))


def _owners(salient: SalientMap) -> npt.NDArray[np.int64]:
    """Number of each token's sentence (n_prompt,), -1 for tokens in none."""
    owner = np.full(len(salient.text) + 1, -1, dtype=np.int64)
    for number, (start, end) in enumerate(sentences(salient.text)):
        owner[start:end] = number
    middles = np.array([_middle(salient.text, int(start), int(end)) for start, end in salient.offsets], dtype=np.int64)
    return np.where(salient.is_user, owner[middles], -1)


def _middle(text: str, start: int, end: int) -> int:
    piece = text[start:end]
    if not piece.strip():
        return len(text)
    first = start + len(piece) - len(piece.lstrip())
    return first + len(piece.strip()) // 2


def _row(dataset: str, model: str, shares: Sequence[Densities]) -> Figure6Row:
    first, second, third, last = np.mean(shares, axis=0).tolist()
    return Figure6Row(dataset, model, (first, second, third, last), len(shares))
