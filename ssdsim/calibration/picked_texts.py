"""Texts picked from an acceptance trace, some perhaps several times, to simulate other prompts."""

from dataclasses import dataclass
from typing import ClassVar

from numpy.random import Generator

from ssdsim.acceptance.recorded import Recorded, RecordedSource
from ssdsim.sampling.settings import Sampling


@dataclass(frozen=True)
class PickedSource(RecordedSource):
    """Recorded texts behind prompts of other lengths, if these are known."""

    lengths: tuple[int, ...] = ()

    def prompt_tokens(self, seq: int) -> int | None:
        """Return the length of the prompt."""
        return self.lengths[seq] if self.lengths else super().prompt_tokens(seq)


@dataclass(frozen=True)
class Picked:
    """An acceptance trace of which some texts are taken, perhaps several times.

    Attributes
    ----------
    recorded
        The trace.
    prompts
        Whose text each sequence gets.
    lengths
        Of the prompts, in tokens; none: as those of the texts.

    """

    recorded: Recorded
    prompts: tuple[str, ...]
    lengths: tuple[int, ...] = ()
    uses: ClassVar[frozenset[str]] = Recorded.uses

    def open(self, sampling: Sampling, rng: Generator) -> RecordedSource:
        """Return the source of the texts picked; raises as `Recorded.open` does."""
        source = self.recorded.open(sampling, rng)
        texts = {text.name: text for text in source.texts}
        picked = tuple(texts[name] for name in self.prompts)
        return PickedSource(picked, source.vocabulary, source.key, source.described, self.lengths)
