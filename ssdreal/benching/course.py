"""The course of a bench: what is measured in which order, and what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from ssdreal.benching.coordination import Coordination, coordination
from ssdreal.benching.figures import Figures, figures
from ssdreal.benching.grid import Grid, probed
from ssdreal.benching.helper import Helper
from ssdreal.benching.peers import Generated, Peer, generate
from ssdreal.benching.probe import Probe
from ssdreal.benching.search import Search, describe, search_speculative, search_ssd
from ssdreal.benching.stand import Contender, Measured, Stand
from ssdreal.execution import Setup
from ssdreal.topology import Topology
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd

ASSISTED = (1, 2, 3, 4, 5, 6)
QUICK = (2, 3)


@dataclass
class Entry:
    """A contender, its runs, and the runs that its service times come from."""

    contender: Contender
    runs: list[Measured] = field(default_factory=list)
    calibrations: list[Measured] = field(default_factory=list)

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

    @property
    def figures(self) -> Figures:
        """Its service times."""
        lookahead = self.contender.setup.drafted
        return figures([measured.pieces for measured in self.calibrations], lookahead)


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
class Course:
    """Everything that a bench works with.

    Attributes
    ----------
    stand, calibration
        The prompts that are measured, and others for service times.
    few
        The first prompts, for searches.
    base
        What all setups have in common.
    topology
        Where the models may run.
    helper
        The process for transformers and for recording.
    say
        Told what happens next.
    quick
        Whether searches may be short.
    grid
        Service times of SSD at other settings than those that contend.

    """

    stand: Stand
    calibration: Stand
    few: Stand
    base: Setup
    few_tokens: int
    topology: Topology
    helper: Helper
    say: Callable[[str], None]
    quick: bool = False
    grid: Grid = field(default_factory=lambda: Grid({}))
    entries: dict[str, Entry] = field(default_factory=dict)
    peers: dict[str, PeerEntry] = field(default_factory=dict)
    searched: dict[str, dict[str, float]] = field(default_factory=dict)

    def choose(self) -> None:
        """Find the contenders' best settings."""
        alone, spread = self.topology.places("target"), self.topology.spread()
        autoregressive = replace(self.base, method=Autoregressive())
        self._enter("ar", autoregressive, alone)
        self._search("sd", alone, search_speculative)
        self._search("ssd", self.topology.places("own"), search_ssd)
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

    def alternate(self, repeats: int) -> None:
        """Run all contenders in turns, each time in another order, each after its calibration."""
        names = [*self.entries, *self.peers]
        for repeat in range(repeats):
            at = repeat * len(names) // max(repeats, 1)
            for name in names[at:] + names[:at]:
                self.say(f"repeat {repeat + 1} of {repeats}: {name}")
                self._run(name)

    def probe(self) -> None:
        """Measure service times of SSD at settings around those that contend."""
        self.say("service times at other settings")
        workload = replace(self.base.workload, output_tokens=self.few_tokens)
        base = replace(self.base, workload=workload)
        one, places = self.calibration.first(1), self.topology.places("own")
        self.grid = probed(one, base, places, quick=self.quick)

    def _enter(self, name: str, setup: Setup, places: Any) -> None:
        self.entries[name] = Entry(Contender(name, setup, places))

    def _search(self, name: str, places: Any, look: Callable[[Search], Setup]) -> None:
        self.say(f"looking for the best settings of {name}")
        workload = replace(self.base.workload, output_tokens=self.few_tokens)
        search = Search(self.few, replace(self.base, workload=workload), places, self.quick)
        setup = replace(look(search), workload=self.base.workload)
        self.searched[name] = {
            describe(search.setup(tried)): speed for tried, speed in search.found.items()
        }
        self._enter(name, setup, places)

    def _peer_speed(self, peer: Peer) -> float:
        prompts = [task.tokens for task in self.few.tasks[:2]]
        found: Generated = self.helper.call(generate, peer, prompts, self.few_tokens)
        return found.tokens_per_s

    def _run(self, name: str) -> None:
        if name in self.peers:
            entry = self.peers[name]
            prompts = [task.tokens for task in self.stand.tasks]
            tokens = self.base.workload.output_tokens
            entry.runs.append(self.helper.call(generate, entry.peer, prompts, tokens))
            return
        contender = self.entries[name].contender
        self.entries[name].calibrations.append(self.calibration.run(_calibrating(contender)))
        self.entries[name].runs.append(self.stand.run(contender))


def _calibrating(contender: Contender) -> Contender:
    """Return the contender whose runs tell its service times."""
    setup = contender.setup
    own = isinstance(setup.method, Ssd)
    return replace(contender, setup=replace(setup, method=Probe()) if own else setup)
