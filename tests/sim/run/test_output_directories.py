"""What `out` may be: which names and directories are refused, and in which words."""

import os

import pytest
from commands import TINY, refused, run

from ssdsim.errors import ConfigError
from ssdsim.run.run_directory import free
from ssdsim.system.destination import file, folder

NAMES = {
    "a number": (1, "needs the name"),
    "a truth": (True, "needs the name"),
    "nothing": (None, "needs the name"),
    "a list": ([1], "needs the name"),
    "empty": ("", "is empty"),
    "blank": (" ", "is empty"),
    "NUL": ("a\0b", "NUL"),
    "a lone surrogate": ("a\ud800", "UTF-8"),
    "half a byte": ("a\udcff", "UTF-8"),
    "too long": ("a" * 300, "File name too long"),
    "here": (".", "current directory or one above"),
    "above": ("..", "current directory or one above"),
    "root": ("/", "current directory or one above"),
    "the same": ("/usr/..", "current directory or one above"),
    "a device": ("/dev/null", "Not a directory"),
    "below a device": ("/dev/null/x", "Not a directory"),
    "a file": (__file__, "Not a directory"),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_no_run_directory_can_be(name):
    value, words = NAMES[name]
    with pytest.raises(ConfigError, match=words) as refusal:
        free(value, overwrite=True)
    assert str(refusal.value).startswith("out=")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "out", ["1", "true", "null", "[1]", "''", "'  '", "..", "/", "/dev/null", "nosuch/../.."]
)
@pytest.mark.parametrize("sweep", [(), ("-m",)], ids=["run", "sweep"])
def test_out_is_refused_before_anything_else(out, sweep, monkeypatch, capsys, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("ssdsim.command.cli.setup_from", None)  # it does not come to that
    assert run(*sweep, *TINY, f"out={out}") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("ssdsim: out=")
    assert printed.err.count("\n") == 1
    assert [*tmp_path.rglob("*")] == [here]


@pytest.mark.parametrize("sweep", [(), ("-m",)], ids=["run", "sweep"])
@pytest.mark.parametrize("name", ["out", "overwrite"])
def test_what_names_nothing(name, sweep, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(*sweep, *TINY, f"{name}=${{nosuch}}") == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "nosuch" in printed.err
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["out", "overwrite"])
def test_an_option_that_is_taken_away(name, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(*TINY, f"~{name}") == 2
    assert capsys.readouterr().err.startswith(f"ssdsim: {name}=None: needs ")


def test_a_sweep_has_one_directory(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run("-m", *TINY, "out=a,b") == 2
    assert capsys.readouterr().err.startswith("ssdsim: out=a,b: a sweep has one directory")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("value", ["1", "null", "maybe", "[true]"])
def test_overwrite_is_true_or_false(value, capsys, tmp_path):
    line = refused(capsys, tmp_path / "out", f"overwrite={value}")
    assert line.startswith("overwrite=")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written_to(capsys, tmp_path):
    tmp_path.chmod(0o500)
    assert "Permission denied" in refused(capsys, tmp_path / "out")


def test_what_may_not_be_written_to_is_told_by_the_system(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda *_: False)
    for check in (folder, file):
        with pytest.raises(ConfigError, match=r"--out=.*cannot be written \(Permission denied\)"):
            check("--out", tmp_path / "new")


@pytest.mark.parametrize("name", ["", "a\0", "/dev/null", "/dev/full", "/", "/dev/null/x", 1, None])
def test_what_no_file_can_be(name):
    with pytest.raises(ConfigError, match=r"^--out="):
        file("--out", name)
