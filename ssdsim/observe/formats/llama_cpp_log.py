"""The log of a llama.cpp server: lines after every request, of older and newer releases."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, missing
from ssdsim.observe.llama_cpp_drafters import STATISTICS, Drafters
from ssdsim.observe.numbers import NUMBER, number, numbers, whole
from ssdsim.observe.servers import of_one_server
from ssdsim.observe.thinned import Thinned
from ssdsim.observe.told import TimedPass, Told, conditional_of, rates_for

ACCEPTANCE = re.compile(
    rf"draft acceptance (?P<old>rate )?= *(?P<rate>{NUMBER})%? *"
    r"\( *(?P<accepted>\d+)(?: accepted)? */ *(?P<drafted>\d+)(?: generated)?\)"
    rf"(?:, mean (?:acceptance length|len) = *(?P<tau>{NUMBER}))?"
    r"(?:, acceptance rate per position = \((?P<positions>[^)]*)\))?"
)
POSITIONS = re.compile(r"acc per pos = \((?P<positions>[^)]*)\)")
"""A line of its own in newer releases, behind the one that it belongs to."""
EVALUATED = re.compile(rf"(prompt )?eval time = *({NUMBER}) ms / *(\d+) (?:tokens|runs)")
SLOT = re.compile(r"slot +[\w.]*: id +(\d+)")
ROUNDED = 0.005
"""How far a printed mean length is from its value at most."""
ENDS = 2
"""Tokens of a request that no whole round has made."""
SHARED = ("several slots answered: a round is longer where others were decoded beside it",)
MARKS = ("draft acceptance", "statistics ")


@dataclass(frozen=True)
class LlamaCppLog:
    """Acceptance of every request, its times, and what drafting took."""

    title: ClassVar[str] = "llama.cpp server log"
    key: ClassVar[str] = "llamacpp"

    def recognises(self, source: Source) -> bool:
        """Return whether there is such a line, or one with the times of a request."""
        return any(_is_ours(line) for line in source.head)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the sums over all requests."""
        log = _Log()
        for source in sources:
            lines, others = of_one_server(source, _is_ours)
            log.mixed += others
            for line in lines:
                log.take(line)
        if not log.requests().number:
            raise missing(sources, "no line 'draft acceptance': the server does not speculate")
        return log.told()

    def says(self, told: Told) -> dict[str, Any]:
        """Return rounds, tokens a round, seconds, and those of drafting."""
        return known(
            rounds=round(told.rounds) or None,
            tau=told.tau,
            round_s=told.round_seconds,
            draft_s=told.draft_seconds,
            p=[*told.positions],
        )


def _is_ours(line: str) -> bool:
    return any(pattern.search(line) for pattern in (ACCEPTANCE, STATISTICS, EVALUATED))


@dataclass
class _Requests:
    """Sums over the lines of requests; older releases print no mean length and no positions.

    Attributes
    ----------
    number, accepted, drafted
        Requests, and tokens of theirs.
    rounds
        Rounds with a draft, of those whose line has a mean length above 1.
    without
        Requests of which it does not.
    reached
        Rounds in which at least j drafts were accepted, j = 1..K.
    located
        Rounds of which those are.
    last
        Rounds of the last request.

    """

    number: int = 0
    accepted: int = 0
    drafted: int = 0
    rounds: float = 0.0
    without: int = 0
    reached: list[float] = field(default_factory=list)
    located: float = 0.0
    last: float = 0.0

    def take(self, accepted: int, drafted: int, tau: float | None, bonuses: float) -> None:
        """Add a request; `bonuses`: its tokens but those accepted, 0 where that is not known."""
        self.last = _rounds_of(accepted, tau, bonuses)
        self.number += 1
        self.accepted += accepted
        self.drafted += drafted
        self.rounds += self.last
        self.without += not self.last

    def locate(self, rates: Sequence[float]) -> None:
        """Add the last request's rates by position, once."""
        self.reached += [0.0] * (len(rates) - len(self.reached))
        for at, rate in enumerate(rates):
            self.reached[at] += self.last * rate
        self.located += self.last if rates else 0.0
        self.last = 0.0 if rates else self.last

    @property
    def positions(self) -> tuple[float, ...]:
        """Shares of rounds with a draft in which at least j were accepted."""
        return tuple(n / self.located for n in self.reached) if self.located else ()


