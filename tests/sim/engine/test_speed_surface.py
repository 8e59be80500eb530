"""The surface is the expectation at each of its cells."""

from dataclasses import replace

import pytest

from ssdsim import expect
from ssdsim.bench import SETUP
from ssdsim.command.composing import setup as composed
from ssdsim.engine.speed_surface import speed_surface
from ssdsim.errors import ConfigError
from ssdsim.lengths.controller import Controller
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.geometric_fanout import GeometricFanout
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout


def test_every_cell_is_the_expectation_there():
    found = speed_surface(SETUP, lookaheads=(2, 5))
    assert found.option == "policy.fanout"
    assert (found.lookaheads, found.chosen, found.evenly) == ((2, 5, 7), (7, 3), False)
    for row, fanout in enumerate(found.values):
        for column, lookahead in enumerate(found.lookaheads):
            policy = replace(SETUP.policy, fanout=fanout)
            own = expect(replace(SETUP, lookahead=lookahead, policy=policy))
            assert found.speeds[row][column] == own.tokens_per_s


def test_a_budget_that_is_learned_is_spread_evenly():
    setup = replace(SETUP, policy=TopkOutcomes(budget=16))
    found = speed_surface(setup, lookaheads=(3,))
    even = replace(setup, lookahead=3, policy=UniformFanout(budget=8, fanout=8))
    assert found.evenly
    assert found.speeds[found.values.index(8)][0] == expect(even).tokens_per_s
    plain = found.plain("live")
    assert plain["y"]["name"] == "policy.budget"
    assert (plain["exact"], plain["chosen"]) == (False, [7, 16])


def test_a_budget_of_whatever_fits_has_no_place_in_the_grid():
    found = speed_surface(replace(SETUP, policy=GeometricFanout(budget="verify")), lookaheads=(3,))
    assert found.chosen is None
    assert found.plain("live")["chosen"] is None


def test_recorded_texts_are_counted_at_their_mean_context():
    setup = composed("profile=two_cores", "workload.prompts=2", policy="uniform_fanout")
    found = speed_surface(setup, lookaheads=(2,))
    assert "at the texts' mean context of" in found.how
    row = found.values.index(3)
    three = replace(setup, lookahead=2, policy=replace(setup.policy, fanout=3))
    assert found.speeds[row][0] == expect(three, found.context).tokens_per_s
    assert found.speeds[row][0] == pytest.approx(expect(three).tokens_per_s, rel=0.02)


def test_says_where_there_is_none():
    with pytest.raises(ConfigError, match="method='autoregressive': needs a method that prepares"):
        speed_surface(replace(SETUP, method=Autoregressive()))
    with pytest.raises(ConfigError, match="policy='fixed_fanout': has neither"):
        speed_surface(replace(SETUP, policy=FixedFanout()))
    with pytest.raises(ConfigError, match="length: the exact expectation does not cover"):
        speed_surface(replace(SETUP, length=Controller()), lookaheads=(3,))
