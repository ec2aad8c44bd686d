"""Where a result comes from: which weights, read how, by which versions."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Provenance:
    """Names, revision, fingerprint of the weights and versions; it goes with every result.

    ``fingerprint`` is the SHA-256 of all weights as they were used (adapter merged), so two checkpoints with the
    same fingerprint are the same model whatever they are called.
    """

    name: str
    revision: str | None
    adapter: str | None
    architecture: str
    n_parameters: int
    dtype: str
    device: str
    fingerprint: str
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary, as it stands in ``base.json`` and ``tuned.json``."""
        return asdict(self)
