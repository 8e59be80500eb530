"""Reads the numbers of logs, whatever the locale of the machine that wrote them."""

import re

NUMBER = r"[-+]?(?:\d[\d.,]*\d|\d|[.,]\d+)(?:[eE][-+]?\d+)?"
"""A number in a regular expression; a comma or point behind it is not part of it."""

_GROUPS = re.compile(r"[\s'_\u00a0\u202f]")


def number(text: str) -> float:
    """Return the number that a text holds: 2.59, 2,59, 1.272,00, 1,272.00 or .9.

    A single comma is taken for a decimal one, as machines of many countries write it.
    """
    try:
        return float(text)  # as nearly all are written
    except ValueError:
        return _of_another_locale(text)


def _of_another_locale(text: str) -> float:
    bare = _GROUPS.sub("", text)
    point, comma = bare.rfind("."), bare.rfind(",")
    if point >= 0 and comma >= 0:
        grouping = "," if point > comma else "."
        return float(bare.replace(grouping, "").replace(",", "."))
    if bare.count(",") > 1:
        return float(bare.replace(",", ""))
    if bare.count(".") > 1:
        return float(bare.replace(".", ""))
    return float(bare.replace(",", "."))


def shares(text: str) -> tuple[float, ...]:
    """Return the shares of a list, in percent or not: "0.72, 0.51" or "72.0%, 51.0%"."""
    found = numbers(text.replace("%", " "))
    return tuple(n / 100 for n in found) if "%" in text or any(n > 1 for n in found) else found


def whole(text: str) -> int:
    """Return a count, with or without marks between its thousands."""
    return int(re.sub(r"[.,]", "", _GROUPS.sub("", text)))


def numbers(text: str) -> tuple[float, ...]:
    """Return the numbers of a list: "0.72, 0.51", "[0.72,0.51]" or "0,72, 0,51"."""
    separator = r"[,;\s]+" if "." in text else r"(?:,\s+|[;\s]+)"
    parts = re.split(separator, text.strip(" ()[]{}\t\r\n,;"))
    return tuple(number(part) for part in parts if re.fullmatch(NUMBER, part))
