"""The log of a vLLM server: lines every ten seconds, and a line an iteration where asked for."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ssdsim.observe.beats import Beat
from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, mean, median, missing
from ssdsim.observe.numbers import NUMBER, number, whole
from ssdsim.observe.servers import of_one_server
from ssdsim.observe.thinned import Thinned
from ssdsim.observe.told import TimedPass, Told
from ssdsim.observe.vllm_intervals import (
    ALIKE,
    Interval,
    Load,
    conditional,
    drafts_of,
    fields_of,
    pooled,
    positions_in,
)
from ssdsim.observe.vllm_iterations import ITERATION, disbelief, pass_of
from ssdsim.observe.vllm_v0 import V0, StageTimes, V0Counts

ENGINE = re.compile(r"Engine (\d+):")
AGGREGATED = re.compile(r"(\d+) Engines? Aggregated:")
LOAD = re.compile(
    rf"prompt throughput: ({NUMBER}) tokens/s, Avg generation throughput: ({NUMBER}) tokens/s, "
    rf"Running: (\d+) reqs?.*?(?:GPU )?KV cache usage: ({NUMBER})%"
)
SPECULATION = re.compile(r"Spec(?:Decoding|ulative) metrics: (.*)")
CAPACITY = re.compile(r"KV cache size: ([\d.,']+) tokens")
CONFIGURED = re.compile(r"num_spec(?:ulative)?_tokens['\"]?\s*[=:]\s*(\d+)")
DATA_PARALLEL = re.compile(r"EngineCore_DP(\d+)")
MARKS = ("SpecDecoding metrics", "Iteration(", "Speculative metrics")
THROUGHPUT = "Avg generation throughput"
WORDS = (*MARKS, "Running: ", "stage times", "cache size", "num_spec")
"""One of them is in every line that is read."""
QUIET = 0.02
"""Prompt tokens over all tokens of an interval, below which rounds were hardly held up."""


@dataclass(frozen=True)
class VllmServerLog:
    """Intervals of V1 or V0, and iteration details."""

    title: ClassVar[str] = "vLLM server log"
    key: ClassVar[str] = "vllm_server.log"

    def recognises(self, source: Source) -> bool:
        """Return whether the log tells of speculation, iterations, or its load alone."""
        return any(_is_ours(line) for line in source.head)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the rates over all intervals, and every iteration's seconds."""
        log = _Log()
        for source in sources:
            log.engines.clear()
            lines, others = of_one_server(source, _is_ours)
            log.mixed += others
            for line in lines:
                log.take(line)
        if log.v0.counts.of_several:
            raise missing(sources, "counters of two servers in turns: needs the log of one")
        told = log.told()
        if not told.rounds and not told.passes:
            why = "no interval with drafts, and no iteration with its time: does it speculate?"
            raise missing(sources, "; ".join((why, *log.disbelieved(None))))
        return told

    def says(self, told: Told) -> dict[str, Any]:
        """Return K, tokens and seconds a round, rounds a second, and iterations."""
        K, seconds, requests = told.lookahead, told.round_seconds, told.requests
        timed = [p for p in told.passes if p.weight == 1]
        return known(
            K=K,
            tau=told.tau,
            p=[*told.positions],
            rounds_s=requests / seconds if requests and seconds else None,
            round_s=seconds,
            kv_per_request=told.kv_per_request,
            iterations=[
                [int(p.prompt_tokens), int(p.requests), int(p.tokens), p.seconds] for p in timed
            ],
        )


def _is_ours(line: str) -> bool:
    if not any(mark in line for mark in (*MARKS, THROUGHPUT)):
        return False
    return any(pattern.search(line) for pattern in (SPECULATION, ITERATION, V0, LOAD))


