"""What the SSD authors' engine prints: hits, lengths after hits and misses, times."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, median, missing
from ssdsim.observe.numbers import NUMBER, number
from ssdsim.observe.thinned import Thinned
from ssdsim.observe.told import Hits, TimedPass, Told, conditional_of, rates_for

METRIC = re.compile(rf"\[metrics\] (Avg [\w ()]+?): *({NUMBER})")
FREQUENCY = re.compile(rf"(?:^|\s)(\d+): ({NUMBER})\s*$")
TREE = "tree_decode:"
"""In a line whose total is of drafting for all outcomes; others call that decode_tree."""
STAGE = re.compile(r"\[PROFILE (target|draft)\]")
TIME = re.compile(rf"(\w+)=({NUMBER})ms")
LOOKAHEAD = re.compile(r"(?:Speculative\(k|\bK|--k)[= ](\d+)")
FANOUT = re.compile(r"\bF=(\d+)\b|--f (\d+)")
BATCH = re.compile(r"hits=\d+/(\d+)")
HEADLINE = "Avg Tokens per step (incl recovery)"


@dataclass(frozen=True)
class SsdEngineLog:
    """The lines `[metrics]` and `[PROFILE ...]`; of several runs in a file the last."""

    title: ClassVar[str] = "log of the SSD authors' engine"
    key: ClassVar[str] = "ssd_engine.log"

    def recognises(self, source: Source) -> bool:
        """Return whether there is one of its metrics."""
        return any(METRIC.search(line) for line in source.head)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return hits, lengths and times of the last run."""
        log = _Log()
        for source in sources:
            for line in source.lines():
                log.take(line)
        if HEADLINE not in log.metrics:
            raise missing(sources, f"no line '{HEADLINE}'")
        return log.told()

    def says(self, told: Told) -> dict[str, Any]:
        """Return the hit rate, K, lengths, and times."""
        hits = told.hits or Hits(0.0)
        return known(
            hit=hits.rate if told.hits else None,
            K=told.lookahead,
            tau=told.tau,
            tau_hit=hits.tau,
            tau_miss_implied=hits.tau_miss,
            handshake_s=hits.handshake,
            verify_s=hits.verify,
            tree_s=hits.tree,
            round_s=told.round_seconds,
            F=hits.fanout,
        )


@dataclass
class _Log:
    """What was read of the last run."""

    metrics: dict[str, float] = field(default_factory=dict)
    frequencies: dict[int, float] = field(default_factory=dict)
    times: dict[str, Thinned[float]] = field(default_factory=lambda: defaultdict(Thinned))
    batch: int | None = None
    lookahead: int | None = None
    fanout: int | None = None
    runs: int = 0
    listing: bool = False
    read: int = 0

    def take(self, line: str) -> None:
        """Read a line."""
        if found := METRIC.search(line):
            self._metric(found[1], number(found[2]))
        elif "Empirical frequencies" in line:
            self.listing = True
        elif self.listing and (found := FREQUENCY.search(line)):
            self.frequencies[int(found[1])] = number(found[2])
        elif found := STAGE.search(line):
            self._stage(found[1], line)
        else:
            self.listing = False
        self._settings(line)

    def _metric(self, name: str, value: float) -> None:
        self.read += 1
        if name == HEADLINE:
            self.runs += 1
            self.metrics, self.frequencies = {}, {}
        self.metrics.setdefault(name, value)
        self.listing = False

    def _stage(self, lane: str, line: str) -> None:
        self.read += 1
        told = {f"{lane} {name}": number(ms) / 1000 for name, ms in TIME.findall(line)}
        if TREE in line:
            told["draft decode_tree"] = told.pop("draft total", 0.0)
        for name, seconds in told.items():
            self.times[name].add(seconds)
        if found := BATCH.search(line):
            self.batch = max(self.batch or 0, int(found[1]))

    def _settings(self, line: str) -> None:
        if found := LOOKAHEAD.search(line):
            self.lookahead = int(found[1])
        if found := FANOUT.search(line):
            self.fanout = int(found[1] or found[2])

    def told(self) -> Told:
        """Return what they tell."""
        tau = self.metrics[HEADLINE]
        K = self.lookahead or (max(self.frequencies) if self.frequencies else None)
        hits = self._hits(tau)
        histogram = hits.accepted if hits else ()
        positions = tuple(sum(histogram[j:]) for j in range(1, len(histogram)))
        full = self._ms("Avg target time per full step (ms)")
        verify = self._ms("Avg target verify time (ms)")
        drafting = full - verify if full and verify and not hits else None
        b = self.batch or 1
        rates = conditional_of(positions) or (rates_for(tau, K) if K else ())
        return Told(
            rounds=1.0,
            lookahead=None if K is None else float(K),
            tau=tau,
            positions=() if hits else positions,
            conditional=rates,
            round_seconds=full,
            draft_seconds=drafting,
            requests=float(self.batch) if self.batch else None,
            hits=hits,
            passes=(TimedPass(0, b, b * (K + 1), 0, verify),) if K and verify else (),
            suspicious=(f"{self.runs} runs in it: the last one is taken",) if self.runs > 1 else (),
            unknown=tuple(self._unknown(K, hits)),
            read=self.read,
        )

    def _hits(self, tau: float) -> Hits | None:
        rate = self.metrics.get("Avg Cache Hits")
        if rate is None:
            return None
        on_hit = self.metrics.get("Avg Tokens per step on Cache Hit")
        on_miss = self.metrics.get("Avg Tokens per step on Cache Miss")
        if on_miss is None and on_hit is not None and rate < 1:
            on_miss = max(1.0, round((tau - rate * on_hit) / (1 - rate), 10))
        most = max(self.frequencies, default=-1)
        return Hits(
            rate=rate,
            accepted=tuple(self.frequencies.get(k, 0.0) for k in range(most + 1)),
            tau=on_hit,
            tau_miss=on_miss,
            fanout=self.fanout,
            handshake=self._usual("target handshake"),
            verify=self._usual("target verify") or self._ms("Avg target verify time (ms)"),
            tree=self._usual("draft decode_tree"),
        )

    def _usual(self, stage: str) -> float | None:
        """Return a stage's median: the first steps of a run compile."""
        of = self.times[stage].kept
        return median(of, [1.0] * len(of)) if of else None

    def _ms(self, name: str) -> float | None:
        value = self.metrics.get(name)
        return None if value is None else value / 1000

    def _unknown(self, lookahead: int | None, hits: Hits | None) -> list[str]:
        said = []
        if lookahead is None:
            said.append("K: neither a line of the profile nor a histogram")
        if hits and hits.fanout is None:
            said.append("the fan-out F: no line says it")
        return said
