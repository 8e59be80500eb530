"""Runs the check's parts in order, each as a command, and skips those already done."""

import json
import os
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from ssdsim.errors import ConfigError
from ssdsim.system.atomic_files import write_text

STATE, PACKED = "checks.json", "gpu_check.tar.gz"
DRAWN = {"timeline.json", "timeline.png"}
"""Of a run: they follow from its tables."""

TOO_LATE = 124
"""What a command that ran out of time ends with, as `timeout` has it."""


@dataclass(frozen=True)
class Part:
    """A piece of the check.

    Attributes
    ----------
    name
        Of its log as well.
    command
        What to run.
    seconds
        That it is expected to take at most; it is stopped after twice that.

    """

    name: str
    command: Sequence[str]
    seconds: float


@dataclass(frozen=True)
class Done:
    """How a part ended: what its command returned, and the seconds it took."""

    code: int
    seconds: float


class PartRunner:
    """Runs parts, and remembers in a folder which are done.

    Parameters
    ----------
    folder
        Where logs and results go.
    seconds
        That all of it may take. A part that would not fit any more is left for the next time.
    clock
        In seconds.

    Attributes
    ----------
    done
        The parts that have ended well or badly, in this sitting or an earlier one. One that ended
        badly is run again.

    """

    def __init__(
        self, folder: Path, seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self.folder, self.clock = folder, clock
        self.until = clock() + seconds
        folder.mkdir(parents=True, exist_ok=True)
        self.done = self._kept()

    def run(self, parts: Sequence[Part]) -> Iterator[tuple[Part, Done | None]]:
        """Run what is not done yet; yield every part and how it ended, None if time was short."""
        for part in parts:
            known = self.done.get(part.name)
            if known is not None and known.code == 0:
                yield part, known
            elif part.seconds > self.until - self.clock():
                yield part, None
            else:
                yield part, self._run(part)

    def pack(self) -> Path:
        """Put this folder into one archive, without what is drawn from the rest, and return it."""
        path = self.folder / PACKED
        path.unlink(missing_ok=True)
        with tarfile.open(path, "w:gz") as archive:
            for file in sorted(self.folder.iterdir()):
                if file != path and not file.name.startswith("."):
                    archive.add(file, file.name, filter=_kept)
        return path

    def _run(self, part: Part) -> Done:
        began = self.clock()
        left = min(2 * part.seconds, self.until - began)
        with (self.folder / f"{part.name}.log").open("w") as log:
            code = _ended(part.command, log, left)
        self.done[part.name] = Done(code, round(self.clock() - began, 1))
        kept = {name: asdict(done) for name, done in self.done.items()}
        write_text(self.folder / STATE, json.dumps(kept, indent=2) + "\n")
        return self.done[part.name]

    def _kept(self) -> dict[str, Done]:
        path = self.folder / STATE
        try:
            kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            return {name: Done(**found) for name, found in kept.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            right = f"its {STATE} is not one that this command wrote; remove it"
            raise ConfigError(f"--out={self.folder}: {right} ({error})") from error


def _kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name in DRAWN else member


def _ended(command: Sequence[str], log: Any, seconds: float) -> int:
    """Run a command in a process group of its own, so that nothing of it outlasts its time."""
    process = subprocess.Popen(  # noqa: S603 - the commands are this project's own
        list(command),
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return TOO_LATE
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a command's group; it may have ended itself."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:  # Windows has no groups of processes; workers end with whoever started them
            process.kill()
    process.wait()
