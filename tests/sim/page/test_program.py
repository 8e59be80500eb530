"""`python -m ssdsim.page`, and the page that every run by itself writes."""

import errno
import subprocess
import sys
from itertools import chain

import pytest
from commands import TINY, refused, run
from pages import columns_of, payload_of
from timelines import ssd

from ssdsim.errors import ConfigError
from ssdsim.page import write
from ssdsim.page.program import main

TRACED = ("acceptance=language_model", "latency=constant", *TINY)


@pytest.fixture
def saved(tmp_path):
    made = ssd(12, 1)
    made.info |= {"schema": 1, "metrics": {}}
    made.save(tmp_path / "run")
    return tmp_path / "run"


def test_a_run_and_another_below_it_are_one_page(saved, capsys):
    main([str(saved)])
    assert capsys.readouterr().out == f"page: {saved / 'page.html'}\n"
    main([str(saved), str(saved), "--out", str(saved / "two.html")])
    one, two = ((saved / name).read_text() for name in ("page.html", "two.html"))
    assert payload_of(two)["runs"] == payload_of(one)["runs"] * 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "the following arguments are required: RUN"),
        (["nowhere"], "run directory nowhere: not readable"),
        (["{run}", "--out", "{run}"], "--out={run}: cannot be written"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, line, saved):
    with pytest.raises(ConfigError) as refusal:
        main([argument.format(run=saved) for argument in arguments])
    assert str(refusal.value).startswith(line.format(run=saved))


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['page', '--help']\n"
        "from ssdsim.page.__main__ import enter\n"
        "try: enter()\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'pandas', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)  # noqa: S603
    assert done.returncode == 0
    assert b"--without-texts" in done.stdout


def tokens_in(folder):
    found = payload_of((folder / "page.html").read_text())["runs"][0]
    outputs = [each["output"] or [] for each in found["sequences"]]
    return set(columns_of(found, "rounds")["token"]), [*chain(*outputs)]


def test_a_run_writes_its_page_with_or_without_texts(capsys, tmp_path):
    assert run(*TRACED, f"out={tmp_path / 'with'}") == 0
    assert f"page: {tmp_path / 'with' / 'page.html'}\n" in capsys.readouterr().out
    assert run(*TRACED, "page.texts=false", f"out={tmp_path / 'without'}") == 0
    ids, output = tokens_in(tmp_path / "with")
    assert ids <= set(output)
    assert len(output) == 4 * 24
    assert tokens_in(tmp_path / "without") == ({-1}, [])


def test_a_page_can_be_made_once_more(tmp_path):
    assert run(*TRACED, f"out={tmp_path}") == 0
    main([str(tmp_path), "--out", str(tmp_path / "again.html")])
    first, again = (payload_of((tmp_path / f"{n}.html").read_text()) for n in ("page", "again"))
    assert again["runs"] == first["runs"]
    assert again["runs"][0]["outcomes"]["rows"] > 0


def test_a_run_outlives_its_page(monkeypatch, capsys, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write, "write_text", full)
    assert run(*TRACED, f"out={tmp_path}") == 0
    printed = capsys.readouterr()
    line = f"ssdsim: {tmp_path}/page.html: cannot be written (No space left on device)"
    assert printed.err.startswith(line)
    assert "page:" not in printed.out
    assert "tokens/s" in printed.out


@pytest.mark.parametrize("arguments", [("page.texts=1",), ("page.texts=[]",), ("page=no",)])
def test_page_texts_is_true_or_false(arguments, capsys, tmp_path):
    assert refused(capsys, tmp_path / "out", *TINY, *arguments).startswith("page")


def test_a_sweep_writes_no_pages(capsys, tmp_path):
    assert run("-m", "lookahead=2", "page.texts=false", *TINY, f"out={tmp_path}") == 2
    assert "page.texts: has no effect, a sweep (-m) writes no pages" in capsys.readouterr().err
