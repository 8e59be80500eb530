"""Searches the best settings of SD and SSD on a few prompts, one option at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median

from ssdreal.bench.contenders import Contender, Contest
from ssdreal.executor.setup import Setup
from ssdreal.places.places import Places
from ssdsim.backups.base import Backup
from ssdsim.backups.jit import Jit
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.base import Policy
from ssdsim.policies.geometric_fanout import GeometricFanout
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout

LOOKAHEADS = (1, 2, 3, 4, 5, 6)
QUICK = (2, 3)
BUDGETS = (4, 6, 8, 12, 16, 24)
FANOUTS = (1, 2, 3, 4)
OUTCOMES = ("prune", "wait", "truncate")
BACKUPS: tuple[Backup, ...] = (Jit(), Ngram(), Random())
FINALISTS = 3
PLAY_OFF = 3


@dataclass(frozen=True)
class Options:
    """Settings of SSD that are looked for."""

    lookahead: int = 3
    policy: Policy = TopkOutcomes(budget=8)
    on_outcome: str = "prune"
    backup: Backup = Jit()

    def setup(self, base: Setup) -> Setup:
        """Return a setup with these settings."""
        return replace(
            base,
            method=Ssd(self.on_outcome),  # type: ignore[arg-type]
            lookahead=self.lookahead,
            policy=self.policy,
            backup=self.backup,
        )


def describe(setup: Setup) -> str:
    """Say what a setup's method is set to."""
    if isinstance(setup.method, Ssd):
        policy = setup.policy
        size = f"F={policy.fanout}" if isinstance(policy, UniformFanout) else f"B={policy.budget}"
        backup = type(setup.backup).__name__.lower()
        name = type(policy).__module__.rpartition(".")[2]
        return f"K={setup.lookahead} {name} {size} {setup.method.on_outcome} {backup}"
    return f"K={setup.lookahead}" if setup.drafted else ""


@dataclass
class Search:
    """Measures settings on a few prompts, each once.

    Attributes
    ----------
    stand
        With the few prompts.
    base
        What all setups have in common.
    places
        Where the models run.
    quick
        Whether a look at little will do.
    once
        Makes a measurement, or returns what it came to before.
    found
        Tokens/s of everything tried.

    """

    contest: Contest
    base: Setup
    places: Places
    quick: bool = False
    once: Callable[[Callable[[], float]], float] = lambda measure: measure()
    found: dict[Options | int, float] = field(default_factory=dict)

    def speed(self, tried: Options | int) -> float:
        """Return the tokens/s of SSD with these options, or of SD at this lookahead."""
        if tried not in self.found:
            self.found[tried] = self.measured(tried)
        return self.found[tried]

    def measured(self, tried: Options | int) -> float:
        """Measure anew."""
        contender = Contender("", self.setup(tried), self.places)
        return self.once(lambda: self.contest.run(contender).tokens_per_s)

    def setup(self, tried: Options | int) -> Setup:
        """Return the setup of SSD with these options, or of SD at this lookahead."""
        if isinstance(tried, Options):
            return tried.setup(self.base)
        return replace(self.base, method=Speculative(), lookahead=tried)

    def play_off(self) -> Options | int:
        """Return the best of the fastest few, measured again in turns: one run is a noisy judge."""
        few = sorted(self.found, key=lambda tried: -self.found[tried])[:FINALISTS]
        if self.quick:
            return few[0]
        speeds = [[self.measured(tried) for tried in few] for _ in range(PLAY_OFF)]
        for at, tried in enumerate(few):
            self.found[tried] = median([self.found[tried], *(turn[at] for turn in speeds)])
        return max(few, key=lambda tried: self.found[tried])


def search_speculative(search: Search) -> Setup:
    """Return SD at its best lookahead."""
    for lookahead in QUICK if search.quick else LOOKAHEADS:
        search.speed(lookahead)
    return search.setup(search.play_off())


def search_ssd(search: Search, start: Options = Options()) -> Setup:
    """Return SSD at the best settings found."""
    best = start
    knobs = (_lookaheads, _budgets, _policies, _on_outcomes, _backups, _budgets, _lookaheads)
    for knob in (_on_outcomes,) if search.quick else knobs:
        best = max([best, *knob(best)], key=search.speed)
    return search.setup(search.play_off())


def _lookaheads(best: Options) -> Iterator[Options]:
    for lookahead in LOOKAHEADS:
        yield replace(best, lookahead=lookahead)


def _budgets(best: Options) -> Iterator[Options]:
    policy = best.policy
    if isinstance(policy, UniformFanout):
        for fanout in FANOUTS:
            yield replace(best, policy=UniformFanout(fanout=fanout))
        return
    for budget in BUDGETS:
        yield replace(best, policy=replace(policy, budget=budget))


def _policies(best: Options) -> Iterator[Options]:
    """Yield the other policies at about the same number of branches."""
    policy, nodes = best.policy, best.lookahead + 1
    budget = policy.fanout * nodes if isinstance(policy, UniformFanout) else int(policy.budget)
    for fanout in {max(1, budget // nodes), budget // nodes + 1}:
        yield replace(best, policy=UniformFanout(fanout=fanout))
    yield replace(best, policy=GeometricFanout(budget=budget))
    yield replace(best, policy=TopkOutcomes(budget=budget))


def _on_outcomes(best: Options) -> Iterator[Options]:
    for on_outcome in OUTCOMES:
        yield replace(best, on_outcome=on_outcome)


def _backups(best: Options) -> Iterator[Options]:
    for backup in BACKUPS:
        yield replace(best, backup=backup)
