"""The log of an SGLang server: a line every few decode steps, and one a prefill."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, mean, median, missing
from ssdsim.observe.numbers import NUMBER, number
from ssdsim.observe.servers import of_one_server
from ssdsim.observe.sglang_rates import lookahead_of
from ssdsim.observe.thinned import Thinned
from ssdsim.observe.told import TimedPass, Told, rates_for

DECODE, PREFILL = re.compile(r"Decode (?:rank )?batch"), re.compile(r"Prefill batch")
LENGTH = re.compile(rf"accept[ _]len(?:gth)?\s*[:=]\s*({NUMBER})")
RATE = re.compile(rf"accept[ _]rate\s*[:=]\s*({NUMBER})")
RUNNING = re.compile(r"#running-req\s*[:=]\s*(\d+)")
THROUGHPUT = re.compile(rf"gen throughput \(token/s\)\s*[:=]\s*({NUMBER})")
TOKENS = re.compile(r"#(?:full )?token\s*[:=]\s*(\d+)")
USAGE = re.compile(rf"(?:full )?token usage\s*[:=]\s*({NUMBER})")
RANK = re.compile(r"\b(DP\d+)?\s*(TP\d+)")
STEPS = re.compile(r"speculative.num.steps['\"]?\s*[=: ]\s*(\d+)")
NODES = re.compile(r"speculative.num.draft.tokens['\"]?\s*[=: ]\s*(\d+)")
EVERY = re.compile(r"decode.log.interval['\"]?\s*[=: ]\s*(\d+)")
USUAL_EVERY = 40
RATE_IS_PRECISE, APART = 0.2, 0.15
"""Rates have two decimals: below, a line alone does not tell K."""


@dataclass(frozen=True)
class SglangLog:
    """Decode lines that tell how long accepted chains are."""

    title: ClassVar[str] = "SGLang server log"
    key: ClassVar[str] = "sglang"

    def recognises(self, source: Source) -> bool:
        """Return whether there is a decode line with its load."""
        return any(DECODE.search(line) and RUNNING.search(line) for line in source.head)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return tokens and seconds a round over all decode lines."""
        log = _Log()
        for source in sources:
            log.prefilled.clear()
            lines, others = of_one_server(source, DECODE.search)
            log.mixed += others
            for line in lines:
                log.take(line)
        if not log.rounds.kept:
            raise missing(
                sources, "no decode line has an accept len: the server does not speculate"
            )
        return log.told()

    def says(self, told: Told) -> dict[str, Any]:
        """Return tokens and seconds a round."""
        return known(log_round_s=told.round_seconds, log_tau=told.tau, log_K=told.lookahead)


@dataclass(frozen=True)
class _Line:
    """A decode line; `after_prefill`: a prefill of the same engine came before it."""

    requests: int
    tau: float
    rate: float | None
    seconds: float | None
    context: float | None
    usage: float | None
    after_prefill: bool


