"""How speculation's gain falls as more clients come, from its gain with few of them."""

import pytest
from eagle3_experts import CLIENTS, Fit, K, speedup

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.latency.machine import Machine
from ssdsim.latency.step_costs import StepCost, StepCosts
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.closed import Closed

MOST = CLIENTS[-1] * (K + 1)


def machine(fit):
    sizes = tuple(range(1, MOST + 1))
    verify = StepCost(sizes=sizes, seconds=tuple(map(fit.seconds, sizes)))
    free = StepCost()
    draft = {"step": free, "fill": StepCost(row=fit.row), "prefill": free}
    return Machine(StepCosts({"verify": verify, "prefill": free}), StepCosts(draft))


def tokens_per_s(fit, method, clients):
    """Return it while everybody is there: until the first has its last token."""
    known = Iid(alpha=fit.alpha), machine(fit), Closed(clients, 0, max(100, 3200 // clients))
    serving = Continuous(max_num_seqs=clients)
    run = simulate(Setup(method, *known, lookahead=K, serving=serving))
    end = run.sequences.finish.min()
    rounds = run.rounds[run.rounds.end <= end]
    return (rounds.accepted + 1).sum() / end


def test_the_gain_falls_as_more_clients_come():
    fit = Fit()
    for clients in CLIENTS:
        runs = [tokens_per_s(fit, method, clients) for method in (Speculative(), Autoregressive())]
        assert runs[0] / runs[1] == pytest.approx(speedup(clients), rel=0.08), clients
