"""What ssdsim makes of a course: every contender predicted, and SSD with less contention."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdreal.benching.course import Course
from ssdreal.benching.grid import Simulated
from ssdreal.benching.prediction import Prediction, predict
from ssdreal.benching.recording import record_texts
from ssdreal.benching.search import describe
from ssdreal.benching.stand import Measured, Stand
from ssdreal.record import Spoken

SHARINGS = (1.0, 0.5, 0.0)


@dataclass(frozen=True)
class Shared:
    """Simulated tokens/s with so much of the measured contention.

    Attributes
    ----------
    share
        1: as measured; 0: none, as on two devices that share no memory.
    sd, ssd
        Of SD, which never feels it, and of SSD at the settings that contended.
    settings, best
        The settings of SSD that are then the best, and their tokens/s.

    """

    share: float
    sd: float
    ssd: float
    settings: str
    best: float


@dataclass(frozen=True)
class Forecast:
    """Simulates what a course ran.

    Attributes
    ----------
    course
        With its runs.
    seed
        Of the runs' noise.
    folder
        For acceptance traces.

    """

    course: Course
    seed: int
    folder: Path

    def predictions(self) -> dict[str, Prediction]:
        """Return what ssdsim says of every contender, over the texts that it decoded."""
        return {name: self._predicted(name) for name in self.course.entries}

    def sharing(self) -> list[Shared]:
        """Return SD and SSD with all of the measured contention, and with less."""
        return [self._shared(share) for share in SHARINGS]

    def _shared(self, share: float) -> Shared:
        course = self.course
        places, count = course.topology.places("own"), len(course.stand.tasks)
        trace = self._trace("sd")
        simulated = Simulated(course.grid, course.base, places, trace, count, share)
        options, speed = simulated.best(len(course.few.tasks))
        return Shared(
            share,
            sd=self._predicted("sd", share).tokens_per_s,
            ssd=self._predicted("ssd", share).tokens_per_s,
            settings=describe(options.setup(course.base)),
            best=speed,
        )

    def _predicted(self, name: str, share: float = 1.0) -> Prediction:
        entry, count = self.course.entries[name], len(self.course.stand.tasks)
        return predict(entry.contender, entry.figures, self._trace(name), count, share)

    def _trace(self, name: str) -> str:
        """Return the acceptance trace of what a contender decoded first; written once.

        A contender without a draft accepts nothing, so that any texts of this length will do.
        """
        if not self.course.entries[name].contender.setup.drafted:
            name = "sd"
        folder = self.folder / name
        if not folder.exists():
            self._record(name, folder)
        return str(folder)

    def _record(self, name: str, folder: Path) -> None:
        course, entry = self.course, self.course.entries[name]
        sitting, decoding = course.stand.sitting, entry.contender.setup.decoding
        models = (sitting.pair.target, sitting.pair.draft, sitting.dtype)
        texts = _texts(entry.runs[0], course.stand)
        course.helper.call(record_texts, str(folder), models, texts, decoding, self.seed)


def _texts(measured: Measured, stand: Stand) -> Sequence[Spoken]:
    outputs = measured.run.tables["sequences"]["output"].to_pylist()
    return [
        Spoken(seq, task.name, task.kind, tuple(task.tokens), tuple(output))
        for seq, (task, output) in enumerate(zip(stand.tasks, outputs, strict=True))
    ]