@dataclass
class _Log:
    """Everything that was read so far."""

    prefilled: set[str] = field(default_factory=set)
    ranks: dict[str, str] = field(default_factory=dict)
    rounds: Thinned[_Line] = field(default_factory=Thinned)
    steps: int | None = None
    nodes: int | None = None
    every: int = USUAL_EVERY
    mixed: tuple[str, ...] = ()
    read: int = 0
    unread: int = 0

    def take(self, line: str) -> None:
        """Read a line."""
        engine, again = self._engine(line)
        if DECODE.search(line):
            if not again:
                self._decode(line, engine)
        elif PREFILL.search(line):
            self.prefilled.add(engine)
            self.read += 1
        elif "speculative" in line:
            self.steps = _whole(STEPS, line) or self.steps
            self.nodes = _whole(NODES, line) or self.nodes
            self.every = _whole(EVERY, line) or self.every

    def _engine(self, line: str) -> tuple[str, bool]:
        """Return which engine speaks, and whether another rank of it says the same."""
        found = RANK.search(line)
        if not found:
            return "", False
        engine, rank = found[1] or "", found[2]
        return engine, self.ranks.setdefault(engine, rank) != rank

    def _decode(self, line: str, engine: str) -> None:
        running, length = RUNNING.search(line), LENGTH.search(line)
        after = engine in self.prefilled
        self.prefilled.discard(engine)
        if not running or not length:
            self.unread += "accept" in line
            return
        self.read += 1
        b, tau, speed = int(running[1]), number(length[1]), THROUGHPUT.search(line)
        g = number(speed[1]) if speed else 0.0
        if not b or tau < 1:
            return
        usage, context, rate = USAGE.search(line), TOKENS.search(line), RATE.search(line)
        self.rounds.add(
            _Line(
                b,
                tau,
                _share(number(rate[1])) if rate else None,
                b * tau / g if g else None,
                float(context[1]) if context else None,
                number(usage[1]) if usage else None,
                after,
            )
        )

    def told(self) -> Told:
        """Return what all lines tell together."""
        of = self.rounds.kept
        away = [one for one in of if one.seconds and not one.after_prefill]
        timed = away or [one for one in of if one.seconds]
        weights = [float(one.requests) for one in of]
        tau = mean([one.tau for one in of], weights)
        K = float(self.steps) if self.steps else self._lookahead(of)
        busy = [float(one.requests) for one in timed]
        shares = [(one.usage / one.requests, float(one.requests)) for one in of if one.usage]
        return Told(
            rounds=sum(weights) * self.every * self.rounds.stride,
            lookahead=K,
            tau=tau,
            conditional=rates_for(tau, K) if tau and K else (),
            round_seconds=median([one.seconds or 0.0 for one in timed], busy),
            requests=mean(busy),
            kv_per_request=mean([s for s, _ in shares], [n for _, n in shares]),
            passes=tuple(self._passes(timed, K)),
            suspicious=(
                *self.mixed,
                *_suspicious(timed, away, self.nodes, self.steps),
                *_changing(of, K),
            ),
            unknown=tuple(_unknown(K)),
            read=self.read,
            unread=self.unread,
        )

    def _lookahead(self, of: Sequence[_Line]) -> float | None:
        return lookahead_of([(one.tau, one.rate) for one in of if one.rate])

    def _passes(self, of: Sequence[_Line], lookahead: float | None) -> list[TimedPass]:
        K = lookahead or 0.0
        nodes = self.nodes or K + 1
        return [
            TimedPass(0, o.requests, o.requests * nodes, K, o.seconds, o.context, float(self.every))
            for o in of
            if o.seconds and lookahead
        ]


def _suspicious(
    timed: Sequence[_Line], away: Sequence[_Line], nodes: int | None, steps: int | None
) -> tuple[str, ...]:
    said = []
    if timed and not away:
        said.append("every decode line comes after a prefill: rounds may look longer than they are")
    if nodes and steps and nodes > steps + 1:
        said.append(f"a tree of {nodes} nodes: taken for a chain of {steps} that accepts as much")
    return tuple(said)


def _unknown(lookahead: float | None) -> Iterator[str]:
    yield "acceptance by position: the log has its mean alone"
    if not lookahead:
        yield "K: no accept rate that tells it, and no line with the server's arguments"


def _changing(of: Sequence[_Line], lookahead: float | None) -> list[str]:
    """Return what to say where lengths and rates of some lines belong to another K."""
    if not lookahead:
        return []
    ratios = [one.tau / one.rate for one in of if one.rate and one.rate >= RATE_IS_PRECISE]
    usual = median(ratios, [1.0] * len(ratios)) or 1.0
    others = sum(abs(ratio / usual - 1) > APART for ratio in ratios)
    return [f"K: {others} lines have another than {lookahead:.0f}"] if others else []


def _share(rate: float) -> float:
    return rate / 100 if rate > 1 else rate


def _whole(pattern: re.Pattern[str], line: str) -> int | None:
    found = pattern.search(line)
    return int(found[1]) if found else None
