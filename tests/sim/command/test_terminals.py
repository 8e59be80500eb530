"""Terminals as they are found: of any encoding, of any width, and with readers that go away."""

import os
import subprocess
import sys
from io import BytesIO, TextIOWrapper

import pytest
from commands import TINY, run
from hypothesis import given, settings
from hypothesis import strategies as st

from ssdsim.command import console as consoles
from ssdsim.errors import RunError
from ssdsim.system.terminal import printing, spell

COMMANDS = ("ssdsim", "ssdreal", *(f"ssdreal.{tool}" for tool in ("bench", "distill", "profile")))
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8")


@pytest.fixture
def stdout(monkeypatch):
    """Return what replaces stdout by one of an encoding, and gives its bytes."""

    def replace(encoding):
        stream = TextIOWrapper(BytesIO(), encoding=encoding, errors="strict", write_through=True)
        monkeypatch.setattr(sys, "stdout", stream)
        consoles.console.cache_clear()
        return stream.buffer.getvalue

    yield replace
    consoles.console.cache_clear()


# Encodings


@pytest.mark.parametrize(
    ("encoding", "sweep", "signs"),
    [
        ("ascii", (), ("+-", "x over AR", "\\xe9")),
        ("ascii", ("-m", "batch=1,2"), ("+-", "x best SD", "\\xe9")),
        ("cp1252", (), ("±", "× over AR", "é")),
    ],
)
def test_tables_are_printed_in_any_encoding(encoding, sweep, signs, stdout, tmp_path):
    printed = stdout(encoding)
    assert run(*sweep, *TINY, f"out='{tmp_path / 'é'}'") == 0
    text = printed().decode(encoding)
    assert all(sign in text for sign in signs)


@pytest.mark.parametrize("program", COMMANDS)
@pytest.mark.parametrize("locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_help_is_printed_in_any_encoding(program, locale):
    plain = {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", **locale}
    found = subprocess.run(  # noqa: S603 - this very command
        [sys.executable, "-m", program, "--help"],
        env=os.environ | plain,
        capture_output=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, b"")
    assert found.stdout.isascii()


@settings(max_examples=30, deadline=None)
@given(st.text(), st.sampled_from(ENCODINGS))
def test_every_text_can_be_printed(text, encoding):
    with pytest.MonkeyPatch.context() as patch:
        stream = TextIOWrapper(BytesIO(), encoding=encoding, newline="")
        patch.setattr(sys, "stdout", stream)
        spell()
        stream.write(text)
        stream.flush()
    written = stream.buffer.getvalue().decode(encoding)
    assert len(written) >= len(text)
    if encoding == "utf-8" and text.isprintable():
        assert written == text


@pytest.mark.parametrize(
    ("text", "spelled"),
    [("3 ± 1 ×", "3 +- 1 x"), ("α, Σ", "alpha, sigma"), ("–", "-"), ("é\udcff", "\\xe9\\udcff")],
)
def test_spellings(text, spelled, stdout):
    printed = stdout("ascii")
    consoles.table_console(80).print(text)
    assert printed().decode("ascii") == spelled + "\n"


# Readers that go away


def closed(*arguments):
    """Run a command whose stdout nobody reads; return its exit code and what it complains of."""
    with subprocess.Popen(  # noqa: S603 - this very command
        [sys.executable, "-m", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        return process.stderr.read(), process.wait()


@pytest.mark.parametrize("program", COMMANDS)
def test_help_that_nobody_reads(program):
    assert closed(program, "--help") == (b"", 0)


@pytest.mark.slow
def test_a_run_that_nobody_reads_is_whole(tmp_path):
    assert closed("ssdsim", *TINY, f"out={tmp_path}") == (b"", 0)
    assert {"run.json", "rounds.parquet"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="of Linux")  # noqa: PTH110
@pytest.mark.parametrize("program", ["ssdsim", "ssdreal.bench"])
def test_no_room_for_what_is_printed(program):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        found = subprocess.run(  # noqa: S603 - this very command
            [sys.executable, "-m", program, "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert found.returncode == 1
    assert found.stderr.startswith(f"{program}: output: cannot be written (")
    assert found.stderr.count("\n") == 1


def test_other_errors_are_not_the_reader_s():
    with pytest.raises(FileNotFoundError), printing():
        raise FileNotFoundError
    with pytest.raises(RunError, match="output: cannot be written"), printing():
        raise OSError(28, "No space left on device")


# Widths


@pytest.mark.parametrize("columns", ["0", "20"])
def test_no_number_is_cut_in_a_narrow_terminal(columns, monkeypatch, stdout, tmp_path):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal has
    printed = stdout("utf-8")
    assert run(*TINY, f"out={tmp_path}") == 0
    assert "…" not in printed().decode()


@pytest.mark.parametrize("columns", ["0", "1", "20"])
@pytest.mark.parametrize("package", ["ssdsim", "ssdreal"])
def test_help_in_a_narrow_terminal(package, columns, monkeypatch):
    from importlib import import_module

    monkeypatch.setenv("COLUMNS", columns)
    assert "lookahead=K" in import_module(f"{package}.command.help").text()


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_no_colours_where_none_are_wanted(name, value, monkeypatch, stdout):
    monkeypatch.setenv(name, value)
    printed = stdout("utf-8")
    consoles.console().print("[red]so[/red]")
    assert printed() == b"so\n"
