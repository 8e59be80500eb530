"""The race: small ones worked by hand, properties, and how often plantings are found."""

from math import inf, isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.errors import ConfigError
from ssdsim.tune.racing import Bounds, Noise, Race, Rule, noise

RULE = Rule(within=0.01)


def raced(rows, names="abc", rule=RULE):
    """Return a race of complete blocks, of which those left are taken."""
    race = Race(names, rule)
    for row in rows:
        race.add({name: row[names.index(name)] for name in race.left})
    return race


def test_what_a_block_has_in_common_drops_out():
    """Even without noise three blocks are too few: after them any difference may be chance."""
    blocks = [5.0, 9.0, 2.0, 4.0]
    rows = [[share, share - 1, share - 0.5] for share in blocks]
    assert raced(rows[:3]).left == ["a", "b", "c"]
    race = raced(rows)
    assert race.left == ["a"]
    assert race.dropped == {"b": (4, "a"), "c": (4, "a")}
    assert (race.leader, race.over, race.gap) == ("a", "separated", 0.0)
    assert race.behind("b") == (1.0, 1.0, 1.0)
    assert race.difference("c", "b") == (0.5, 0.5, 0.5)
    assert race.noise.own == pytest.approx(0.0, abs=1e-12)
    assert race.noise.shared == pytest.approx(np.std(blocks, ddof=1))


def test_nobody_is_dropped_before_there_is_evidence():
    race = Race("ab", RULE)
    assert (race.leader, race.over, race.gap) == ("a", None, inf)
    race.add({"a": 1.0, "b": 2.0})
    assert (race.left, race.leader, race.over, race.gap) == (["a", "b"], "b", None, inf)
    race.add({"a": 1.0, "b": 2.5})
    assert race.left == ["a", "b"]  # two differences that scatter tell nothing


def test_a_race_of_equals_ends_when_none_can_be_much_better():
    rng = np.random.default_rng(0)
    rows = 1 + 0.01 * rng.normal(size=(400, 3)) + rng.normal(size=(400, 1))
    race = Race("abc", RULE)
    for row in rows:
        race.add(dict(zip("abc", row, strict=True)))
        if race.over:
            break
    assert race.over == "alike"
    assert len(race.left) == 3
    assert 0 < race.gap <= 0.01
    needed = race.blocks_to_tell(0.01)
    assert needed / 4 < len(race.values) < 4 * needed


@pytest.mark.parametrize(
    "block", [{"a": 1.0}, {"a": 1.0, "b": 2.0, "x": 3.0}, {"a": 1.0, "b": np.nan, "c": 1.0}]
)
def test_a_block_holds_a_number_for_each_one_left(block):
    with pytest.raises(ValueError, match="needs a number for each of"):
        Race("abc", RULE).add(block)


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"within": -0.1}, "within=-0.1"),
        ({"within": inf}, "within=inf"),
        ({"within": 0.01, "confidence": 1.0}, r"confidence=1\.0"),
        ({"within": 0.01, "first": 1}, "first=1"),
        ({"within": 0.01, "borrowed": -1}, "borrowed=-1"),
    ],
)
def test_rules_that_cannot_be_are_refused(values, option):
    with pytest.raises(ConfigError, match=option):
        Rule(**values)


TABLES = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).normal([0, 0.1, 0.3, 1.0], 0.1, size=(12, 4))
)


@given(TABLES, st.sampled_from([0.0, 8.0]), st.integers(0, 99))
def test_neither_order_nor_a_block_s_own_share_matters(table, borrowed, seed):
    rng, rule = np.random.default_rng(seed), Rule(0.05, borrowed=borrowed)
    race = raced(table, "abcd", rule)
    shifted = raced(table + rng.normal(size=(12, 1)), "abcd", rule)
    order = rng.permutation(4)
    names = "".join("abcd"[at] for at in order)
    permuted = raced(table[:, order], names, rule)
    for other in (shifted, permuted):
        assert dict(other.dropped) == dict(race.dropped)
        assert (other.leader, other.over) == (race.leader, race.over)
        assert other.gap == pytest.approx(race.gap)
        assert other.noise.own == pytest.approx(race.noise.own)


@given(TABLES)
def test_bounds_say_what_a_race_does(table):
    race = raced(table, "abcd")
    best = race.leader
    for name in race.left:
        assert race.difference(best, name).middle >= 0
        assert race.difference(name, best).high >= 0
        assert (
            race.difference(name, best) == tuple(-end for end in race.difference(best, name))[::-1]
        )
    for name, dropped in race.dropped.items():
        assert race.difference(name, dropped.better).high < 0
        assert race.behind(name).high >= race.behind(name).middle >= race.behind(name).low >= 0
    assert race.difference(best, best) == Bounds(0.0, 0.0, 0.0)


