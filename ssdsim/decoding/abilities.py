"""What some workers can besides: stop, speak in mid-verify, draft for themselves, ..."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from simpy import Event

from ssdsim.decoding.protocol import Draft, Row, Target
from ssdsim.outcomes import Speculation


@dataclass(frozen=True)
class Prompts:
    """Prompt tokens of some rows, to be computed in one pass.

    Attributes
    ----------
    rows
        Whose.
    counts
        How many of each.
    cached
        How many tokens of each are in the cache already.
    computed
        Called when the pass ends.

    """

    rows: Sequence[Row]
    counts: Sequence[int]
    cached: Sequence[int]
    computed: Callable[[], None]

    @property
    def tokens(self) -> int:
        """All of them."""
        return sum(self.counts)


class MixingTarget(Target, Protocol):
    """A target that computes prompts along with a verify, as simulated ones do."""

    riding: Prompts | None

    def carry(self, prompts: Prompts) -> None:
        """Compute these prompt tokens in the pass of the next verify."""
        ...

    def read(self, prompts: Prompts) -> Event:
        """Compute these prompt tokens in a pass of their own."""
        ...


class StoppableTarget(Target, Protocol):
    """A target that leaves a verify unfinished, as simulated ones do."""

    def cancel(self) -> None:
        """Give up the verify in flight."""
        ...


class OutspokenTarget(Target, Protocol):
    """A target that speaks in mid-verify."""

    def speak(
        self, rows: Sequence[Row], speculations: Sequence[Speculation], share: float
    ) -> Event:
        """Tell the draft what it takes for likely once this share of the verify in flight is done.

        The value is the speculations with their `early`, where anything is known of that.
        """
        ...

    def spoken_seconds(self, rows: Sequence[Row], lookahead: int, share: float) -> float:
        """Return after how many seconds of a verify it is expected to speak."""
        ...


class SelfDrafting(Target, Protocol):
    """A target that also says what may follow, as simulated ones do."""

    def guess(self, row: Row, length: int, seen: int) -> Speculation:
        """Return its guesses in a block of Jacobi iteration; see `acceptance.base.Text.guess`."""
        ...

    def streamed(self, row: Row, length: int) -> Speculation:
        """Return what the streams beside its last pass drafted."""
        ...

    def relax(
        self, row: Row, hypothesis: Speculation, passes: Callable[[], bool]
    ) -> tuple[int, int]:
        """Accept a draft of all that is left; `passes` decides on tokens unlike its own.

        Returns how many tokens pass, and how many of those are unlike its own.
        """
        ...

    def used(self, tokens: int) -> None:
        """Count tokens of the last pass as delivered."""
        ...

    def verify(
        self, rows: Sequence[Row], speculations: Sequence[Speculation], beside: int = 0
    ) -> Event:
        """Verify in a pass that computes `beside` more tokens a row."""
        ...


class StoppableDraft(Draft, Protocol):
    """A draft that stops before it has all it was asked for, as simulated ones do."""

    def cancel(self, rows: Sequence[Row]) -> None:
        """Give up what is being drafted; what these rows have already stays."""
        ...


class PacedDraft(Draft, Protocol):
    """A draft that says how deep it comes in time."""

    def steps_within(
        self, seconds: float, rows: Sequence[Row], branches: int, lookahead: int
    ) -> int:
        """Return how many steps of so many branches it does in `seconds`, `lookahead` at most."""
        ...


class CuttableDraft(Draft, Protocol):
    """A draft whose speculations may be verified in part, as simulated ones' are."""

    def nodes(self, levels: int) -> int:
        """Return the tokens of a speculation of so many levels."""
        ...

    def beginning(self, row: Row, speculation: Speculation, levels: int) -> Speculation:
        """Return the first levels of what it drafted or adopted."""
        ...

    def tree_seconds(self, rows: Sequence[Row], branches: int, lookahead: int) -> float:
        """Return the expected seconds of drafting so many branches of all rows, whole."""
        ...


class SearchingDraft(Draft, Protocol):
    """A draft whose layers are chosen while it serves, as simulated ones' are."""

    def search(self, row: Row, tokens: int) -> Event:
        """Run the draft over `tokens` tokens of a row's text at once, to see how good it is."""
        ...
