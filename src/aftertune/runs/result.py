"""What can every public result do, whatever it holds?

1. Be a data frame: `to_polars`, and `to_pandas` where pandas is installed.
2. Say what it is in one line: its ``repr`` never prints arrays.
3. Show itself in a notebook. Tables and figures are made of results and stand above them in the order of imports, so
   the module ``show`` beside the result's own is looked up by its name, when a notebook first asks; where there is
   none, the first rows of the data frame are shown.
"""

from abc import ABC, abstractmethod
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import polars as pl

from aftertune.errors import RunError

DISPLAY = "aftertune.report.notebook"


class Result(ABC):
    """A result that is a data frame and shows itself in a notebook."""

    @abstractmethod
    def to_polars(self) -> pl.DataFrame:
        """The result as a polars data frame."""

    @abstractmethod
    def _facts(self) -> dict[str, Any]:
        """The few short facts that say which result this is."""

    def to_pandas(self) -> Any:
        """What `to_polars` gives, as a pandas data frame; raises `RunError` if pandas is not installed."""
        if find_spec("pandas") is None:
            raise RunError(
                "A pandas data frame needs pandas, which is not installed. Install it (pip install 'pandas>=2.2'), or "
                "take to_polars()."
            )
        return self.to_polars().to_pandas()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._facts().items())})"

    def _show(self) -> Any:
        """The module ``show`` beside the result's own, which is made of results; None where there is none."""
        beside = f"{type(self).__module__.rpartition('.')[0]}.show"
        return import_module(beside) if find_spec(beside) is not None else None

    def _repr_html_(self) -> str:
        show = self._show()
        if hasattr(show, "to_html"):
            return str(show.to_html(self))
        return str(import_module(DISPLAY).frame_to_html(type(self).__name__, repr(self), self.to_polars()))
