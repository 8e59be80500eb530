"""Whether what a tuning says of its leaders is so, with profiles that are off as they may be.

A planting is a world that is the truth, and a profile that is off by a draw of what such a profile
leaves open. Whoever tunes knows the profile alone. What the leaders make in the true world is known
from the exact expectation.
"""

from dataclasses import dataclass, replace
from math import exp, log
from zlib import crc32

import numpy as np
import pytest
from hydra import initialize
from numpy.random import default_rng

from ssdsim import expect
from ssdsim.engine.setup import Setup
from ssdsim.tune.evaluation import Bench, Figures, Trial
from ssdsim.tune.findings import NEAR
from ssdsim.tune.options import TuneOptions
from ssdsim.tune.search_space import families, parsed, words
from ssdsim.tune.selection import WITHIN, select
from ssdsim.tune.worlds import Uncertainty, World, changed, of_world

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("registered")]

SPACE = (
    "method=autoregressive,speculative,pearl,ssd",
    "policy=uniform_fanout",
    "backup=jit,random",
    "method.on_outcome=wait,prune",
    "lookahead=range(2,17,2)",
    "policy.fanout=1,3,6,12",
    "tree=chain",
    "length=fixed",
    "drafter=model",
)
UNTRIED = {"verify", "method.servers"}
"""Options of families that the exact expectation does not cover."""
FINALISTS = TuneOptions().finalists


@dataclass
class Off:
    """Evaluations of a profile that is off; `luck` scatters the logarithm of tokens/s.

    Worlds are drawn anew for every planting (`seed`): what a few of them miss is chance then.
    A configuration's luck is partly that of all others in the world, as with common random numbers.
    """

    bench: Bench
    truth: World
    error: World
    luck: float
    seed: int

    def setup(self, trial: Trial) -> Setup:
        profile = changed(changed(self.bench.setup(Trial(trial.options)), self.truth), self.error)
        return of_world(replace(profile, seed=self.seed), trial.world, Uncertainty())

    def true(self, options):
        return expect(changed(self.bench.setup(Trial(options)), self.truth)).tokens_per_s

    def figures(self, trials):
        return [self._figures(trial) for trial in trials]

    def _figures(self, trial):
        where = repr((self.truth, trial.world))
        common, own = (
            default_rng(crc32(text.encode())).standard_normal()
            for text in (where, where + words(trial.options))
        )
        luck = self.luck * (2 * common + own)
        return Figures(exp(luck) * expect(self.setup(trial)).tokens_per_s)


def finalists(off, pool):
    """Return the best of every method near the fastest, and others, as a tuning does."""
    speeds = {one: expect(off.setup(Trial(one))).tokens_per_s for one in pool}
    order = sorted(pool, key=lambda one: -speeds[one])
    leaders = {dict(one)["method"]: one for one in reversed(order)}
    near = [one for one in leaders.values() if speeds[one] > NEAR * speeds[order[0]]]
    told_apart = {speeds[one]: one for one in reversed(order)}
    return list(dict.fromkeys([*near, *reversed(told_apart.values())]))[:FINALISTS]


def plantings(profile, count, luck):
    """Yield of each planting the selection, and log tokens/s of its candidates in the truth.

    Few or many configurations are asked for, so that some choices are easy, and some are not.
    """
    with initialize(version_base="1.3", config_path=None):
        bench = Bench((f"profile={profile}",), devices=64)
        tried = [of for of in families(parsed(SPACE)) if not UNTRIED & of.values.keys()]
        pool = [one for family in tried for one in family if possible(bench, one)]
        for number in range(count):
            rng = default_rng([number, 11])
            by, target, draft = rng.standard_normal(3)
            truth = World(None, 0.05 * float(by), exp(0.2 * target), exp(0.4 * draft))
            off = Off(bench, truth, Uncertainty().world(number, 10**6), luck, number)
            asked = rng.choice(len(pool), rng.integers(4, 40), replace=False)
            found = select(
                finalists(off, [pool[at] for at in asked]), off, TuneOptions().worlds, 0.95
            )
            yield found, np.array([log(off.true(one)) for one in found.candidates])


def possible(bench, options):
    return not bench.figures(Trial(options, World(tokens=1))).refused


@pytest.mark.parametrize(("profile", "luck"), [("demo", 0.004), ("h100x4_llama70b_1b", 0.0)])
def test_leaders_named_the_best_are_so_as_often_as_is_said(profile, luck):
    claimed, best, regrets = [], [], []
    for found, true in plantings(profile, 150, luck):
        behind = true.max() - true
        claimed += found.probabilities.values()
        best += (behind <= WITHIN).tolist()
        leader = list(found.candidates).index(found.best)
        regrets.append((found.regret[found.best], -np.expm1(-behind[leader])))
    claimed, best = np.array(claimed), np.array(best)
    sure = claimed >= 0.85
    for low, high in ((0.0, 0.15), (0.15, 0.5), (0.5, 0.85)):
        inside = (claimed >= low) & (claimed < high)
        error = 3 * np.sqrt(0.25 / inside.sum()) + 0.03
        assert best[inside].mean() == pytest.approx(claimed[inside].mean(), abs=error)
    assert sure.sum() >= 20
    assert 0.8 <= best[sure].mean() <= 0.97
    told, true = np.mean(regrets, axis=0)
    assert 0.6 * told < true < 1.6 * told
