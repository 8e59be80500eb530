"""What is to be decoded: a user's turns, as tokens."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdsim.errors import ConfigError, require
from ssdsim.options.plugins import CONF

DEFAULT = CONF / "prompts" / "default.jsonl"


@dataclass(frozen=True)
class Workload:
    """A closed workload: all prompts wait from the start.

    Attributes
    ----------
    prompts
        How many: the first ones of the file.
    output_tokens
        Tokens to decode for each.
    stop_at_end
        Whether a token that ends the text ends the sequence.
    prompt_tokens
        Of each, in a scripted run whose acceptance source brings no prompts of its own.

    """

    prompts: int = 8
    output_tokens: int = 64
    stop_at_end: bool = False
    prompt_tokens: int = 128

    def __post_init__(self) -> None:
        for name in ("prompts", "output_tokens", "prompt_tokens"):
            value = getattr(self, name)
            require(value >= 1, f"workload.{name}", value, "needs a number >= 1")


@dataclass(frozen=True)
class Prompt:
    """One prompt: its name, its kind, and its text."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class Task:
    """A prompt made ready: name, kind, and token ids."""

    name: str
    kind: str
    tokens: Sequence[int]


def read_prompts(file: str | None, count: int) -> list[Prompt]:
    """Return the first `count` prompts of a file; None: of the project's own set.

    A line a prompt: a JSON object with `text`, and perhaps `name` and `kind`; or plain text.

    Raises
    ------
    ConfigError
        The file cannot be read or holds too few prompts.

    """
    path = Path(file) if file else DEFAULT
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ConfigError(f"prompts={file}: cannot be read ({reason})") from error
    right = f"{path.name} holds {len(lines)}"
    require(count <= len(lines), "workload.prompts", count, right)
    return [_prompt(path.name, number, line) for number, line in enumerate(lines[:count], 1)]


def _prompt(file: str, number: int, line: str) -> Prompt:
    if not line.lstrip().startswith("{"):
        return Prompt(f"line {number}", "own", line)
    try:
        content = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"prompts={file}: line {number} is not valid JSON ({error})") from error
    text = content.get("text")
    if not isinstance(text, str) or not text:
        raise ConfigError(f"prompts={file}: line {number} needs a `text`")
    name, kind = content.get("name", f"line {number}"), content.get("kind", "own")
    return Prompt(str(name), str(kind), text)