@dataclass
class _Log:
    """Everything that was read so far."""

    engines: dict[str, Load] = field(default_factory=dict)
    load: Load | None = None
    beats: dict[str, Beat] = field(default_factory=dict)
    before: str = ""
    intervals: Thinned[Interval] = field(default_factory=Thinned)
    iterations: Thinned[TimedPass] = field(default_factory=Thinned)
    shares: Thinned[tuple[float, float]] = field(default_factory=Thinned)
    v0: V0Counts = field(default_factory=V0Counts)
    stages: StageTimes = field(default_factory=StageTimes)
    capacity: float | None = None
    configured: int | None = None
    context: float | None = None
    mixed: tuple[str, ...] = ()
    read: int = 0
    unread: Counter[str] = field(default_factory=Counter)

    def take(self, line: str) -> None:
        """Read a line."""
        if not any(word in line for word in WORDS):
            return  # as most lines of a busy server: expressions take ten times as long
        if found := ITERATION.search(line):
            self.read += 1
            self.iterations.add(pass_of(found, self.capacity, self.context))
        elif found := LOAD.search(line):
            self._load(line, found)
        elif self.v0.take(line) or self.stages.take(line):
            self.read += 1
        elif found := SPECULATION.search(line):
            self._speculation(line, found[1])
        elif found := CAPACITY.search(line):
            self.capacity = float(whole(found[1]))
        elif found := CONFIGURED.search(line):
            self.configured = int(found[1])
        elif any(mark in line for mark in MARKS) and "(dummy)" not in line:
            self.unread["lines"] += 1

    def _load(self, line: str, found: re.Match[str]) -> None:
        self.read += 1
        if line != self.before:  # else a log that was written twice
            self.beats.setdefault(_engine(line), Beat()).add(line)
        self.before = line
        together = AGGREGATED.search(line)
        n = max(1, int(together[1])) if together else 1
        prompts, tokens, running, used = map(number, found.groups())
        self.load = Load(prompts / n, tokens / n, running / n, used / 100, n)
        self.engines[_engine(line)] = self.load
        if running and used:
            self.shares.add((self.load.used, self.load.running))
        if self.capacity:
            self.context = self.load.used * self.capacity

    def _speculation(self, line: str, text: str) -> None:
        said = fields_of(text)
        accepted, drafted = said.get("Accepted"), said.get("Drafted")
        positions = positions_in(text, said.get("Mean acceptance length"))
        drafts = drafts_of(said, positions, self.configured)
        if not drafts or accepted is None or drafted is None:
            self.unread["lines"] += 1
            return
        self.read += 1
        load = self.engines.get(_engine(line)) or self.load
        rate = said.get("Drafted throughput", 0.0) / (load.engines if load else 1)
        busy = load is not None and load.running and rate
        seconds = load.running * (drafted / drafts) / rate if load and busy else None
        self.intervals.add(Interval(drafts, accepted, drafted, positions, seconds, load))

    def told(self) -> Told:
        """Return what all lines tell together."""
        if not self.intervals.kept and self.v0.drafts:
            return self.v0.told(self.stages, self.read, self.unread["lines"], self._kv())
        of = self.intervals.kept
        drafts = sum(one.drafts for one in of)
        positions = pooled(of)
        K = sum(one.drafted for one in of) / drafts if drafts else None
        near = K is not None and positions and abs(K - len(positions)) <= ALIKE * len(positions)
        quiet = [one for one in of if one.round_seconds and _is_quiet(one)]
        timed = quiet or [one for one in of if one.round_seconds]
        weights = [one.drafts for one in timed]
        seconds = median([one.round_seconds or 0.0 for one in timed], weights)
        running = mean([one.load.running for one in timed if one.load], weights)
        doubts = self.disbelieved(seconds)
        lookahead = float(len(positions)) if near else K
        return Told(
            rounds=drafts,
            lookahead=lookahead,
            varies=bool(positions) and not near,
            tau=self._tau(of, drafts),
            positions=positions,
            conditional=conditional(of),
            round_seconds=seconds,
            requests=running,
            kv_per_request=self._kv(),
            passes=tuple(
                (not doubts and self.iterations.kept) or [p for one in timed for p in one.mean()]
            ),
            suspicious=(*self.mixed, *self._doubled(), *_held_up(timed, quiet), *doubts),
            unknown=tuple(self._unknown(bool(of), seconds)),
            read=self.read,
            unread=self.unread["lines"],
        )

    def _doubled(self) -> tuple[str, ...]:
        said = (beat.doubled for beat in self.beats.values())
        return () if self.mixed else tuple(dict.fromkeys(filter(None, said)))

    def disbelieved(self, round_seconds: float | None) -> tuple[str, ...]:
        """Return why the times of iterations are not taken; none where they are."""
        why = disbelief(self.iterations.kept, round_seconds)
        return (why,) if why else ()

    def _kv(self) -> float | None:
        kept = self.shares.kept
        return mean([used / n for used, n in kept], [n for _, n in kept])

    def _tau(self, of: Sequence[Interval], drafts: float) -> float | None:
        return 1 + sum(one.accepted for one in of) / drafts if drafts else None

    def _unknown(self, speculates: bool, seconds: float | None) -> list[str]:
        said = []
        if not speculates:
            said.append("acceptance: there is no line 'SpecDecoding metrics'")
        elif seconds is None:
            said.append("seconds of a round: no line tells the load beside drafted throughput")
        if self.iterations.kept and self.context is None:
            said.append("what the cache costs: no line tells its size in tokens and its use")
        return said


def _held_up(timed: Sequence[Interval], quiet: Sequence[Interval]) -> tuple[str, ...]:
    if not timed or quiet or not _busy(timed):
        return ()
    return ("every interval had prefills in it: rounds look longer than they are",)


def _is_quiet(one: Interval) -> bool:
    load = one.load
    return not load or load.prompts <= QUIET * (load.prompts + load.tokens)


def _busy(of: Sequence[Interval]) -> bool:
    return any(one.load and one.load.prompts > one.load.tokens for one in of)


def _engine(line: str) -> str:
    found = ENGINE.search(line) or DATA_PARALLEL.search(line)
    return str(int(found[1])) if found else ""
