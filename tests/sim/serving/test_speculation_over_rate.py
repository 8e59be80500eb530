"""Speculation wins at low rates and loses at high ones (vLLM blog of 17 October 2024, V0 engine).

Llama-3-70B on four H100, mean seconds end to end by requests a second, digitised from Figure 7. Of
lengths, acceptance and the engine's times nothing is stated, so that only who wins is looked at.
"""

import pytest

from ssdsim import Setup
from ssdsim.acceptance.iid import Iid
from ssdsim.engine.simulation import evaluate
from ssdsim.latency.machine import Machine
from ssdsim.latency.step_costs import StepCost, StepCosts
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.lengths import Geometric
from ssdsim.workloads.poisson import Poisson

# Requests/s, with speculation (K = 4), without.
PUBLISHED = {
    "ShareGPT, draft model": ((1, 1.65, 2.54), (2, 1.74, 2.59), (10, 4.78, 3.42)),
    "CNN/DailyMail, n-gram": ((1, 0.96, 2.71), (2, 1.23, 2.93), (4, 1.78, 3.77), (8, 10.69, 5.74)),
}
# Assumed: 140 GB of weights at four fifths of the bandwidth and what launching takes, and twice the
# weights' operations a token at some 55 % of the arithmetic.
PASS = StepCost(fixed=0.0145, token=65e-6)
# Assumed: what this engine's host did for each sequence of a speculative step, one after the other
# (it expanded batches to score them, and looked n-grams up row by row).
HOST = 0.0015
# Prompt and output tokens, chance that a token is accepted: assumed, so that times at one request
# a second come out about as published. Seconds of a draft step, and of drafting at all.
SETTINGS = {
    "ShareGPT, draft model": (220, 160, 0.7, 0.0018, 0.005),
    "CNN/DailyMail, n-gram": (800, 160, 0.87, 0.0, 0.003),
}


def seconds(data, method, rate):
    prompt, output, alpha, step, drafting = SETTINGS[data]
    draft = {
        "step": StepCost(fixed=step),
        "fill": StepCost(fixed=drafting, row=HOST),
        "prefill": StepCost(fixed=drafting),
    }
    target = StepCosts({"verify": PASS, "prefill": PASS})
    lengths = Geometric(prompt), Geometric(output)
    setup = Setup(
        method,
        Iid(alpha=alpha),
        Machine(target=target, draft=StepCosts(draft)),
        Poisson(300, rate, *lengths),
        lookahead=4,
        serving=Continuous(enable_chunked_prefill=False, max_num_batched_tokens=16384),
    )
    return evaluate(setup).metrics["e2e_mean"]


@pytest.mark.parametrize("data", PUBLISHED)
def test_who_wins_at_which_rate(data):
    for rate, drafting, plain in PUBLISHED[data]:
        found = [seconds(data, method, rate) for method in (Speculative(), Autoregressive())]
        assert (found[0] < found[1]) == (drafting < plain), (rate, found)
