"""What no run could hold is refused by its cost, before anything is allocated."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scripted import machine

from ssdreal.executor.setup import Setup as RealSetup
from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import ConfigError
from ssdsim.methods.dsi import Dsi
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.allocation import allocate
from ssdsim.policies.base import power_law
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.geometric_fanout import GeometricFanout
from ssdsim.policies.optimal_fanout import OptimalFanout
from ssdsim.policies.partial_oracle import PartialOracle
from ssdsim.policies.random_outcomes import RandomOutcomes
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.theory import fanout_objective, outcome_weights
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

SETUP = Setup(Ssd(), Iid(alpha=0.5), machine(prefill=0.3), Closed(2, 4, 8), lookahead=4)
WIDE = 10**30

TOO_MUCH = {
    "lookahead": {"lookahead": 100_000},
    "lookahead without end": {"lookahead": WIDE},
    "batch": {"batch": 10**5, "workload": Closed(10**5, 4, 8), "lookahead": 2000},
    "drafts": {"method": Ssd(drafts=10**6)},
    "servers": {"method": Dsi(servers=10**6)},
    "prompts": {"workload": Closed(prompts=10**12)},
    "output_tokens": {"workload": Closed(output_tokens=WIDE)},
    "prompt_tokens": {"workload": Closed(prompt_tokens=WIDE)},
    "budget shared out": {"policy": GeometricFanout(budget=10**8)},
    "budget shared out by a curve": {"policy": OptimalFanout(budget=10**8)},
    "budget of listed fan-outs": {"policy": FixedFanout(10**10, (10**9,))},
    "budget of one fan-out": {"policy": UniformFanout(10**10, 10**9)},
    "budget of random outcomes": {"policy": RandomOutcomes(10**10, 10**9)},
    "budget spent in vain": {"policy": PartialOracle(budget=10**8)},
    "ranks": {"policy": TopkOutcomes(ranks=10**8)},
    "beam": {"tree": Confident(beam=WIDE), "lookahead": 7},
    "most": {"tree": Confident(beam=4000, most=WIDE, children=WIDE), "lookahead": 7},
    "widths": {"tree": Widths((10**9, 10**9))},
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_is_refused_before_anything_is_allocated(name):
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=rf"{name.split()[0]}=.*(at most|from 1 to) \d"):
            simulate(replace(SETUP, **TOO_MUCH[name]))
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["lookahead", "lookahead without end", "prompts", "widths"])
def test_real_runs_have_the_same_limits(name):
    with pytest.raises(ConfigError, match=rf"{name.split()[0]}=.* at most \d"):
        RealSetup(Ssd(), **TOO_MUCH[name])


SLOW = {
    "a wide batch": {"batch": 10**9},
    "a long chain": {"method": Speculative(), "lookahead": 3000},
    "a large budget": {"policy": UniformFanout(10**9, 3)},
    "many candidates": {"policy": RandomOutcomes(24, 10**9)},
    "listed chances": {"policy": OptimalFanout(10**9, miss_table=(0.5, 0.2))},
    "a beam that is never filled": {"tree": Confident(beam=WIDE, children=2, most=60)},
}


@pytest.mark.parametrize("name", SLOW)
def test_what_is_merely_large_goes_on(name):
    run = simulate(replace(SETUP, **SLOW[name]))
    assert run.info["complete"]


@pytest.mark.parametrize("policy", [GeometricFanout, OptimalFanout])
def test_a_large_budget_is_shared_out_in_memory_of_its_size(policy):
    budget, lookahead = 20_000, 7
    tracemalloc.start()
    try:
        found = policy(budget=budget).fanouts(lookahead, budget)
        assert tracemalloc.get_traced_memory()[1] < 400 * budget
    finally:
        tracemalloc.stop()
    assert sum(found) == budget
    assert list(found[:-1]) == sorted(found[:-1], reverse=True)


def slowly(budget, weights, miss):
    """Share a budget out by trying everything."""
    cost = [0.0] * (budget + 1)
    for weight in weights:
        F = range(len(miss))
        cost = [min(cost[s - f] + weight * miss[f] for f in F if f <= s) for s in range(budget + 1)]
    return cost[budget]


@pytest.mark.parametrize("seed", range(40))
def test_shares_are_the_best_for_any_curve(seed):
    rng = np.random.default_rng(seed)
    budget, lookahead = int(rng.integers(0, 40)), int(rng.integers(0, 6))
    falls = 1 - rng.random(int(rng.integers(1, 30))) * rng.choice([0, 0.4, 1], 1)
    curves = [power_law(rng.choice([0.36, 1, 3]), 0.7, budget), [1.0, *np.cumprod(falls)]]
    weights = outcome_weights(rng.random(), lookahead)
    for curve in curves:
        found = allocate(budget, weights, curve)
        assert sum(found) <= budget
        cost = fanout_objective(found, weights, list(curve).__getitem__)
        assert cost == pytest.approx(slowly(budget, weights, list(curve)), abs=1e-12)
