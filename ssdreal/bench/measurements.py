"""What a bench measures, in which order, and the runs that it collects."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from statistics import median
from typing import Any

from ssdreal.bench.calibration_runs import around, visits
from ssdreal.bench.contenders import MEASURED, Contender, Contest, Measured
from ssdreal.bench.coordination import Coordination, coordination
from ssdreal.bench.helper_process import Helper
from ssdreal.bench.settings_search import Search, describe, search_speculative, search_ssd
from ssdreal.bench.transformers_peer import Generated, Peer, generate
from ssdreal.command.journal import Form, Journal, Piece, plain
from ssdreal.executor.setup import Setup
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdsim.calibration.calibration_plan import Visit
from ssdsim.calibration.timings import Timing
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.workloads.closed import Closed

ASSISTED = (1, 2, 3, 4, 5, 6)
QUICK = (2, 3)


@dataclass
class Entry:
    """A contender and its runs."""

    contender: Contender
    runs: list[Measured] = field(default_factory=list)

    @property
    def speeds(self) -> list[float]:
        """Tokens/s of every run."""
        return [measured.tokens_per_s for measured in self.runs]

    @property
    def speed(self) -> float:
        """Their median."""
        return median(self.speeds)

    def metric(self, name: str) -> float | None:
        """Return the median of a metric over the runs; None where there is none."""
        values = [measured.run.metrics[name] for measured in self.runs]
        return None if None in values else median(values)

    @property
    def coordination(self) -> Coordination:
        """What of its rounds no model worked in."""
        return coordination(self.runs)


@dataclass
class PeerEntry:
    """A way of transformers to decode, and its runs."""

    name: str
    peer: Peer
    runs: list[Generated] = field(default_factory=list)

    @property
    def speeds(self) -> list[float]:
        """Tokens/s of every run."""
        return [generated.tokens_per_s for generated in self.runs]

    @property
    def speed(self) -> float:
        """Their median."""
        return median(self.speeds)


@dataclass
class BenchRuns:
    """The measurements of a bench, taken in an order that follows from what they come to.

    So the number of a measurement says which one it is: those that are kept are not made again.

    Attributes
    ----------
    stand
        The prompts that are measured.
    tour
        Makes calibration runs over other prompts; its topology is where the models may run.
    few
        The first prompts, for searches.
    base
        What all setups have in common.
    few_tokens
        To decode of each of the few prompts.
    helper
        The process for transformers and for recording.
    say
        Told what happens next.
    kept, name
        Keeps every measurement, under this name and its number.
    quick
        Whether searches may be short.
    keep
        Told of every result as it comes.
    visited
        What every piece of work took, a list for each calibration run.

    """

    contest: Contest
    calibration: CalibrationRuns
    few: Contest
    base: Setup
    few_tokens: int
    helper: Helper
    say: Callable[[str], None]
    kept: Journal
    name: str
    quick: bool = False
    keep: Callable[["BenchRuns"], None] = lambda _: None
    visited: list[list[Timing]] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    peers: dict[str, PeerEntry] = field(default_factory=dict)
    searched: dict[str, dict[str, float]] = field(default_factory=dict)
    made: int = 0

    def choose(self) -> None:
        """Find the contenders' best settings."""
        topology = self.calibration.topology
        alone, spread = topology.places("target"), topology.spread()
        autoregressive = replace(self.base, method=Autoregressive())
        self._enter("ar", autoregressive, alone)
        self._search("sd", alone, search_speculative)
        self._search("ssd", topology.places("own"), search_ssd)
        if spread is not None:
            self._enter("ar2", autoregressive, spread)
            self._search("sd2", spread, search_speculative)

    def choose_peers(self, pair: Any, dtype: str) -> None:
        """Find the fastest ways of transformers to do the same."""
        base = Peer(pair.target, pair.draft, dtype)
        plain = [base, replace(base, static=True)]
        assisted = [
            replace(base, drafted=drafted) for drafted in (QUICK if self.quick else ASSISTED)
        ]
        for name, peers in (("hf", plain), ("hf_assisted", assisted)):
            self.say(f"looking for the best settings of {name}")
            self.peers[name] = PeerEntry(name, max(peers, key=self._peer_speed))
            self.keep(self)

    def alternate(self, repeats: int) -> None:
        """Run all contenders in turns, each time in another order, each after its calibration."""
        names = [*self.entries, *self.peers]
        for repeat in range(repeats):
            at = repeat * len(names) // max(repeats, 1)
            for name in names[at:] + names[:at]:
                self.say(f"repeat {repeat + 1} of {repeats}: {name}")
                self._run(name)
                self.keep(self)

    def probe(self) -> None:
        """Measure service times of SSD at settings around those that contend."""
        self.say("service times at other settings")
        self._visit(around(self.base.decoding, quick=self.quick))

    @property
    def pieces(self) -> list[Timing]:
        """What every piece of work took in all calibration runs."""
        return list(chain.from_iterable(self.visited))

    def _enter(self, name: str, setup: Setup, places: Any) -> None:
        self.entries[name] = Entry(Contender(name, setup, places))

    def _search(self, name: str, places: Any, look: Callable[[Search], Setup]) -> None:
        self.say(f"looking for the best settings of {name}")
        workload = Closed(self.base.workload.prompts, output_tokens=self.few_tokens)
        base, once = replace(self.base, workload=workload), partial(self._once, plain(float))
        search = Search(self.few, base, places, self.quick, once)
        setup = replace(look(search), workload=self.base.workload)
        self.searched[name] = {
            describe(search.setup(tried)): speed for tried, speed in search.found.items()
        }
        self._enter(name, setup, places)
        self.keep(self)

    def _peer_speed(self, peer: Peer) -> float:
        prompts = [task.tokens for task in self.few.tasks[:2]]
        return self._generated(peer, prompts, self.few_tokens).tokens_per_s

    def _run(self, name: str) -> None:
        if name in self.peers:
            entry = self.peers[name]
            prompts = [task.tokens for task in self.contest.tasks]
            tokens = self.base.workload.longest_output
            entry.runs.append(self._generated(entry.peer, prompts, tokens))
            return
        contender = self.entries[name].contender
        self._visit(visits(contender))
        run = self._once(MEASURED, partial(self.contest.run, contender))
        self.entries[name].runs.append(run)

    def _visit(self, planned: Iterable[Visit]) -> None:
        for visit in planned:
            made = partial(self.calibration.pieces, visit, len(self.visited))
            self.visited.append(self._once(plain(list[Timing]), made))

    def _generated(self, peer: Peer, prompts: Sequence[Sequence[int]], tokens: int) -> Generated:
        made = partial(self.helper.call, generate, peer, prompts, tokens)
        return self._once(plain(Generated), made)

    def _once(self, form: Form[Piece], make: Callable[[], Piece]) -> Piece:
        self.made += 1
        return self.kept.once(f"{self.name}_{self.made}", form, make)
