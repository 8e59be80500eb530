"""The rooms of the house: every import runs downwards, and a room's tests lie in one as well."""

from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
AT_THE_ROOT = {
    "ssdsim": {"__init__", "__main__", "bench", "errors", "kinds", "outcomes"},
    "ssdreal": {"__init__", "__main__", "extra"},
}


def test_imports_run_downwards_and_in_no_circle(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True, no_logo=True) == 0  # contracts: pyproject.toml


@pytest.mark.parametrize(("package", "stems"), AT_THE_ROOT.items())
def test_nothing_else_lies_at_the_root_of_a_package(package, stems):
    assert {path.stem for path in (ROOT / package).glob("*.py")} == stems


@pytest.mark.parametrize(("tests", "package"), [("sim", "ssdsim"), ("real", "ssdreal")])
def test_tests_lie_in_the_rooms_of_what_they_test(tests, package):
    rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert {path.parent.name for path in (ROOT / "tests" / tests).glob("**/test_*.py")} <= rooms
