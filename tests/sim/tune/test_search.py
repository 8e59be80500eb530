"""The search, on planted speeds: its neighbours, its economy, and that it finds what is best."""

from math import exp

import pytest
from planted import Planted, uncovered

from ssdsim.tune.neighbours import along, beyond, neighbours, ways
from ssdsim.tune.picture import front
from ssdsim.tune.search import CONFIRMED, SMALL, Search, by_method
from ssdsim.tune.search_space import Family
from ssdsim.tune.worlds import World

SSD = Family(
    "ssd",
    {
        "method": ("ssd",),
        "lookahead": tuple(range(1, 17)),
        "policy.budget": (2, 4, 6, 8, 12, 16, 24, 32, 48, 64),
        "backup": ("jit", "ngram", "random"),
    },
)
OTHER = Family("other", {"method": ("ssd",), "lookahead": (3, 6, 9), "policy.fanout": (1, 2, 4)})
SD = Family("sd", {"method": ("speculative",), "lookahead": tuple(range(1, 9))})


@pytest.fixture(autouse=True)
def nothing_is_covered(monkeypatch):
    monkeypatch.setattr("ssdsim.tune.search.expect", uncovered)


def hill(options, world):
    """Return a speed with one peak, at lookahead 11, budget 24 and a random backup."""
    if options["method"] == "speculative":
        return 100 - options["lookahead"]
    height = exp(-(((options["lookahead"] - 11) / 6) ** 2))
    if "policy.fanout" in options:
        return 150 * height + options["policy.fanout"]
    height *= exp(-(((options["policy.budget"] - 24) / 40) ** 2))
    if options["backup"] == "ngram":
        return None
    return 200 * height + 5 * (options["backup"] == "random") + (world.tokens is None)


def searched(families, speed=hill, **options):
    search = Search(families, Planted(speed), **options)
    search.run()
    return search


def options(**values):
    return tuple((name.replace("policy_", "policy."), value) for name, value in values.items())


def test_neighbours_differ_in_one_option():
    here = options(method="ssd", lookahead=2, policy_budget=12, backup="jit")
    found = [dict(one) for one in neighbours([SSD], here)]
    differing = [{name for name in one if one[name] != dict(here)[name]} for one in found]
    assert all(len(names) == 1 for names in differing)
    assert {one["lookahead"] for one in found} == {1, 2, 3, 4}
    assert {one["policy.budget"] for one in found} == {6, 8, 12, 16, 24}
    assert {one["backup"] for one in found} == {"jit", "ngram", "random"}
    assert len(found) == 3 + 4 + 2


def test_another_family_has_one_neighbour_with_most_in_common():
    here = options(method="ssd", lookahead=7, policy_budget=12, backup="jit")
    nearest = [dict(one) for one in neighbours([SSD, OTHER], here) if "policy.fanout" in dict(one)]
    assert nearest == [{"method": "ssd", "lookahead": 6, "policy.fanout": 2}]


def test_ways_share_the_neighbours_out():
    here = options(method="ssd", lookahead=2, policy_budget=12, backup="jit")
    shared = [one for way in ways([SSD, OTHER]) for one in along(way, [SSD, OTHER], here)]
    assert shared == neighbours([SSD, OTHER], here)
    assert len(along("lookahead", [SSD, OTHER], here)) == 3
    assert len(along(None, [SSD, OTHER], here)) == 1


@pytest.mark.parametrize(
    ("steps", "ends"), [((3, 5), 9), ((5, 3), 1), ((2, 15), 16), ((15, 16), None)]
)
def test_a_step_that_led_up_is_doubled_within_the_range(steps, ends):
    before, after = (
        options(method="ssd", lookahead=K, policy_budget=2, backup="jit") for K in steps
    )
    further = [dict(one)["lookahead"] for one in beyond("lookahead", [SSD], before, after)]
    assert further == ([] if ends is None else [ends])


def test_only_numbers_have_a_direction():
    one, other = (
        options(method="ssd", lookahead=2, policy_budget=2, backup=of) for of in ("jit", "random")
    )
    assert beyond("backup", [SSD], one, other) == []
    assert beyond(None, [SSD], one, other) == []


