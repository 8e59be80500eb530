"""Finds the prompt in a record of a prompt file: a function for each spelling of its field.

Each is given a record and the name of one of its fields, and returns the turns up to the one that
is to be answered. A new spelling is a line in `FIELDS`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ssdsim.errors import ConfigError

Record = Mapping[str, Any]
Turn = dict[str, str]
"""With the keys `role` and `content`, as chat templates read them."""

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
}


def turns_of(record: Record) -> tuple[str, list[Turn]]:
    """Return the field that has the prompt, and the turns up to the last one of the user.

    Raises
    ------
    ConfigError
        There is no such field, or it holds something else.

    """
    field = next((name for name in FIELDS if record.get(name) is not None), None)
    if field is None:
        first, *others = FIELDS
        found = ", ".join(map(str, record)) or "none"
        raise ConfigError(f"needs a `{first}` (or {', '.join(others)}); its fields are {found}")
    turns = FIELDS[field](record, field)
    if not turns[-1]["content"].strip():
        raise ConfigError(f"has a blank `{field}`, needs a text there")
    return field, turns


def label(record: Record, own: str, other: str) -> str | None:
    """Return a name from the field `own`, or from `other` if that has one; None without either."""
    value = record.get(own)
    if not isinstance(value, str | int | None) or isinstance(value, bool):
        raise ConfigError(f"needs a `{own}` that is a text, not {kind_of(value)}")
    found = [str(each) for each in (value, record.get(other)) if isinstance(each, str | int)]
    return next((each for each in found if each.strip()), None)


def plain(record: Record, field: str) -> list[Turn]:
    """Read a text."""
    return [_user(_text(record[field], f"`{field}`"))]


def instructed(record: Record, field: str) -> list[Turn]:
    """Read an instruction, and what it is about from the field `input`."""
    about = record.get("input")
    parts = _text(record[field], f"`{field}`"), _text("" if about is None else about, "`input`")
    return [_user("\n\n".join(part for part in parts if part.strip()))]


def first_turn(record: Record, field: str) -> list[Turn]:
    """Read what the user says in turn: the first, since the others wait for an answer."""
    turns = _list(record[field], field)
    return [_user(_text(turns[0], f"first turn in `{field}`"))]


def conversation(record: Record, field: str) -> list[Turn]:
    """Read turns of both sides, up to the user's last: `role` and `content`, or `from`, `value`."""
    turns = [
        _turn(turn, f"turn {n} of `{field}`")
        for n, turn in enumerate(_list(record[field], field), 1)
    ]
    users = [at for at, turn in enumerate(turns) if turn["role"] == "user"]
    if not users:
        raise ConfigError(f"needs a turn of the user in `{field}`, to be answered")
    return turns[: users[-1] + 1]


def text_or_turns(record: Record, field: str) -> list[Turn]:
    """Read a text, or turns in either way."""
    value = record[field]
    if not isinstance(value, list):
        return plain(record, field)
    return (conversation if value and isinstance(value[0], dict) else first_turn)(record, field)


FIELDS: dict[str, Callable[[Record, str], list[Turn]]] = {
    "text": plain,
    "prompt": text_or_turns,
    "question": plain,
    "instruction": instructed,
    "turns": text_or_turns,
    "messages": conversation,
    "conversations": conversation,
    "conversation": conversation,
}
"""By name, in the order in which they are looked for."""


def kind_of(value: object) -> str:
    """Say what kind of JSON a value is."""
    names: dict[type, str] = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
    }
    return "null" if value is None else names.get(type(value), "a number")


def _user(text: str) -> Turn:
    return {"role": "user", "content": text}


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"needs a {what} that is a text, not {kind_of(value)}")
    return value


def _list(value: object, field: str) -> Sequence[Any]:
    if not isinstance(value, list) or not value:
        found = "an empty one" if value == [] else kind_of(value)
        raise ConfigError(f"needs a `{field}` that is a list of turns, not {found}")
    return value


def _turn(turn: object, what: str) -> Turn:
    if not isinstance(turn, dict):
        right = "that is an object with `role` and `content`"
        raise ConfigError(f"needs a {what} {right}, not {kind_of(turn)}")
    said = next((turn[key] for key in ("content", "value") if key in turn), None)
    by = next((turn[key] for key in ("role", "from") if key in turn), None)
    if not isinstance(by, str) or by not in ROLES:
        right = f"whose `role` (or `from`) is among {', '.join(ROLES)}"
        raise ConfigError(f"needs a {what} {right}, not {by!r}")
    return {"role": ROLES[by], "content": _content(said, what)}


def _content(said: object, what: str) -> str:
    """Return what a turn says: a text, or parts that are texts."""
    if not isinstance(said, list):
        return _text(said, f"`content` (or `value`) of {what}")
    return "".join(_part(part, what) for part in said)


def _part(part: object, what: str) -> str:
    found = part.get("text") if isinstance(part, dict) else part
    if not isinstance(found, str):
        raise ConfigError(f"has a part without `text` in {what}, only texts can be read")
    return found
