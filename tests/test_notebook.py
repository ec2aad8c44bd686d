"""The tutorial notebook runs from its first cell to its last, and is stored as it ran."""

import re

import pytest

from aftertune.demo import find_demo_base
from aftertune.errors import CheckpointError
from pages import LINK, ROOT

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
NOTEBOOK = ROOT / "docs" / "tutorial-notebook.ipynb"
LONGEST_CELL_SECONDS = 900
MOST_BYTES = 500_000


def read_notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def outputs_of(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_it_is_stored_with_its_outputs_and_names_no_place_of_a_machine() -> None:
    notebook = read_notebook()
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs or cell.source.startswith("%%capture") for cell in cells)
    assert not [output for output in outputs_of(notebook) if output.output_type in ("error", "stream")]
    text = NOTEBOOK.read_text("utf-8")
    assert len(text) < MOST_BYTES
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)


def test_its_links_lead_to_pages() -> None:
    texts = "\n".join(cell.source for cell in read_notebook().cells if cell.cell_type == "markdown")
    pages = [target for target in LINK.findall(texts) if not re.match(r"[a-z]+:", target)]
    assert pages
    assert not [page for page in pages if not (NOTEBOOK.parent / page).exists()]


@pytest.mark.slow
def test_it_runs() -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    try:
        find_demo_base()
    except CheckpointError as error:
        pytest.skip(str(error))
    notebook = read_notebook()
    nbclient.NotebookClient(notebook, timeout=LONGEST_CELL_SECONDS, kernel_name="python3").execute()
    shown = [output.data for output in outputs_of(notebook) if output.output_type == "execute_result"]
    assert sum("text/html" in data for data in shown) >= 10
