"""Whether another K of the same method would do much better, by the exact expectation."""

from dataclasses import replace

import pytest

from ssdsim.acceptance.iid import Iid
from ssdsim.bench import SETUP
from ssdsim.command.composing import setup as composed
from ssdsim.engine.best_lookahead import MOST_LOOKAHEAD, better_lookahead
from ssdsim.engine.exact_expectation import expect
from ssdsim.engine.simulation import evaluate
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.speculative import Speculative
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.workloads.closed import Closed


def speeds(setup):
    return [expect(replace(setup, lookahead=K)).tokens_per_s for K in range(MOST_LOOKAHEAD + 1)]


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("method", [SETUP.method, Speculative(), Minedraft()])
def test_the_best_of_all_is_found_from_anywhere(method, alpha):
    setup = replace(SETUP, method=method, acceptance=Iid(alpha=alpha))
    (ar, *_), known = speeds(replace(setup, method=Autoregressive())), speeds(setup)
    for K in (0, 3, 20, 40):
        found = better_lookahead(replace(setup, lookahead=K))
        own = expect(replace(setup, lookahead=K)).tokens_per_s
        if found is None:
            assert max(known) < 1.03 * own
            continue
        assert known[found.lookahead] == max(known) == pytest.approx(found.over_ar * ar)
        assert found.own_over_ar == pytest.approx(own / ar)
        assert not found.evenly


def test_a_simulation_makes_what_was_said():
    setup = replace(SETUP, acceptance=Iid(alpha=0.4), workload=Closed(8, output_tokens=1000))
    found = better_lookahead(setup)
    assert 1 < found.lookahead < 7
    for K, over_ar in ((7, found.own_over_ar), (found.lookahead, found.over_ar)):
        metrics = evaluate(replace(setup, lookahead=K)).metrics  # AR makes a token a second
        assert abs(metrics["tokens_per_s"] - over_ar) < 2 * metrics["ci95"]["tokens_per_s"]


def test_what_a_policy_will_learn_is_left_open():
    setup = replace(SETUP, acceptance=Iid(alpha=0.4))
    learning = better_lookahead(replace(setup, policy=TopkOutcomes(budget=16)))
    even = better_lookahead(replace(setup, policy=UniformFanout(budget=16, fanout=16)))
    assert learning == replace(even, evenly=True)


@pytest.mark.parametrize(
    "change",
    [
        {"method": Autoregressive()},
        {"policy": Oracle()},
        {"policy": TopkOutcomes(budget="verify")},
        {"lookahead": 3},  # within 3 % of the best
    ],
)
def test_silence_where_nothing_is_known_or_to_be_gained(change):
    assert better_lookahead(replace(SETUP, acceptance=Iid(alpha=0.4), lookahead=7)) is not None
    assert better_lookahead(replace(SETUP, acceptance=Iid(alpha=0.4), **change)) is None


def test_demo_has_its_best_lookahead_nearly():
    assert better_lookahead(composed("profile=demo")) is None
