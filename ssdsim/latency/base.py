"""The interface of latency models: the seconds of a pass of one model on its devices."""

from typing import Literal, Protocol, Self, runtime_checkable

Pass = Literal["prefill", "verify", "step", "glue", "tree", "fill"]
"""The passes of a model.

verify: the target over K+1 tokens a row. step: the draft, one token a row. glue: the draft over
bonus + K tokens a row, which gives the K+1 distributions that outcomes are predicted from. tree:
one draft step over all branches. fill: a draft forward that only puts its last token in the cache
(K+1 forwards for K drafts, as the SSD authors' engine does for ordinary speculation).
"""


@runtime_checkable
class Latency(Protocol):
    """Service times of one model on its devices, running alone."""

    @property
    def devices(self) -> int:
        """Devices this model is spread over."""
        ...

    def seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:
        """Return the seconds of one pass.

        Parameters
        ----------
        work
            Which pass.
        batch
            Rows (sequences) in the pass.
        tokens
            Tokens computed in the pass, all rows together.
        context
            Tokens already in a row's cache, mean over the rows.

        Raises
        ------
        ConfigError
            The model does not cover these arguments.

        """
        ...

    def spread(self, devices: int) -> Self | None:
        """Return the same model over that many devices; None where this model cannot tell."""
        ...


def block_of(latency: Latency) -> int:
    """Return how many tokens of a chain a drafting pass makes (DFlash, P-EAGLE): 1 by default.

    A "step" or "tree" pass then computes so many tokens a row or branch, and its seconds are those
    of all of them.
    """
    block: int = getattr(latency, "block", 1)
    return block


def reads_context(latency: Latency) -> bool:
    """Return whether a model's seconds may depend on the context: not if it says so itself."""
    return getattr(latency, "reads_context", True)
