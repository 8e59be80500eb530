"""The base of both proxies: sends commands to a worker process and records spans."""

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from simpy import Event

from ssdreal.channel.after_run import Clock
from ssdreal.channel.messages import Done, Prefill
from ssdreal.lanes.speculations import (
    lines_of,
)
from ssdreal.lanes.wall_clock import WallClock
from ssdreal.workers.remote import Remote
from ssdsim.decoding.protocol import Row
from ssdsim.run.tables import Span
from ssdsim.run.trace import Recorder

Part = tuple[int, int]
"""The number of a command, and which of its parts: nearly all have one alone."""


@dataclass(eq=False)
class Worker:
    """What both have in common: a remote to ask, and spans to write down.

    A worker is asked first, and what there is to write down is written while it works.

    Attributes
    ----------
    lane, device
        As spans name them.
    paces
        What its passes take: of each kind (tokens, seconds).
    closed
        Spans written down, with the numbers of the commands that they began and ended with, and
        which of the parts of these.

    """

    env: WallClock
    remote: Remote
    recorder: Recorder
    lane: str
    device: str
    paces: Mapping[str, Sequence[tuple[int, float]]]
    closed: list[tuple[Span, Part, Part]] = field(default_factory=list, init=False)

    def prefill(self, rows: Sequence[Row]) -> Event:
        """Compute the prompts, and what was decoded behind them: all but the last token of each."""
        prompts = tuple(row.record.prompt_tokens for row in rows)
        answer = self.remote.ask(Prefill, lines_of(rows), prompts=prompts)
        span = self.open("prefill", rows, self.recorder.verifies)
        span.tokens = sum(row.context for row in rows)
        return self.env.process(self._prefilled(span, answer))

    def open(self, kind: str, rows: Sequence[Row], number: int, branches: int = 0) -> Span:
        """Begin a span; `number` is the lock-step round for a batch, else the row's own."""
        alone = len(rows) == 1
        return Span(
            lane=self.lane,
            device=self.device,
            kind=kind,
            seq=rows[0].seq if alone else -1,
            seqs=None if alone else [row.seq for row in rows],
            round=rows[0].round if alone else number,
            start=self.env.now,
            end=self.env.now,
            batch=len(rows),
            branches=branches,
        )

    def close(self, span: Span, done: Done, tokens: int, since: Done | None = None) -> None:
        """Write a span down with the times that its worker took; it may begin with another work."""
        since = since or done
        span.tokens = tokens
        parts = (since.stamp.number, 0), (done.stamp.number, 0)
        self.write(span, (since.start, done.end), *parts)

    def write(self, span: Span, times: tuple[int, int], first: Part, last: Part) -> None:
        """Write a span down with its begin and end (ns), and what its worker did then."""
        span.start, span.end = map(self.env.seconds, times)
        self.recorder.spans.append(span)
        self.closed.append((span, first, last))

    def clock(self) -> Event:
        """Ask when everything ran by the device's own clock, and correct the spans' times."""
        return self.env.process(self._clocked(self.remote.ask(Clock)))

    def _prefilled(self, span: Span, answer: Event) -> Generator[Event, Any, None]:
        done = yield answer
        if done is not None:
            self.close(span, done, span.tokens)

    def _clocked(self, answer: Event) -> Generator[Event, Any, None]:
        done = yield answer
        times = {} if done is None else _by_part(done.value.commands)
        for span, first, last in self.closed:
            if first in times and last in times:
                span.start = self.env.seconds(times[first][0])
                span.end = self.env.seconds(times[last][1])

    def pace(self, work: str, tokens: int) -> float:
        """Return the seconds that a pass over so many tokens took while warming up."""
        if work not in self.paces:
            return 0.0  # the worker was lost before it could measure
        measured = np.array(self.paces[work])
        return float(np.interp(tokens, measured[:, 0], measured[:, 1]))


def _by_part(commands: Sequence[tuple[int, int, int]]) -> dict[Part, tuple[int, int]]:
    """Return begin and end (ns) of every part of every command."""
    found: dict[Part, tuple[int, int]] = {}
    seen = Counter[int]()
    for number, begin, end in commands:
        found[number, seen[number]] = begin, end
        seen[number] += 1
    return found
