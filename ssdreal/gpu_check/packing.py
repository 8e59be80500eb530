"""Packs what a check is to bring back: one archive of what is small, one of what was compiled."""

import tarfile
from pathlib import Path

from ssdreal.gpu_check.part_process import CACHES, WORKERS
from ssdsim.run.run_directory import DRAWN

PACKED, COMPILED = "gpu_check.tar.gz", "caches.tar.gz"
QUICKLY = 1
"""Level of compression: seconds count."""


def pack(folder: Path) -> Path:
    """Put a check's folder into one archive, without what is drawn from the rest, and return it."""
    there = {file.name: file for file in folder.iterdir() if not file.name.startswith(".")}
    kept = sorted(there.keys() - {PACKED, COMPILED, CACHES, WORKERS})
    logs = sorted((folder / WORKERS).glob("*.log"))
    return _packed(folder, PACKED, [*(there[name] for name in kept), *logs])


def pack_caches(folder: Path) -> Path | None:
    """Put what was compiled into an archive, and return it; None if nothing was."""
    caches = folder / CACHES
    return _packed(folder, COMPILED, [caches]) if caches.is_dir() else None


def _packed(folder: Path, name: str, files: list[Path]) -> Path:
    path = folder / name
    path.unlink(missing_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=QUICKLY) as archive:
        for file in files:
            archive.add(file, str(file.relative_to(folder)), filter=_kept)
    return path


def _kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name in DRAWN else member
