"""A draft weaker than the source's: it loses a share of the tokens that would be accepted."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from numpy.random import Generator

from ssdsim.acceptance.base import Text
from ssdsim.outcomes import Speculation, Speculator


class WeakerDraftText:
    """A text as the source has it, with a draft that errs more often than the source's.

    At every position the draft errs with chance `loss()`, whatever the source's draft does there.
    What is committed stays the source's text; confidences and candidates stay its draft's.

    Parameters
    ----------
    text
        The source's.
    loss
        The chance, in the round under way.
    rng
        Of this text's errors.

    """

    def __init__(self, text: Text, loss: Callable[[], float], rng: Generator) -> None:
        self.text, self.loss, self.rng = text, loss, rng
        self.lucks: list[float] = []
        self.own: Speculation | None = None

    @property
    def history(self) -> Sequence[int]:
        """Prompt and committed token ids."""
        return self.text.history

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Let the draft continue, up to its own first error or the source's."""
        whole = self.own = self.text.speculate(length, speculator)
        assert whole.truth is not None
        kept = self._kept(whole.truth.node)
        if kept == whole.truth.node:
            return whole
        # The target ends such a round with its own token, as it does a chain that is fine so far.
        self.own = self.text.speculate(kept, speculator)
        wrong = (*whole.tokens[:kept], -1, *whole.tokens[kept + 1 :]) if whole.tokens else ()
        return replace(whole, tokens=wrong, truth=self.own.truth)

    def propose(self, tokens: Sequence[int], length: int) -> Speculation:
        """Leave a backup's proposal to the source."""
        self.own = self.text.propose(tokens, length)
        return self.own

    def commit(self, speculation: Speculation, delivered: int) -> Sequence[int]:  # noqa: ARG002
        """Grow the source's text."""
        assert self.own is not None
        self.lucks.clear()
        return self.text.commit(self.own, delivered)

    def _kept(self, accepted: int) -> int:
        """Return how many tokens come before an error; the luck of a round is drawn once."""
        while len(self.lucks) < accepted:
            self.lucks.append(self.rng.random())
        loss = self.loss()
        return next((k for k, luck in enumerate(self.lucks[:accepted]) if luck < loss), accepted)
