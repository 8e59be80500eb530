"""Takes anchors between a validation's runs, and tells what they say of the machine a run met."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ssdreal.command.journal import Journal, plain
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdreal.profile.measured_with import Sizes
from ssdsim.calibration.fit import slowdowns
from ssdsim.calibration.machine_state import Anchor, Nearby
from ssdsim.calibration.observations import sharings
from ssdsim.calibration.prediction import Profile
from ssdsim.calibration.timings import Timing

FOLDER = "anchors/"

TOKENS = 32
"""Of an anchor's texts: as many as a profile's calibration runs have."""


@dataclass(frozen=True)
class Taken:
    """The pieces of an anchor's runs, and whether it was the first of its sitting."""

    first: bool
    pieces: list[Timing]


@dataclass
class Anchors:
    """Takes anchors, which the journal keeps in order with the runs.

    Attributes
    ----------
    calibration
        Makes their runs.
    sizes
        Of the profile's own.
    profile
        What they are compared with.
    journal
        Keeps them.
    begun
        Whether one was taken in this sitting.

    """

    calibration: CalibrationRuns
    sizes: Sizes
    profile: Profile
    journal: Journal
    begun: bool = False

    def take(self) -> None:
        """Measure how fast the machine is now.

        Raises
        ------
        RunError
            A worker was lost.

        """
        first, self.begun = not self.begun, True
        lookaheads, branches = self.sizes.lookaheads, self.sizes.branches

        def made() -> Taken:
            return Taken(first, self.calibration.anchor(lookaheads, branches))

        number = sum(map(is_anchor, self.journal.finished))
        self.journal.once(f"{FOLDER}{number}", plain(Taken), made)

    def of_sittings(self) -> dict[str, Anchor]:
        """Return the first anchor of every sitting, by name."""
        names = filter(is_anchor, self.journal.finished)
        return {name: self._anchor([name]) for name in names if self._taken(name).first}

    def before(self, run: str) -> str:
        """Return the name of the first anchor of a run's sitting; "" if there is none."""
        earlier = reversed(list(self._earlier(run)))
        return next((name for name in earlier if self._taken(name).first), "")

    def nearby(self, run: str) -> Nearby:
        """Return what anchors say of the machine that a run met."""
        first, order = self.before(run), self.journal.finished
        later = filter(is_anchor, order[order.index(run) :] if run in order else ())
        around = [*list(self._earlier(run))[-1:], *list(later)[:1]]
        if not (first and around):
            return Nearby()
        shared = slowdowns(sharings(self._pieces(around)))
        return Nearby(self._anchor([first]).state, self._anchor(around).state, shared)

    def _earlier(self, run: str) -> Iterator[str]:
        order = self.journal.finished
        return filter(is_anchor, order[: order.index(run)] if run in order else ())

    def _anchor(self, names: Sequence[str]) -> Anchor:
        return self.profile.anchor(self._pieces(names))

    def _pieces(self, names: Iterable[str]) -> list[Timing]:
        return [piece for name in names for piece in self._taken(name).pieces]

    def _taken(self, name: str) -> Taken:
        return plain(Taken).read(self.journal.file.parent / name)


def is_anchor(name: str) -> bool:
    """Return whether that is what a journal calls an anchor."""
    return name.startswith(FOLDER)
