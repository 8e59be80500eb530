"""The best K by load of a block drafter, from what it does without load (vLLM blog, 2026)."""

import numpy as np
import pytest
from dspark import CONCURRENCIES, Fit, published

from ssdsim import Setup, simulate
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.latency.machine import Machine
from ssdsim.latency.step_costs import StepCost, StepCosts
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.closed import Closed

PREDICTED = (3, 5, 6, 7)


STAIRS = {"as fitted": {}, "as steep as the other model's": {"stairs": 1.0}}


@pytest.fixture(scope="module", params=STAIRS.values(), ids=STAIRS)
def fit(request):
    return Fit(**request.param)


def setup(fit, K, users, tokens):
    verify = StepCost(fixed=fit.verify(users * (K + 1)))  # all of them are as large
    target = StepCosts({"verify": verify, "prefill": StepCost()})
    draft = {"step": StepCost(fixed=fit.draft), "fill": StepCost(), "prefill": StepCost()}
    machine = Machine(target=target, draft=StepCosts(draft, block=max(K, 1)))
    return Setup(
        Speculative() if K else Autoregressive(),
        ByDepth(fit.accept),
        machine,
        Closed(users, 0, tokens),
        lookahead=K,
        serving=Continuous(max_num_seqs=users),
    )


def tokens_per_s_per_user(fit, K, users, tokens):
    """Return it while everybody is there: until the first has its last token."""
    run = simulate(setup(fit, K, users, tokens))
    end = run.sequences.finish.min()
    rounds = run.rounds[run.rounds.end <= end]
    return (rounds.accepted + 1).sum() / end / users


def test_what_was_fitted_comes_back(fit):
    for K, users in ((0, 1), (0, 32), (1, 32), (5, 1)):
        found = tokens_per_s_per_user(fit, K, users, 1200 // users)
        assert found == pytest.approx(published(K, users), rel=0.08), (K, users)


def test_whether_costs_have_stairs_these_rows_cannot_tell():
    """They fit best without any, about as well with the other model's, and worse with these alone.

    The staircase's weight of 0 is what comes out, and no sign that there is none.
    """
    free, steep, alone = Fit(), Fit(stairs=1.0), Fit(experts=0.0)
    assert free.values[1] == pytest.approx(0, abs=1e-3)
    assert free.error == pytest.approx(0.021, abs=0.001)
    assert steep.error == pytest.approx(0.025, abs=0.001)
    assert alone.error == pytest.approx(0.084, abs=0.002)


def test_first_and_last_of_seven_are_accepted_as_often_as_stated(fit):
    rates = np.cumprod(fit.accept)
    assert rates[0] > 0.7
    assert rates[-1] < 0.1


@pytest.mark.slow
def test_speeds_at_load_and_the_best_lookahead_by_load(fit):
    loads = CONCURRENCIES[1:]
    found = {
        (K, users): tokens_per_s_per_user(fit, K, users, max(60, 9600 // users))
        for K in (0, 1, *PREDICTED)
        for users in loads
    }
    errors = [found[K, n] / published(K, n) - 1 for K in PREDICTED for n in loads]
    assert np.median(np.abs(errors)) < 0.15
    for users in loads:
        best = max((0, 1, *PREDICTED), key=lambda K: found[K, users])
        most = max(published(K, users) for K in (0, 1, *PREDICTED))
        assert published(best, users) >= 0.97 * most, (users, best)