@dataclass
class _Log:
    """Everything that was read so far."""

    newer: _Requests = field(default_factory=_Requests)
    older: _Requests = field(default_factory=_Requests)
    drafters: Drafters = field(default_factory=Drafters)
    seconds: float = 0.0
    tokens: float = 0.0
    waiting: dict[str, tuple[float, int]] = field(default_factory=dict)
    passes: Thinned[TimedPass] = field(default_factory=Thinned)
    slots: set[str] = field(default_factory=set)
    mixed: tuple[str, ...] = ()
    read: int = 0
    unread: int = 0

    def take(self, line: str) -> None:
        """Read a line."""
        if found := EVALUATED.search(line):
            self._evaluated(found, _slot(line))
        elif found := ACCEPTANCE.search(line):
            self._acceptance(found, _slot(line))
            self.slots.update(SLOT.findall(line))
        elif found := POSITIONS.search(line):
            self.read += 1
            self.newer.locate(numbers(found["positions"]))
        elif self.drafters.take(line):
            self.read += 1
        elif any(mark in line for mark in MARKS):
            self.unread += 1

    def requests(self) -> _Requests:
        """Return the requests; a release that prints both lines has each of them twice."""
        return self.newer if self.newer.number else self.older

    def _evaluated(self, found: re.Match[str], slot: str) -> None:
        self.read += 1
        seconds, n = number(found[2]) / 1000, whole(found[3])
        if found[1]:
            self.passes.add(TimedPass(n, 0, 0, 0, seconds, 0))
        else:
            self.waiting[slot] = seconds, n

    def _acceptance(self, found: re.Match[str], slot: str) -> None:
        self.read += 1
        accepted, drafted = whole(found["accepted"]), whole(found["drafted"])
        seconds, n = self.waiting.pop(slot if slot in self.waiting else "", (0.0, 0))
        of = self.older if found["old"] else self.newer
        of.take(accepted, drafted, number(found["tau"]) if found["tau"] else None, n - accepted)
        of.locate(numbers(found["positions"] or ""))
        if n:
            self.seconds += seconds
            self.tokens += n
            rounds = max(1.0, n - accepted)
            K = drafted / rounds
            self.passes.add(TimedPass(0, 1, K + 1, K, seconds / rounds, None, rounds))

    def told(self) -> Told:
        """Return what all lines tell together."""
        of = self.requests()
        bonuses, asked = self.tokens - of.accepted, self.drafters.drafts
        drafts = (min(asked, bonuses) if self.tokens else asked) if of.without else of.rounds
        rounds = _all_rounds(drafts, bonuses, of.number)
        tau, K = (1 + of.accepted / rounds, of.drafted / rounds) if rounds else (None, None)
        covered, timed = drafts / rounds if rounds else 1.0, self.tokens and rounds
        positions = tuple(p * covered for p in of.positions or self.drafters.positions)
        return Told(
            rounds=rounds,
            lookahead=K,
            varies=K is not None and abs(K - round(K)) > 0.02 * K,
            tau=tau,
            positions=positions,
            conditional=conditional_of(positions) or (rates_for(tau, K) if tau and K else ()),
            round_seconds=self.seconds / max(rounds, bonuses - of.number) if timed else None,
            draft_seconds=self.drafters.seconds,
            requests=1.0,
            output_tokens=self.tokens / of.number if self.tokens else None,
            passes=tuple(self.passes.kept),
            suspicious=(*self.mixed, *(SHARED if len(self.slots) > 1 else ())),
            unknown=tuple(self._unknown(rounds, positions)),
            read=self.read,
            unread=self.unread,
        )

    def _unknown(self, rounds: float, positions: Sequence[float]) -> list[str]:
        said = []
        if not rounds:
            said.append("rounds: no mean length, no eval time and no statistics")
        if not positions:
            said.append("acceptance by position: this release does not print it")
        if not self.tokens:
            said.append("seconds of a round: no line 'eval time'")
        return said


def _slot(line: str) -> str:
    """Return which slot a line is of; empty in older releases, which say it in the line before."""
    found = SLOT.search(line)
    return found[1] if found else ""


def _rounds_of(accepted: int, tau: float | None, bonuses: float) -> float:
    """Return a request's rounds with a draft; 0 where there is no mean length above 1.

    That has two decimals, which for a short length are many rounds: of all that it may be, as many
    as there were tokens beside the accepted ones, if these are among them.
    """
    if not tau or tau <= 1 or not accepted:
        return 0.0
    fewest = accepted / (tau - 1 + ROUNDED)
    most = accepted / (tau - 1 - ROUNDED) if tau - 1 > ROUNDED else bonuses
    return bonuses if fewest <= bonuses <= most else round(accepted / (tau - 1))


def _all_rounds(drafts: float, bonuses: float, requests: int) -> float:
    """Return the rounds: those with a draft, and where a lookup found nothing, those without.

    A request's first token is its prefill's and its last round may be cut: so many more tokens
    than drafts make no further rounds.
    """
    return drafts if drafts and bonuses - drafts <= ENDS * requests else max(drafts, bonuses)
