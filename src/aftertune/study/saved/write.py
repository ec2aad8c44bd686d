"""The comparison of a finished run, its report and its files.

1. Everything that was measured, read once.
2. Each model compared with its predecessor and with the first.
3. Of two models: the report in the run's folder. Of more: one page of all of them there, and the report of each pair
   in a folder below. ``maps.parquet`` and ``comparison.json`` beside it.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from aftertune.errors import RunError
from aftertune.explainers.attribution.change import Comparison
from aftertune.explainers.attribution.map_file import write_maps
from aftertune.report.lineage import write_lineage
from aftertune.report.page import write_report as render
from aftertune.runs.parts import write_text
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.study.saved.asked import Asked, Verbs, last_asked, read_asked, remember_asked
from aftertune.study.saved.contents import contents_of, lineage_contents
from aftertune.study.saved.measured import Measured, compare_all, joined, open_several, read_measured
from aftertune.study.stages import Lineage

PAIRS = "pairs"


def write_report(run: str | Path, verbs: Verbs = None) -> Comparison | Lineage:
    """Compare the measurements of a finished run and write its report, tables and figures again; needs no torch.

    ``verbs`` are other words to ask about in the heads: a list, or a file; by default those of the last time. Returns
    the comparison of two models, or the lineage of more.

    Raises `RunError` if there is no run, or a model's measurements are not complete, and `WordError` for words that
    can't be used.
    """
    folder = open_several(run)
    if verbs is not None and not folder.exists("heads.json"):
        raise RunError(f"No heads are read in {run}, so no words can be asked about in them. Leave the verbs out.")
    return make_report(folder, None if verbs is None else read_asked(verbs))


def make_report(folder: RunFolder, asked: Asked | None) -> Comparison | Lineage:
    """What `write_report` does, with words to ask about that are read already; None for those of the last time."""
    measured, asked = read_measured(folder), asked or last_asked(folder)
    found = compare_all(measured, asked)
    if measured.heads:
        remember_asked(folder, asked)  # only now: words that can't be used are not asked about again
    if measured.maps:
        write_maps([one for maps in measured.maps.values() for one in maps], folder.path("maps.parquet"))
    told = joined(found)
    write_text(folder.path("comparison.json"), json.dumps(told.to_dict(), indent=2, ensure_ascii=False) + "\n")
    with folder.local() as root:
        _write_pages(root, folder, measured, found, told)
    return told


def _write_pages(
    root: Path, folder: RunFolder, measured: Measured, found: Mapping[Pair, Comparison], told: Comparison | Lineage
) -> None:
    places = {pair: f"{PAIRS}/{pair.base}-{pair.tuned}" if len(found) > 1 else "." for pair in found}
    for pair, comparison in found.items():
        render(root / places[pair], contents_of(folder, measured, pair, comparison))
    if isinstance(told, Lineage):  # last, since it leads to the others
        write_lineage(root, lineage_contents(folder, told, places))
