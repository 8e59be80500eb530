"""A pair of shapes without weights, small enough for any test."""

import json
from pathlib import Path

from ssdreal.workers.loading import load

FOLDER = Path(__file__).parent / "reference" / "shapes"
TARGET, DRAFT = (str(FOLDER / f"{role}.json") for role in ("target", "draft"))
PAIR = (f"pair.target={TARGET}", f"pair.draft={DRAFT}")
SMALL = json.loads(Path(TARGET).read_text())


def write(folder, name, **fields):
    """Write a shape like the target's, and return its path."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(SMALL | fields))
    return str(path)


def loaded():
    """Return both models."""
    return [load(name, "float32") for name in (TARGET, DRAFT)]
