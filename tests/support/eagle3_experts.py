"""EAGLE-3 on MiniMax-M2.5 by concurrency (vLLM blog of 13 July 2026, Figure 5).

Output tokens/s of one of four MI355X (printed labels), 1024 random tokens in and out, 10 prompts a
client, a BF16 draft, K = 3. Acceptance is not stated. 8 experts a token of 256 are the model's own.
Of Kimi-K2.5, which the page has too, it does not state K.
"""

from functools import cached_property

import numpy as np
from scipy.optimize import brentq, nnls

CLIENTS = (4, 8, 16, 32, 64)
GPUS, K, ROUTED, EXPERTS = 4, 3, 8, 256
PLAIN = (90, 163, 283, 485, 822)
DRAFTED = (162, 278, 437, 759, 1137)
GIVEN = (4, 16)
"""Clients whose rows with speculation are fitted to; the others are predicted."""


def speedup(clients):
    at = CLIENTS.index(clients)
    return DRAFTED[at] / PLAIN[at]


class Fit:
    """Seconds of a pass by its tokens, how often drafts are accepted, and what drafting takes.

    A pass takes a fixed time, the experts that its tokens hit, and a time for each token: fitted to
    the rows without speculation, where a step delivers a token for every client. The tokens of a
    round, and what a speculative step takes longer for each request, follow from two rows with it.
    """

    def __init__(self):
        self.length, self.row = self._drafting()

    @cached_property
    def costs(self):
        """Seconds fixed, for all experts, and for a token; weighed as relative errors."""
        seconds = np.array(CLIENTS) / (GPUS * np.array(PLAIN))
        rows = np.array([self._counts(tokens) for tokens in CLIENTS])
        return nnls(rows / seconds[:, None], np.ones(len(CLIENTS)))[0]

    def seconds(self, tokens):
        return float(np.dot(self.costs, self._counts(tokens)))

    @cached_property
    def alpha(self):
        """The chance of each drafted token with which a round has so many."""
        return brentq(lambda alpha: sum(alpha**j for j in range(K + 1)) - self.length, 0, 1)

    def _drafting(self):
        """Solve speedup · (pass of all tokens + clients · row) = length · pass of a token each."""
        gains = [speedup(clients) for clients in GIVEN]
        known = zip(gains, GIVEN, strict=True)
        left = [[self.seconds(clients), -gain * clients] for gain, clients in known]
        whole = [self.seconds(clients * (K + 1)) for clients in GIVEN]
        return np.linalg.solve(left, np.multiply(gains, whole))

    def _counts(self, tokens):
        hit = 1 - (1 - ROUTED / EXPERTS) ** tokens
        return 1.0, hit, tokens
