"""What an annotator called the tuning, in each repeat, in a run folder.  No torch.

``annotations/tuning.json`` holds, for each pair of models, what the newest annotator was shown and what it answered.
"""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from aftertune.explainers.annotation.naming.agree import Agreed, agreed
from aftertune.explainers.annotation.result import FOLDER
from aftertune.runs.records import record_of
from aftertune.runs.result import Result
from aftertune.runs.run import RunFolder

TUNING = f"{FOLDER}/tuning.json"


@dataclass(frozen=True, eq=False, repr=False)
class NamingChange(Result):
    """What the annotator called the change from the model named ``base`` to ``tuned``.

    ``answers`` are its names, one for each repeat; None where it could not tell, or where its answer was unusable
    (``n_unusable`` of them). ``evidence`` are the lines that it was shown, in which the models have no names.
    ``is_weak`` where it reads far less well than a large model.
    """

    base: str
    tuned: str
    annotator: str
    is_weak: bool
    answers: tuple[str | None, ...]
    n_unusable: int
    evidence: tuple[str, ...]

    @property
    def agreed(self) -> Agreed | None:
        """The name on which enough repeats agree, None where they do not."""
        return agreed(self.answers)

    def to_polars(self) -> pl.DataFrame:
        """A row for each repeat: ``repeat, name, agrees``."""
        names = set(self.agreed.names if self.agreed else ())
        rows = [(number, name, name is not None and name in names) for number, name in enumerate(self.answers)]
        schema = {"repeat": pl.Int64, "name": pl.String, "agrees": pl.Boolean}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def tables(self) -> dict[str, pl.DataFrame]:
        """The table of repeats, ``tuning_names``."""
        return {"tuning_names": self.to_polars()}

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON data, with the agreed ``name``, None where there is none."""
        found = self.agreed
        plain = asdict(self) | {"answers": list(self.answers), "evidence": list(self.evidence)}
        return plain | {"name": found.name if found else None, "n_agreeing": len(found.names) if found else 0}

    def _facts(self) -> dict[str, Any]:
        found = self.agreed
        return {"base": self.base, "tuned": self.tuned, "annotator": self.annotator, "name": found and found.name}


def read_names(run: RunFolder) -> dict[str, dict[str, Any]]:
    """What the newest annotator answered, by the pair; raises `RunError` if the file is damaged."""
    return record_of(run, TUNING, dict[str, dict[str, Any]])
