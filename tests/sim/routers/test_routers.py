"""Routers, by what they choose when told the loads."""

import numpy as np
import pytest

from ssdsim.errors import ConfigError
from ssdsim.options.plugins import plugins
from ssdsim.routers.least_outstanding import LeastOutstanding
from ssdsim.routers.prefix_aware import PrefixAware
from ssdsim.routers.random import Random
from ssdsim.routers.round_robin import RoundRobin
from ssdsim.sampling.streams import stream


@pytest.mark.parametrize("kind", plugins("router").values())
def test_every_router_chooses_a_replica_and_repeats_itself(kind):
    loads = np.random.default_rng(0).integers(0, 9, (50, 3)).tolist()
    runs = []
    for _ in range(2):
        router = kind().start(3, stream(0, "router"))
        runs.append([router.choose((at,), load) for at, load in enumerate(loads)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {0, 1, 2}
    assert kind().start(1, stream(0, "router")).choose((), [4]) == 0


def test_turns_and_loads():
    turns = RoundRobin().start(3, stream(0, "router"))
    assert [turns.choose((), [9, 0, 0]) for _ in range(4)] == [0, 1, 2, 0]
    assert LeastOutstanding().start(3, stream(0, "router")).choose((), [2, 1, 1]) == 1


def test_random_shares_are_even():
    drawn = Random().start(4, stream(0, "router"))
    counts = np.bincount([drawn.choose((), [0] * 4) for _ in range(4000)])
    assert abs(counts - 1000).max() < 4 * np.sqrt(4000 * 0.25 * 0.75)


def test_common_beginnings_go_together_while_loads_are_even():
    router = PrefixAware(slack=2).start(2, stream(0, "router"))
    assert router.choose((1, 2, 3), [1, 0]) == 1
    assert router.choose((1, 2, 9), [0, 2]) == 1
    assert router.choose((1, 2, 9), [0, 3]) == 0
    assert router.choose((5,), [3, 2]) == 1
    with pytest.raises(ConfigError, match=r"router\.slack=-1"):
        PrefixAware(slack=-1)
