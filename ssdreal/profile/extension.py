"""Adds a sitting to a profile that is there: its times in another hour, the same texts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from ssdreal.profile.measured_with import measured_with
from ssdsim.acceptance.trace_file import INFO
from ssdsim.calibration.fit import Calibration
from ssdsim.calibration.profile_file import FILE, TIMINGS, profile_text
from ssdsim.calibration.timings import Timing, from_table, to_table
from ssdsim.run.results import provenance
from ssdsim.system.atomic_files import replacing


def first_visit(folder: Path) -> int:
    """Return the number of the first visit of a sitting that is added."""
    return 1 + max(piece.visit for piece in from_table(pq.read_table(folder / TIMINGS)))


def extend(folder: Path, pieces: Sequence[Timing]) -> None:
    """Add the pieces of a sitting, and fit the machine to all sittings.

    Raises
    ------
    ConfigError
        There is no profile.

    """
    before, info = measured_with(folder)
    made, text = provenance()["created_at"], (folder / FILE).read_text(encoding="utf-8")
    everything = [*from_table(pq.read_table(folder / TIMINGS)), *pieces]
    hours = [*(before.sittings or [info["created_at"]]), made]
    calibration = Calibration(everything, info["padding"], info.get("shared", False))
    sections: dict[str, Any] = yaml.safe_load(text)
    sections.pop("latency")
    notes = [*_notes(text), f"Another sitting on {made[:10]}."]
    with replacing(folder) as whole:
        pq.write_table(to_table(everything), whole(TIMINGS), compression="zstd")
        content = json.dumps({**info, "sittings": hours}, indent=1) + "\n"
        whole(INFO).write_text(content, encoding="utf-8")
        profile = profile_text(calibration, sections, notes)
        whole(FILE).write_text(profile, encoding="utf-8")


def _notes(text: str) -> list[str]:
    """Return the lines at the head of a profile, up to what its fit is worth."""
    head, _, _ = text.partition("\n#\n")
    return [line.removeprefix("# ") for line in head.splitlines()]
