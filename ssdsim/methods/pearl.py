"""PEARL (Liu et al., ICLR 2025, arXiv 2408.11850): draft and verify at the same time, in lock-step.

While the target checks a window, the draft makes the next one. Pre-verify: after a rejection there
is no window, so the target checks the first token of the one being drafted, of which it needs
nothing. Post-verify: after a full accept the draft goes on without having waited, and the target
checks what is left of its last window and the first token of its next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.methods.base import Method


@dataclass(frozen=True)
class Pearl(Method):
    """A verify and a window of drafts a step, with a barrier behind them.

    Attributes
    ----------
    window
        γ, tokens drafted beside a verify: the `lookahead`, or `adaptive`: as many as the draft has
        time for, round(draft speed / target speed), at most the lookahead.

    """

    window: Literal["lookahead", "adaptive"] = "lookahead"
    uses: ClassVar[frozenset[str]] = frozenset({"lookahead"})
    draft_on: ClassVar[Literal["own"]] = "own"
    drafts_ahead: ClassVar[bool] = True

    @property
    def timed(self) -> bool:
        """Whether what it drafts depends on how long things take."""
        return self.window == "adaptive"

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        draft, target = session.draft, session.target
        while rows := (yield from session.admit()):
            window = self._window(session, rows)
            yield from session.exchange(rows, window)
            speculations = [draft.ahead(row, len(row.ahead)) for row in rows]
            verify = target.verify(rows, speculations)
            if window:
                yield draft.run_on(rows, window)
            outcomes = yield verify
            session.commit(speculations, outcomes)

    def _window(self, session: Session, rows: Sequence[Row]) -> int:
        most = session.lookahead
        if self.window == "lookahead" or not most:
            return most
        step, verify = session.draft.step_seconds(rows), session.target.verify_seconds(rows, 0)
        return max(1, round(min(most, verify / step))) if step else most
