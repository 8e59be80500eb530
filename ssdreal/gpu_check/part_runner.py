"""Runs the check's parts in order, each as a command, and skips those already done."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

from ssdreal.gpu_check.part_process import Ended, carried_out
from ssdreal.gpu_check.timetable import Part, Timetable, limit
from ssdsim.errors import ConfigError
from ssdsim.system.atomic_files import write_text

STATE = "checks.json"


@dataclass(frozen=True)
class Done:
    """How a part ended: what its command returned, and the seconds it took."""

    code: int
    seconds: float


def whole(done: Mapping[str, Done]) -> set[str]:
    """Return the names of the parts that ended well: they are not run again."""
    return {name for name, one in done.items() if one.code == 0}


class PartRunner:
    """Runs parts, and remembers in a folder which are done.

    Parameters
    ----------
    folder
        Where logs and results go.
    seconds
        That all of it may take. A part that would not fit any more is left for the next time.
    timetable
        What parts are expected to take.
    clock
        In seconds.
    carry_out
        Runs a part's command: see `carried_out`.

    Attributes
    ----------
    done
        The parts that have ended well or badly, in this sitting or an earlier one. One that ended
        badly is run again.

    """

    def __init__(
        self,
        folder: Path,
        seconds: float,
        timetable: Timetable,
        clock: Callable[[], float] = monotonic,
        carry_out: Ended = carried_out,
    ) -> None:
        self.folder, self.timetable = folder, timetable
        self.clock, self.carry_out = clock, carry_out
        self.until = clock() + seconds
        folder.mkdir(parents=True, exist_ok=True)
        self.done = done_parts(folder)

    def run(
        self, parts: Sequence[Part], seconds: float = float("inf")
    ) -> Iterator[tuple[Part, Done | None]]:
        """Run what is not done yet; yield every part and how it ended, None if time was short.

        Parameters
        ----------
        parts
            In order.
        seconds
            That these may take together.

        """
        until = min(self.until, self.clock() + seconds)
        for at, part in enumerate(parts):
            if self._is_done(part):
                yield part, self.done[part.name]
                continue
            later = [other for other in parts[at + 1 :] if not self._is_done(other)]
            expected = [self.timetable.expected(each) for each in (part, *later)]
            most = limit(expected, until - self.clock())
            yield part, None if most is None else self._run(part, most)

    def _is_done(self, part: Part) -> bool:
        return part.name in whole(self.done)

    def _run(self, part: Part, most: float) -> Done:
        began = self.clock()
        code = self.carry_out(part, self.folder, most)
        self.done[part.name] = Done(code, round(self.clock() - began, 1))
        if code == 0:
            self.timetable.compiled |= part.shapes
        kept = {name: asdict(done) for name, done in self.done.items()}
        write_text(self.folder / STATE, json.dumps(kept, indent=2) + "\n")
        return self.done[part.name]


def done_parts(folder: Path) -> dict[str, Done]:
    """Return how the parts of a check have ended so far.

    Raises
    ------
    ConfigError
        What the folder holds is no check's.

    """
    path = folder / STATE
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {name: Done(**found) for name, found in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        right = f"its {STATE} is not one that this command wrote; remove it"
        raise ConfigError(f"--out={folder}: {right} ({error})") from error
