"""Speculative Streaming (Bhendawade et al. 2024, arXiv 2402.11131): one model drafts for itself.

Streams beside the last layers of every verify say what may follow, so the next speculation is
there when a pass ends. Drafting takes no time, but each pass is larger.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

from ssdsim.acceptance.base import Acceptance
from ssdsim.decoding.abilities import SelfDrafting
from ssdsim.decoding.session import Session, Wait
from ssdsim.errors import require
from ssdsim.methods.base import Method


@dataclass(frozen=True)
class Streaming(Method):
    """Drafts come out of the verify pass itself.

    τ tokens a pass make the speedup τ·t_p(1) / t_p(K + 1 + streams). The acceptance source
    says how good the streams are. A prompt's pass has streams too, so the first round has a draft.

    Attributes
    ----------
    streams
        Tokens of a row that every pass computes beside the K + 1 that it verifies. A stream runs
        through the last layers alone: count it as their share of a token.

    """

    streams: int = 4
    uses: ClassVar[frozenset[str]] = frozenset({"lookahead"})
    simulated_only: ClassVar[str] = "no model here was trained with streams"

    def __post_init__(self) -> None:
        require(self.streams >= 0, "method.streams", self.streams, "needs tokens >= 0")

    def stands_for(self, acceptance: Acceptance) -> str:  # noqa: ARG002 - whatever it is
        """Return which tokens a draft's acceptance is taken for here."""
        return "the tokens of streams"

    def pass_width(self, lookahead: int, output_tokens: int) -> int:
        """Return the tokens of a row in every pass."""
        return super().pass_width(lookahead, output_tokens) + self.streams

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        target = cast("SelfDrafting", session.target)
        while rows := (yield from session.admit()):
            speculations = [target.streamed(row, session.lookahead) for row in rows]
            outcomes = yield target.verify(rows, speculations, self.streams)
            session.commit(speculations, outcomes)