def test_a_long_way_over_a_plain_is_short():
    """A hundred lookaheads that hardly differ, the best of them at the other end."""
    wide = Family("ssd", {"method": ("ssd",), "lookahead": tuple(range(1, 101))})
    search = Search([wide], Planted(lambda own, _: 100 - own["lookahead"] / 1000))
    search._evaluate([options(method="ssd", lookahead=100)])
    search._descend([wide])
    assert search.ranked()[0] == options(method="ssd", lookahead=1)
    assert len(search.tried) < 25


def test_a_family_over_several_methods_is_several():
    both = Family("f", {"method": ("pearl", "amusd"), "lookahead": (1, 2)})
    found = by_method([both, SD])
    assert list(found) == ["pearl", "amusd", "speculative"]
    assert found["amusd"][0].method == "amusd"


def test_few_configurations_are_all_evaluated():
    assert SD.size <= SMALL
    search = searched([SD])
    assert len(search.tried) == SD.size
    assert search.ranked()[0] == options(method="speculative", lookahead=1)


@pytest.mark.parametrize("seed", range(10))
def test_the_peak_is_found_with_few_evaluations(seed):
    search = searched([SSD, OTHER, SD], seed=seed)
    best = search.ranked()[0]
    assert best == options(method="ssd", lookahead=11, policy_budget=24, backup="random")
    possible = SSD.size * 2 // 3 + OTHER.size + SD.size
    simulated = [one for one in search.evaluations.known.values() if not one.refused]
    assert len(simulated) < possible / 2
    assert search.ranked("speculative")[0] == options(method="speculative", lookahead=1)


def test_the_best_ones_are_evaluated_on_the_whole_workload():
    search = searched([SSD, SD])
    assert search.ranked()[0] in search.found
    assert search.ranked("speculative")[0] in search.found
    assert len(search.found) >= CONFIRMED
    for one, figures in search.found.items():
        assert figures.tokens_per_s == hill(dict(one), World())


def test_a_method_that_cannot_be_costs_a_few_trials():
    search = searched([SSD, SD], lambda options, _: None if options["method"] == "ssd" else 1.0)
    refused = [one for one in search.tried if search.tried[one].refused]
    assert 0 < len(refused) <= 4
    assert {dict(one)["method"] for one in search.ranked()} == {"speculative"}


@pytest.mark.parametrize("seed", range(5))
def test_a_peak_beside_a_plain_is_found(seed):
    """From the eighth lookahead on nothing changes any more: nothing leads down from there."""
    wide = Family("dsi", {"method": ("dsi",), "lookahead": tuple(range(1, 41))})
    search = searched([wide], lambda own, _: 100 - abs(min(own["lookahead"], 8) - 3), seed=seed)
    assert search.ranked()[0] == options(method="dsi", lookahead=3)
    assert len(search.tried) < 25


@pytest.mark.parametrize("asked", [0, 8, 48])
def test_the_estimator_asks_for_no_more_than_it_may(asked):
    search = searched([SSD], lambda *_: 1.0, asked=asked)  # nothing to go down to
    neighbourhood = len(neighbours([SSD], search.ranked()[0]))
    assert len(search.tried) <= 4 + max(asked, 1) + 7 + 2 * neighbourhood


def test_another_seed_takes_another_way():
    assert set(searched([SSD], seed=0).tried) != set(searched([SSD], seed=1).tried)
    assert set(searched([SSD], seed=1).tried) == set(searched([SSD], seed=1).tried)


def test_what_the_expectation_recommends_is_tried(monkeypatch):
    best = options(method="ssd", lookahead=16, policy_budget=64, backup="jit")

    class Expected:
        def __init__(self, setup):
            own = dict(setup.trial.options)
            self.tokens_per_s = own["lookahead"] + own["policy.budget"] + (own["backup"] == "jit")

    monkeypatch.setattr("ssdsim.tune.search.expect", Expected)
    search = searched([SSD], asked=0)
    assert best in search.tried
    assert len(search.screened) < SSD.size * 0.75
    assert search.screened_ssd() == best


def test_the_front_is_what_nothing_beats_in_both():
    points = {"a": (3, 1), "b": (2, 2), "c": (1, 3), "d": (2, 1), "e": (1, 2), "f": (3, 0)}
    assert front(points) == ["a", "b", "c"]
    assert front({"a": (1, 1), "b": (1, 1)}) == ["a"]
    assert front({}) == []
