"""Llama-3.1-8B on an H100 in "Speculative Decoding: Performance or Illusion?" (arXiv 2601.11580).

Step times: its simulator's regressions (SpecDecode-Bench/simulator, predictor.py; vLLM, one H100,
stated). Acceptance: its records, walked at k = 3 (P(at least j tokens are accepted), derived).
Speedups: its Figure 1, vLLM 0.10.1, digitised to about .003; lengths are the records' means.
"""

from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.latency.machine import Machine
from ssdsim.latency.step_costs import StepCost, StepCosts

OVERHEAD = 1.20683946e-3
VERIFY = {"fixed": 5.88590713e-3, "token": 2.10103129e-5, "kv_token": 3.92645679e-8}
EAGLE = {"fixed": 2.13526175e-3, "token": 8.41429603e-7, "kv_token": 2.37768493e-9}
LOOKUP = 0.005875  # of a verify
K = 3

# Prompt tokens, output tokens; by method the chances of at least 1, 2, 3 accepted tokens.
DATA_SETS = {
    "GSM8K": (94, 166, {"eagle": (0.6731, 0.4395, 0.2811), "ngram": (0.0852, 0.0494, 0.0304)}),
    "CNN/DailyMail": (
        *(838, 323),
        {"eagle": (0.6477, 0.4136, 0.2693), "ngram": (0.1444, 0.1071, 0.0828)},
    ),
}
BATCHES = (1, 16, 64, 128)
SPEEDUPS = {
    ("GSM8K", "ngram"): (1.166, 1.149, 1.103, 1.047),
    ("GSM8K", "eagle"): (1.75, 1.699, 1.486, 1.222),
    ("CNN/DailyMail", "ngram"): (1.338, 1.285, 1.183, 1.123),
    ("CNN/DailyMail", "eagle"): (1.686, 1.581, 1.397, 1.235),
}


def engine(method):
    """Return the machine; the draft makes its three tokens in what is one pass of the figures."""
    pass_ = {**VERIFY, "fixed": VERIFY["fixed"] + OVERHEAD}
    target = StepCosts({"verify": StepCost(**pass_), "prefill": StepCost(**pass_)})
    line = EAGLE if method == "eagle" else {name: LOOKUP * value for name, value in pass_.items()}
    none = StepCost()
    draft = {"step": StepCost(**line), "fill": none, "prefill": none}
    return Machine(target=target, draft=StepCosts(draft, block=K))


def acceptance(method, chances):
    """Return the acceptance by depth.

    A lookup that finds something is taken to be right about its first token as often as about its
    second, so that it finds something in p_1 / (p_2 / p_1) of the rounds.
    """
    accept = tuple(b / a for a, b in zip((1.0, *chances), chances, strict=False))
    found = 1.0 if method == "eagle" else min(1.0, chances[0] ** 2 / chances[1])
    return ByDepth(accept, found=found)
