"""What collectors of logs make of lines: records with the text in a field."""

from typing import Any

TEXT = ("log", "message", "msg", "line", "MESSAGE", "textPayload", "@message")
"""Where Docker, journald, Loki, Google's and Amazon's keep a line."""
LABELS = ("kubernetes", "labels", "stream")
POD = ("pod_name", "pod")
"""In what they say which pod of Kubernetes a line is of, and under which names."""
EVENTS = "events"
"""Where an export of Amazon's keeps its records."""


def is_wrapped(record: Any) -> bool:
    """Return whether a record is a collector's."""
    return isinstance(record, dict) and any(isinstance(record.get(name), str) for name in TEXT)


def text_of(record: Any) -> str:
    """Return the line in a record, behind its pod where that is said; empty where it has none."""
    if not is_wrapped(record):
        return ""
    text = next(text for name in TEXT if isinstance(text := record.get(name), str))
    pod = _pod(record)
    return f"{pod} | {text}" if pod else text


def _pod(record: dict[str, Any]) -> str:
    labels = (record.get(name) for name in LABELS)
    pods = (of.get(name) for of in labels if isinstance(of, dict) for name in POD)
    return next((pod for pod in pods if isinstance(pod, str)), "")