def test_noise_of_a_whole_table_is_that_of_the_analysis_of_variance():
    table = np.array([[1.0, 2.0], [3.0, 5.0], [2.0, 1.0]])
    rest = table - table.mean(axis=0) - table.mean(axis=1)[:, None] + table.mean()
    found = noise(table)
    assert found.own == pytest.approx(sqrt(np.square(rest).sum() / 2))
    assert found.freedom == 2
    assert found.shared == pytest.approx(np.std(table.mean(axis=1), ddof=1))


def test_noise_is_told_with_those_that_were_dropped():
    rng = np.random.default_rng(1)
    table = rng.normal(0, 0.02, (40, 30)) + rng.normal(0, 0.5, (40, 1)) + rng.normal(size=30)
    table[2:, 10:] = np.nan
    found = noise(table)
    assert found.freedom == 40 * 10 + 2 * 20 - 40 - 30 + 1
    assert found.own == pytest.approx(0.02, rel=0.15)
    assert found.shared == pytest.approx(0.5, rel=0.4)
    assert isnan(noise(table[:1]).own)
    assert noise(np.empty((0, 3)))[2] == Noise(0, 0, 0).freedom


def test_others_lend_no_more_than_they_know():
    """Of two configurations there is no other; of many, each pair has the noise of all."""
    rng = np.random.default_rng(2)
    table = rng.normal(0, 0.02, (3, 20))
    for names, helped in (("ab", False), ("abcdefghijklmnopqrst", True)):
        widths = [
            raced(table[:, : len(names)], names, Rule(0.01, borrowed=borrowed)).gap
            for borrowed in (0.0, 8.0)
        ]
        assert bool(widths[1] < widths[0]) == helped
    bold = table.copy()
    bold[:, 5:] -= 0.4
    assert len(raced(bold, names, Rule(0.01, borrowed=8.0)).dropped) == 15
    assert not raced(bold, names, RULE).dropped


def planted(seed, *, configurations, borrowed, unlike, blocks):
    """Race configurations of known means; return whether the best stayed, and what is lost."""
    rng = np.random.default_rng(seed)
    means = -np.abs(rng.normal(0, 0.1, configurations))
    spreads = 0.01 * np.exp(unlike * rng.normal(size=configurations))
    names = [str(at) for at in range(configurations)]
    race = Race(names, Rule(0.02, 0.9, borrowed=borrowed))
    while len(race.values) < blocks and not race.over:
        shared = rng.normal(0, 0.1)
        own = rng.normal(means + shared, spreads)
        race.add({name: own[int(name)] for name in race.left})
    best = int(means.argmax())
    behind = race.behind(race.leader).high
    lost = means[best] - means[int(race.leader)]
    return str(best) in race.left, race.over is not None, lost <= behind, lost <= 0.02


def shares(times, **how):
    found = np.array([planted(seed, **how) for seed in range(times)])
    over = found[:, 1]
    return found[:, 0].mean(), over.mean(), found[:, 2].mean(), found[over, 3].mean()


def test_the_best_one_is_found_in_a_few_plantings():
    stayed, over, bounded, chosen = shares(
        25, configurations=6, borrowed=8.0, unlike=0.0, blocks=60
    )
    assert min(stayed, bounded, chosen) >= 0.9
    assert over > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("configurations", [2, 6, 30])
@pytest.mark.parametrize(("borrowed", "unlike"), [(0.0, 0.0), (0.0, 1.0), (8.0, 0.0), (8.0, 0.5)])
def test_the_best_one_is_found_as_often_as_is_said(configurations, borrowed, unlike):
    """Also where noise is unlike from one to another, which without borrowing may be any."""
    how = {"configurations": configurations, "borrowed": borrowed, "unlike": unlike}
    stayed, over, bounded, chosen = shares(400, **how, blocks=150)
    assert min(stayed, bounded, chosen) >= 0.9
    assert over > 0.5


@pytest.mark.slow
def test_bursts_on_a_shared_machine_cost_no_best_one():
    """As a tuning on two cores may be: 7 % of the runs lose a quarter of their speed."""
    kept = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        means = -np.abs(rng.normal(0, 0.1, 20))
        race = Race("abcdefghijklmnopqrst", Rule(0.01, borrowed=8.0))
        while len(race.values) < 12 and not race.over:
            burst = np.where(rng.random(20) < 0.07, np.log(0.75), 0.0)
            row = rng.normal(means, 0.015) + burst + rng.normal(0, 0.05)
            race.add({name: row[race.names.index(name)] for name in race.left})
        kept.append(race.names[means.argmax()] in race.left)
    assert np.mean(kept) >= 0.95


@pytest.mark.slow
def test_what_is_said_of_regret_holds_where_noise_hides_all():
    """All alike but for one, which is better by one standard deviation of the noise."""
    held = []
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        means = np.append(0.02, np.zeros(4))
        race = raced(rng.normal(means, 0.02, (6, 5)), "abcde", Rule(0.02, 0.8))
        regret = race.behind("b")
        held.append(("a" in race.left) and regret.low <= 0.02 <= regret.high)
    assert np.mean(held) >= 0.8
