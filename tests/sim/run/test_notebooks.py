"""The notebooks run on the traces that are committed, and every one of them draws something."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ANALYSIS = Path(__file__).parents[3] / "analysis"
NOTEBOOKS = sorted(path.name for path in ANALYSIS.glob("*.ipynb"))


def figures(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output for output in outputs if "image/png" in output.get("data", {})]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_draws_what_it_drew(name):
    notebook = nbformat.read(ANALYSIS / name, 4)
    drawn = len(figures(notebook))
    assert drawn > 0, "committed without its figures"
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ANALYSIS)}})
    client.execute()
    assert len(figures(notebook)) == drawn


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_names_no_place_on_somebodys_machine(name):
    text = (ANALYSIS / name).read_text()
    for place in ("/home/", "/root/", "/work/", "/tmp/"):  # noqa: S108 - looked for, not used
        assert place not in text
