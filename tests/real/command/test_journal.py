"""What a command has finished is kept, whenever it is killed."""

import json
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

import pytest

from ssdreal.command.journal import RUN, Journal, journal, plain
from ssdsim.errors import ConfigError
from ssdsim.run.trace import Recorder, Run


@dataclass(frozen=True)
class Found:
    name: str
    seconds: tuple[float, ...]


def test_plain_pieces_come_back_as_they_were(tmp_path):
    form = plain(list[Found])
    form.write(tmp_path / "deep" / "down", [Found("a", (0.1, nan))])
    (found,) = form.read(tmp_path / "deep" / "down")
    assert (found.name, found.seconds[0]) == ("a", 0.1)
    assert isnan(found.seconds[1])


def work(folder, made, *, resume):
    """Make three pieces of two forms; `made` notes which are not kept."""
    kept = journal(folder / "journal.json", {"tokens": 4}, resume=resume)

    def run(name):
        info = {"schema": 1, "run_id": name, "metrics": {}}
        return lambda: made.append(name) or Run(info, Recorder().tables(0.0))

    return (
        kept.once("a/first", RUN, run("first")).info["run_id"],
        kept.once("number", plain(int), lambda: made.append("number") or 7),
        kept.once("a/first/second", RUN, run("second")).info["run_id"],
    )


@pytest.mark.parametrize("second", range(20))
def test_killed_at_any_step_it_goes_on(second, tmp_path, monkeypatch):
    """Each file that is moved to its place is a step; nothing is cleaned up."""
    work(tmp_path, [], resume=False)  # of an earlier command, to be replaced
    steps, move = iter(range(second)), Path.replace

    def moved(path, to):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return move(path, to)

    made = []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", moved)
        try:
            work(tmp_path, made, resume=False)
        except KeyboardInterrupt:
            killed = True
        else:
            killed = False
    assert killed == (second < 15)  # two runs of four files, a number, two journals for each
    before = len(made)
    if second:  # else the earlier command's journal is still there, and whole
        assert work(tmp_path, made, resume=True) == ("first", 7, "second")
        assert len(made) - before in {3 - before, 4 - before}  # at most one is made twice


def test_what_a_killed_command_left_half_written_goes(tmp_path):
    work(tmp_path, [], resume=False)
    half = tmp_path / "a" / "first" / ".1.partial.run.json"
    half.touch()
    work(tmp_path, [], resume=True)
    assert not half.exists()


def test_a_piece_that_is_lost_is_made_again(tmp_path):
    work(tmp_path, [], resume=False)
    (tmp_path / "number").write_bytes(b"")
    made = []
    assert work(tmp_path, made, resume=True)[1] == 7
    assert made == ["number"]


@pytest.mark.parametrize("content", ["", "[]", '{"asked": 3}', '{"asked": {}}'])
def test_what_is_no_journal_is_refused(content, tmp_path):
    file = tmp_path / "journal.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"^--resume: .* is not readable"):
        journal(file, {}, resume=True)
    assert journal(file, {}, resume=False) == Journal(file, journal(file, {}, resume=False).asked)


@pytest.mark.parametrize("name", ["tokens", "machine", "versions"])
def test_what_was_made_otherwise_or_elsewhere_is_refused(name, tmp_path):
    work(tmp_path, [], resume=False)
    file = tmp_path / "journal.json"
    content = json.loads(file.read_text())
    content["asked"][name] = "odd"
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=rf"^--resume: {name}=.*: needs 'odd', which what is"):
        journal(file, {"tokens": 4}, resume=True)
