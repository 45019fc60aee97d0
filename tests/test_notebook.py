"""The notebook runs, on made-up results, and is stored without what it printed."""

from pathlib import Path

import made_up
import nbclient
import nbformat

NOTEBOOK = Path(__file__).parents[1] / "notebooks/inspect_artifacts.ipynb"


def test_the_notebook_runs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    folder = made_up.results(tmp_path)
    assert cells[0].source.count('Path("../results/digits")') == 1
    cells[0].source = cells[0].source.replace("../results/digits", str(folder))
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [output.data for cell in cells for output in cell.outputs if "data" in output]
    assert sum("image/png" in data for data in shown) == 5
    assert any("score" in data.get("text/html", "") for data in shown)
