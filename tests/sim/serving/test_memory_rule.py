"""Where memory runs out speculation loses: running requests and waits from the memory rule."""

from functools import cache

import pytest
from qwen_mi250 import (
    ACCEPTED,
    BLOCK,
    BUDGET,
    CLIENTS,
    OUTPUTS,
    POOL,
    PROMPT,
    RUNNING,
    TOKENS_PER_S,
    TTFT_MS,
    of,
    step_costs,
)

from ssdsim import Setup
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.engine.simulation import evaluate
from ssdsim.latency.machine import Machine
from ssdsim.latency.step_costs import StepCost, StepCosts
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.lengths import Quantiles
from ssdsim.workloads.poisson import Poisson

AT_ONCE = 1e6
AWAY = 0.002
"""From an answer to the next request: any time shorter than a step comes to about the same."""


def machine(K):
    fixed, verified, prompt, drafting, drafted, step, read = step_costs()
    row = (K + 1) * max(0.0, verified - prompt)
    verify = StepCost(fixed=fixed, row=row, token=prompt)
    target = {"verify": verify, "prefill": StepCost(fixed=fixed, token=prompt)}
    fill = StepCost(fixed=drafting, row=drafted)
    draft = {"step": StepCost(fixed=step), "fill": fill, "prefill": StepCost(token=read)}
    return Machine(target=StepCosts(target), draft=StepCosts(draft))


@cache
def served(K, clients):
    """Return the metrics of four requests a client, each sent when the one before has ended."""
    chances = ACCEPTED.get(K, (0.5,))
    accept = tuple(b / a for a, b in zip((1.0, *chances), chances, strict=False))
    workload = Poisson(
        *(max(64, 4 * clients), AT_ONCE, PROMPT[clients], Quantiles(**OUTPUTS)),
        concurrency=clients,
        think_time=AWAY,
    )
    memory = {"num_gpu_blocks": POOL // BLOCK, "block_size": BLOCK, "state_blocks": 1}
    steps = {"max_num_batched_tokens": BUDGET, "async_scheduling": True}
    serving = Continuous(max_num_seqs=256, **steps, **memory)
    method = Speculative() if K else Autoregressive()
    setup = Setup(method, ByDepth(accept), machine(K), workload, lookahead=K, serving=serving)
    return evaluate(setup).metrics


@pytest.mark.parametrize(("K", "clients"), [(0, 64), (0, 128), (1, 128), (3, 64), (3, 128)])
def test_as_many_requests_run_as_memory_has_room_for(K, clients):
    metrics = served(K, clients)
    running = metrics["output_tokens_per_s"] * metrics["tpot_mean"]
    assert running == pytest.approx(of(RUNNING, K, clients), rel=0.2)


@pytest.mark.parametrize("clients", CLIENTS)
@pytest.mark.parametrize("K", [0, 1, 3])
def test_time_to_first_token(K, clients):
    """Where nobody waits for memory (K = 0, 16 clients, 64 with K = 1), and where others do."""
    assert served(K, clients)["ttft_mean"] * 1000 == pytest.approx(of(TTFT_MS, K, clients), rel=0.2)


@pytest.mark.parametrize("K", [1, 3])
def test_speculation_gains_without_load_and_loses_with_it(K):
    for clients in CLIENTS:
        own, plain = (served(each, clients)["output_tokens_per_s"] for each in (K, 0))
        measured = of(TOKENS_PER_S, K, clients) / of(TOKENS_PER_S, 0, clients)
        assert (own > plain) == (measured > 1), clients
        assert own / plain == pytest.approx(measured, rel=0.15), clients
