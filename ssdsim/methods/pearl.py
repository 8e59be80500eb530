"""PEARL (Liu et al., ICLR 2025, arXiv 2408.11850): draft and verify at the same time, in lock-step.

While the target checks a window, the draft makes the next one. Pre-verify: after a rejection there
is no window, so the target checks the first token of the one being drafted, of which it needs
nothing. Post-verify: after a full accept the draft goes on without having waited, and the target
checks what is left of its last window and the first token of its next one.

Several drafts and targets (SpecActor, SGLang PR 22520) share out the rows of a batch, each kind by
itself, and the barrier is behind them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

from simpy import Event

from ssdsim.decoding.protocol import Draft, Row, Target
from ssdsim.decoding.row_shares import RowShares
from ssdsim.decoding.session import Session, Wait
from ssdsim.errors import require
from ssdsim.methods.base import Method
from ssdsim.outcomes import Outcome

ONE = "needs a number >= 1"
Worker = TypeVar("Worker")
Shares = list[tuple[Worker, list[Row]]]


@dataclass(frozen=True)
class Pearl(Method):
    """A verify and a window of drafts a step, with a barrier behind them.

    Attributes
    ----------
    window
        γ, tokens drafted beside a verify: the `lookahead`, or `adaptive`: as many as the draft has
        time for, round(draft speed / target speed), at most the lookahead.
    drafts, servers
        How many drafts, and copies of the target, share out the rows of a batch. Every copy reads
        every prompt.

    """

    window: Literal["lookahead", "adaptive"] = "lookahead"
    drafts: int = 1
    servers: int = 1
    uses: ClassVar[frozenset[str]] = frozenset({"lookahead"})
    draft_on: ClassVar[Literal["own"]] = "own"
    drafts_ahead: ClassVar[bool] = True

    @property
    def timed(self) -> bool:
        """Whether what it drafts depends on how long things take."""
        return self.window == "adaptive"

    def __post_init__(self) -> None:
        for name in ("drafts", "servers"):
            require(getattr(self, name) >= 1, f"method.{name}", getattr(self, name), ONE)

    @property
    def simulated_only(self) -> str:
        """Why no real models can run it here; empty where they can."""
        return "real runs have one draft and one target" if self.drafts + self.servers > 2 else ""

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        drafts, servers = RowShares(session.drafts), RowShares(session.servers)
        while rows := (yield from session.admit()):
            drafting, verifying = drafts.of(rows), servers.of(rows)
            window = self._window(session, drafting, verifying)
            yield from _exchange(drafting, window)
            verifies = [_Verify(server, share, session.draft) for server, share in verifying]
            if window:
                yield from _all([draft.run_on(share, window) for draft, share in drafting])
            outcomes = yield from _all([verify.done for verify in verifies])
            for verify, ended in zip(verifies, outcomes, strict=True):
                verify.end(session, ended)
            session.retire()

    def _window(self, session: Session, drafting: Shares[Draft], verifying: Shares[Target]) -> int:
        most = session.lookahead
        if self.window == "lookahead" or not most:
            return most
        step = max(draft.step_seconds(share) for draft, share in drafting)
        verify = max(server.verify_seconds(share, 0) for server, share in verifying)
        return max(1, round(min(most, verify / step))) if step else most


class _Verify:
    """What a target checks: of each of its rows all that is drafted past the committed tokens."""

    def __init__(self, server: Target, rows: list[Row], draft: Draft) -> None:
        self.server, self.rows = server, rows
        self.speculations = [draft.ahead(row, len(row.ahead)) for row in rows]
        self.done = server.verify(rows, self.speculations)

    def end(self, session: Session, outcomes: Sequence[Outcome]) -> None:
        """End its rows' rounds."""
        for row, speculation, outcome in zip(self.rows, self.speculations, outcomes, strict=True):
            session.end(row, speculation, outcome, self.server)


def _exchange(drafting: Shares[Draft], window: int) -> Wait:
    messages = [draft.exchange(share, window) for draft, share in drafting]
    yield from _all([message for message in messages if message is not None])


def _all(events: Sequence[Event]) -> Wait:
    """Wait for all of them; the value is what they came to, in order."""
    for event in events:  # noqa: UP028 - an event's value cannot be sent to a list
        yield event
    return [event.value for event in events]
