"""What collectors of logs make of lines: records with the text in a field."""

from typing import Any

TEXT = ("log", "message", "msg", "line", "MESSAGE", "textPayload", "@message")
"""Where Docker, journald, Loki, Google's and Amazon's keep a line."""
EVENTS = "events"
"""Where an export of Amazon's keeps its records."""


def is_wrapped(record: Any) -> bool:
    """Return whether a record is a collector's."""
    return isinstance(record, dict) and any(isinstance(record.get(name), str) for name in TEXT)


def text_of(record: Any) -> str:
    """Return the line in a record; empty where it has none."""
    if not is_wrapped(record):
        return ""
    return next(text for name in TEXT if isinstance(text := record.get(name), str))
