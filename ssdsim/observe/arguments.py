"""The command line of `python -m ssdsim.observe`."""

import re
from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssdsim.errors import require
from ssdsim.system.parser import Parser

SECONDS = 60.0
FANOUT = 3
"""The SSD engine's own default."""
NAME = re.compile(r"[\w][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Question:
    """What the command line asks.

    Attributes
    ----------
    files, url, seconds
        What to read.
    name
        Of the profile; empty: none is written.
    json
        Whether to print JSON.
    scores
        Files of a scoring pass.
    draft_step
        Seconds, where they were measured.
    fanout
        Of a run of the SSD engine.
    ask, texts, to
        A draft's server to ask for scores, of which texts, and where they go.

    """

    files: tuple[str, ...] = ()
    url: str = ""
    seconds: float = SECONDS
    name: str = ""
    json: bool = False
    scores: tuple[str, ...] = ()
    draft_step: float | None = None
    fanout: int = FANOUT
    ask: str = ""
    texts: str = ""
    to: str = ""


def question(arguments: Sequence[str]) -> Question:
    """Read the command line.

    Raises
    ------
    ConfigError
        There is nothing to read, an option is unknown, or a value is not possible.

    """
    given: dict[str, Any] = vars(_parser().parse_args(list(arguments)))
    asked = Question(**{name: _plain(value) for name, value in given.items()})
    if asked.ask:
        right = "needs --texts FILE and --to FILE"
        require(bool(asked.texts and asked.to), "--ask", asked.ask, right)
        return asked
    right = "needs --from FILE [FILE ...], --url URL or --scores FILE"
    require(bool(asked.files or asked.url or asked.scores), "--from", "", right)
    fine = "name" not in given or bool(NAME.fullmatch(asked.name))
    require(fine, "--name", asked.name, "needs letters, digits, . _ or -")
    require(asked.seconds > 0, "--seconds", asked.seconds, "needs seconds > 0")
    require(asked.fanout >= 1, "--fan-out", asked.fanout, "needs a number >= 1")
    step = asked.draft_step
    require(step is None or step > 0, "--draft-step", step, "needs seconds > 0")
    return asked


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _parser() -> Parser:
    parser = Parser(prog="python -m ssdsim.observe", argument_default=SUPPRESS, add_help=False)
    add = parser.add_argument
    add("--from", dest="files", nargs="+", metavar="FILE")
    add("--scores", nargs="+", metavar="FILE")
    for name in ("url", "name", "ask", "texts", "to"):
        add(f"--{name}")
    add("--seconds", type=float)
    add("--draft-step", type=float)
    add("--fan-out", type=int, dest="fanout")
    add("--json", action="store_true")
    return parser
