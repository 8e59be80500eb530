"""Opens a page whose sliders ask the simulator on this machine.

`python -m ssdsim.explore [RUN] [OPTION=VALUE ...]` begins with the options of a run or of a command
line, and serves a page on 127.0.0.1. Every change is answered by a simulation; the command that
gives the same stands there to copy.
"""

import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdsim.command.console import ending, show, speak_as
from ssdsim.errors import ConfigError, require
from ssdsim.explore.answer import Explorer
from ssdsim.explore.asking import Questions
from ssdsim.explore.opened import words_of
from ssdsim.explore.server import Desk, Server
from ssdsim.page.pack import packed
from ssdsim.run.trace import load_run

PORT = "--port"


@dataclass(frozen=True)
class Question:
    """What the command line asks: which options to begin with, beside what, and where."""

    words: tuple[str, ...]
    beside: dict[str, Any] | None = None
    port: int = 0


def question(arguments: Sequence[str]) -> Question:
    """Read the command line.

    Raises
    ------
    ConfigError
        An argument is not possible, or a run cannot be read.

    """
    folders, words, port = list[Path](), list[str](), "0"
    for word in arguments:
        name, given, value = word.partition("=")
        if name == PORT and given:
            port = value
        elif word.startswith("-"):
            raise ConfigError(f"{word}: no such option; choose among {PORT}=N, --help")
        elif given:
            words.append(word)
        else:
            folders.append(Path(word))
    require(port.isdigit(), PORT, port, "needs a number from 0 to 65535")
    right = "needs one run directory at most, and options as OPTION=VALUE"
    require(len(folders) < 2, "RUN", " ".join(map(str, folders)), right)
    return (
        _opened(folders[0], words, int(port)) if folders else Question((*words,), None, int(port))
    )


def _opened(folder: Path, words: Sequence[str], port: int) -> Question:
    """Begin with a run's own options; a measured run stands above."""
    run = load_run(folder)
    beside = None if run.info["source"] == "sim" else packed(run)
    return Question((*words_of(run, folder, words), *words), beside, port)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; bad input ends with one line and exit code 2."""
    speak_as("ssdsim.explore")
    with ending("ended"):
        asked = question(sys.argv[1:] if arguments is None else arguments)
        explorer = Explorer(Questions(asked.words), asked.beside)
        explorer.page("")  # refused here, if at all
        settle()
        with Server(Desk(explorer), asked.port) as server:
            show(_where(server))
            sys.stdout.flush()  # it may be a pipe, and nothing follows
            server.serve_forever()


def settle() -> None:
    """Have what is there by now left alone by the garbage collector.

    It goes through all that is left to it in every tenth answer or so, which then takes long.
    """
    gc.collect()
    gc.freeze()


def _where(server: Server) -> str:
    port = server.port
    return (
        f"explorer: {server.address}\n"
        f"on another machine's screen: ssh -L {port}:127.0.0.1:{port} HOST, then the same address\n"
        "Ctrl-C ends it"
    )
