"""What the tools' command lines refuse before anything is measured."""

import os

import pytest

from ssdreal.bench import program as bench
from ssdreal.profile.options import profile_options
from ssdsim.errors import ConfigError


@pytest.fixture
def nothing_is_measured(monkeypatch):
    def measure(*_):
        raise AssertionError("something was measured")

    monkeypatch.setattr(bench, "measure", measure)


@pytest.mark.usefixtures("nothing_is_measured")
@pytest.mark.parametrize("value", ["0", "-3"])
@pytest.mark.parametrize("option", ["--prompts", "--tokens", "--repeats", "--few", "--few-tokens"])
def test_counts_below_one(option, value, capsys):
    with pytest.raises(SystemExit) as end:
        bench.main([option, value])
    assert end.value.code == 2
    line = f"ssdreal.bench: {option}={value}: needs a number >= 1, at most 1,000,000\n"
    assert capsys.readouterr() == ("", line)


def kinds(folder):
    """Return what cannot be written, by what it is."""
    (folder / "file").touch()
    os.mkfifo(folder / "fifo")
    return {
        "a folder": folder,
        "a pipe that nobody reads": folder / "fifo",
        "in a file": folder / "file" / "numbers.json",
        "too long a name": folder / ("n" * 300),
        "a device": "/dev/full",
    }


@pytest.mark.usefixtures("nothing_is_measured")
@pytest.mark.parametrize(
    "kind", ["a folder", "a pipe that nobody reads", "in a file", "too long a name", "a device"]
)
def test_files_that_cannot_be_written(kind, capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        bench.main(["--out", str(kinds(tmp_path)[kind])])
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("ssdreal.bench: --out=")
    assert printed.err.count("\n") == 1


def test_a_profile_cannot_have_the_name_of_one_that_comes_along():
    with pytest.raises(
        ConfigError, match=r"--name='demo': is a profile of the project; needs another name"
    ):
        profile_options(["--name", "demo"])
    assert profile_options(["--name", "this_machine"])[0].name == "this_machine"
