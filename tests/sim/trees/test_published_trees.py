"""Token trees beside the tables that were published with them."""

from math import prod
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from scipy.optimize import brentq
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.published_curves import peaked
from ssdsim.errors import ConfigError
from ssdsim.methods.speculative import Speculative
from ssdsim.system.package_data import CONF
from ssdsim.theory import tree_length
from ssdsim.trees.chain import Chain
from ssdsim.trees.listed import EAGLE, Listed
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

REFERENCE = Path(__file__).parents[2] / "support/reference"
DEPTH, LEVEL = 8, 2
"""SpecInfer's trees: eight levels, of which the third branches."""


def rows(name):
    table = pd.read_csv(REFERENCE / f"{name}.csv", comment="#")
    return [row for _, row in table.iterrows()]


def length(acceptance, tree, depth):
    """Simulate, and return the mean tokens a round with its 95 % half-width."""
    setup = Setup(
        Speculative(), acceptance, machine(), Closed(4, 8, 1500), lookahead=depth, tree=tree
    )
    metrics = simulate(setup).metrics
    return metrics["acceptance_length"], metrics["ci95"]["acceptance_length"]


@pytest.mark.parametrize("row", rows("eagle_tables"), ids=lambda row: row.target)
def test_eagle_chains_follow_from_their_acceptance_by_depth(row):
    accept = tuple(row[["a0", "a1", "a2", "a3", "a4"]])
    found, ci = length(ByDepth(accept), Chain(), 5)
    assert found == pytest.approx(row.chain_tau, rel=0.06)
    assert found == pytest.approx(tree_length(accept), abs=2 * ci)


def eagle_length(accept, curve):
    """Return the mean tokens a round of EAGLE's tree: 1 and the chance of every node."""
    miss = curve.miss()

    def chance(path):
        steps = zip(accept, path, strict=False)
        return prod(
            a if place == 0 else (1 - a) * (miss(place - 1) - miss(place)) for a, place in steps
        )

    return 1 + sum(map(chance, EAGLE))


def test_eagles_trees_follow_from_a_miss_curve_fitted_to_one_of_them():
    first, *others = rows("eagle_tables")
    assert first.target == "vicuna7b"

    def off(scale, row):
        curve = Iid(miss_scale=scale, miss_exponent=0.7)
        return eagle_length(row[["a0", "a1", "a2", "a3", "a4"]], curve) / row.tree_tau - 1

    scale = brentq(off, 0.1, 1.0, args=(first,))
    assert max(abs(off(scale, row)) for row in others) < 0.05
    profile = OmegaConf.load(CONF / "profile" / "eagle_vicuna7b.yaml").acceptance
    assert profile.miss_scale == pytest.approx(scale, abs=0.002)
    assert list(profile.accept) == list(first[["a0", "a1", "a2", "a3", "a4"]])


def test_a_simulated_tree_of_eagle_has_the_length_of_the_closed_form():
    profile = ByDepth((0.79, 0.74, 0.72, 0.73, 0.67), miss_scale=0.767)
    found, ci = length(profile, Listed(), 5)
    assert found == pytest.approx(eagle_length(profile.accept, profile.surprise()), abs=2 * ci)


SPECINFER = pytest.mark.parametrize(
    "row", rows("specinfer_tables"), ids=lambda row: f"{row.dataset}-{row.decoding}"
)


def fitted(row):
    return peaked({1: row.top1, 3: row.top3, 5: row.top5}, row.w1, DEPTH, LEVEL)


def held(acceptance, width):
    """Return P(a level of the tree holds the target's token), level by level."""
    holds = [*acceptance.accept]
    holds[LEVEL] = 1 - (1 - holds[LEVEL]) * (acceptance.surprise().miss()(width - 1))
    return holds


@SPECINFER
def test_specinfer_trees_follow_from_their_chain(row):
    acceptance = fitted(row)
    found = {width: tree_length(held(acceptance, width)) for width in (1, 3, 5)}
    assert found[1] == pytest.approx(row.w1, rel=0.005)
    assert found[3] == pytest.approx(row.w3, rel=0.10)
    assert found[5] == pytest.approx(row.w5, rel=0.10)
    assert found[1] < found[3] < found[5]


@SPECINFER
def test_a_simulated_tree_has_the_length_of_the_closed_form(row):
    acceptance = fitted(row)
    found, ci = length(acceptance, Widths((1, 1, 3)), DEPTH)
    assert found == pytest.approx(tree_length(held(acceptance, 3)), abs=2 * ci)


@SPECINFER
def test_positions_that_were_all_alike_would_make_longer_chains(row):
    assert tree_length([row.top1] * DEPTH) > 1.02 * row.w1


def test_a_chain_as_long_as_alike_positions_make_it_has_no_peak():
    shares = {1: 0.7, 3: 0.85, 5: 0.9}
    acceptance = peaked(shares, tree_length([0.7] * DEPTH), DEPTH, LEVEL)
    assert acceptance.accept == pytest.approx((0.7,) * DEPTH)
    assert acceptance.miss_table[1] == pytest.approx(0.5)
    assert acceptance.miss_table[3] == pytest.approx(1 / 3)


@pytest.mark.parametrize("length", [1.0, 2.0, 3.0, 9.0])
def test_any_length_is_fitted_with_the_mean_that_was_printed(length):
    acceptance = peaked({1: 0.7, 3: 0.85, 5: 0.9}, length, DEPTH, LEVEL)
    assert sum(acceptance.accept) / DEPTH >= 0.7 - 1e-9
    assert all(0 <= a <= 1 for a in acceptance.accept)


@pytest.mark.parametrize(
    ("shares", "level", "said"),
    [
        ({1: 0.7, 3: 0.6, 5: 0.9}, 2, "top="),
        ({1: 0.7, 3: 0.9}, 2, "top="),
        ({3: 0.7, 5: 0.9}, 2, "top="),
        ({1: 0.7, 3: 0.8, 5: 0.9}, 8, "level=8"),
    ],
)
def test_shares_that_cannot_be_fitted_are_refused(shares, level, said):
    with pytest.raises(ConfigError, match=said):
        peaked(shares, 2.5, DEPTH, level)
