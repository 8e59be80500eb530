"""Packs what a check is to bring back: one archive of what is small, one of what was compiled."""

import tarfile
from pathlib import Path

from ssdreal.gpu_check.part_process import CACHES

PACKED, COMPILED = "gpu_check.tar.gz", "caches.tar.gz"
DRAWN = {"timeline.json", "timeline.png"}
"""Of a run: they follow from its tables."""

QUICKLY = 1
"""Level of compression: seconds count."""


def pack(folder: Path) -> Path:
    """Put a check's folder into one archive, without what is drawn from the rest, and return it."""
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    left_out = {PACKED, COMPILED, CACHES}
    return _packed(folder / PACKED, [file for file in files if file.name not in left_out])


def pack_caches(folder: Path) -> Path | None:
    """Put what was compiled into an archive, and return it; None if nothing was."""
    caches = folder / CACHES
    return _packed(folder / COMPILED, [caches]) if caches.is_dir() else None


def _packed(path: Path, files: list[Path]) -> Path:
    path.unlink(missing_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=QUICKLY) as archive:
        for file in files:
            archive.add(file, file.name, filter=_kept)
    return path


def _kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name in DRAWN else member
