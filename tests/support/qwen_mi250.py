"""A hybrid model under load: Qwen3.8-27B with its own MTP head on two MI250 dies.

ArkaMukherjee0/lossless-dec, results/d/Qwen3.8-27B (raw results of `vllm bench serve`, vLLM 0.30.0;
stated, but for `RUNNING`, derived = tokens/s times the mean time per output token). Closed loop of
so many clients, Spec-Bench, at most 512 tokens. The server's log: a pool of 206,375 tokens in
blocks of 800; a request holds a recurrent state, one block, for every position of a verify.
"""

import numpy as np
from scipy.optimize import nnls

CLIENTS = (4, 16, 64, 128)
BLOCK, POOL = 800, 206_375
BUDGET = 2048
PROMPT = {4: 356, 16: 356, 64: 337, 128: 328}
OUTPUT = {4: 222, 16: 228, 64: 208, 128: 212}
# At most 512; mean 217, as measured, but for their law, of which nothing else is stated.
OUTPUTS = {"shares": (0.0, 0.5, 0.85, 1.0), "values": (20, 170, 512, 512)}
# P(at least j drafted tokens are accepted), at 128 clients; the same at all loads to within .01.
ACCEPTED = {1: (0.8811,), 3: (0.8589, 0.6978, 0.5490)}
# By drafted tokens, one number for each of CLIENTS.
ITL_MS = {
    0: (40.61, 56.57, 85.68, 122.28),
    1: (59.89, 86.14, 193.42, 270.25),
    3: (67.78, 105.18, 225.13, 225.68),
}
ITL_P50_MS = {
    0: (38.09, 51.28, 61.76, 84.84),
    1: (56.33, 73.61, 132.39, 177.06),
    3: (62.78, 84.29, 158.3, 164.26),
}
TTFT_MS = {
    0: (239.58, 376.15, 840.61, 1488.52),
    1: (279.78, 458.76, 1632.7, 13318.72),
    3: (313.96, 508.97, 5704.43, 24312.83),
}
# The 99th percentile without speculation, by clients.
LONGEST_TTFT_MS = {64: 4324.17, 128: 8236.17}
TOKENS_PER_S = {
    0: (93.13, 226.64, 580.8, 846.35),
    1: (116.39, 278.87, 503.36, 556.18),
    3: (163.51, 379.44, 556.08, 594.84),
}
RUNNING = {
    0: (3.8, 13.0, 55.4, 115.4),
    1: (3.7, 13.1, 59.3, 87.9),
    3: (3.6, 13.5, 45.7, 47.1),
}


def of(table, K, clients):
    return table[K][CLIENTS.index(clients)]


def length(K):
    """Return the mean tokens of a round."""
    return 1 + sum(ACCEPTED.get(K, ()))


def step_costs():
    """Return what a step takes, fitted to gaps between tokens where memory is no matter.

    Seconds fixed, for each token that is verified, for each of prompts, of drafting fixed, for each
    request and for each draft step, and for each prompt token that the draft reads. Fitted are
    means and medians of the gaps, without speculation at every load, with it at 4 and 16 clients;
    and how long the first requests take to be read where there is no speculation.
    """
    given = [(0, n) for n in CLIENTS] + [(K, n) for K in (1, 3) for n in (4, 16)]
    rows = [_mean_step(K, n) for K, n in given] + [_median_step(K, n) for K, n in given]
    rows += [_first_prompts(n) for n in LONGEST_TTFT_MS]
    found = [of(table, K, n) for table in (ITL_MS, ITL_P50_MS) for K, n in given]
    found += LONGEST_TTFT_MS.values()
    weights = 1000 / np.array(found)
    return nnls(np.array(rows) * weights[:, None], np.ones(len(found)))[0]


def _mean_step(K, clients):
    """Return of a step how many of each there are that its cost is a sum of."""
    running = of(RUNNING, K, clients)
    return _counts(K, running, PROMPT[clients] * running * length(K) / OUTPUT[clients])


def _median_step(K, clients):
    """Return the same of a step without a prompt, as more than half of all are."""
    return _counts(K, of(RUNNING, K, clients), 0.0)


def _first_prompts(clients):
    """Return the same of all steps until 96 % of the first prompts are read, one to a client.

    They are full of prompts, beside which who has been read is decoded, half of them in the mean.
    The 99th percentile of four requests a client is that of the first ones' 96th.
    """
    read = 0.96 * clients
    steps = read * PROMPT[clients] / (BUDGET - read / 2)
    return [steps * one for one in _counts(0, read / 2, BUDGET - read / 2)]


def _counts(K, running, prompts):
    """Return 1, tokens verified and of prompts; 1, requests, steps and prompt tokens of drafts."""
    drafts = min(K, 1)
    return [1.0, (K + 1) * running, prompts, drafts, drafts * running, K, drafts * prompts]
