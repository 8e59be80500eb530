"""Computes the prompts of new sequences, on all models of a session."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from simpy import Environment, Event

from ssdsim.decoding.protocol import Draft, Row, Target

Wait = Generator[Event, Any, Any]


@dataclass(frozen=True)
class PromptReader:
    """Lets targets and drafts read prompts.

    Attributes
    ----------
    env
        The clock.
    servers, drafts
        The models.
    draft_on
        Whether the drafts have their "own" devices or share the "target"'s; None: there are none.

    """

    env: Environment
    servers: Sequence[Target]
    drafts: Sequence[Draft]
    draft_on: str | None

    def take_up(self, rows: Iterable[Row]) -> None:
        """Give rows their texts; one that was preempted has its own."""
        for row in rows:
            row.ready = self.env.now
            if row.record.admitted is None:
                row.record.admitted = row.ready
            elif len(row.record.resumed_at) < row.record.preempted:  # else it was read elsewhere
                row.record.resumed_at.append(row.ready)
            self.servers[0].admit(row)

    def read(self, rows: Sequence[Row]) -> Wait:
        """Let all models compute the prompts, side by side where each has devices of its own."""
        targets = [server.prefill(rows) for server in self.servers]
        if self.draft_on == "own":
            targets += [draft.prefill(rows) for draft in self.drafts]
        yield from targets
        if self.draft_on == "target":
            yield self.drafts[0].prefill(rows)

    def drafts_read(self, rows: Sequence[Row]) -> Wait:
        """Let the drafts compute prompts that the target knows already."""
        if self.draft_on is not None:
            yield from [draft.prefill(rows) for draft in self.drafts]
