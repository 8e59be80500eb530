"""Texts of the smallest synthetic pair, and the probability of each."""

from itertools import pairwise, product

import numpy as np
from numpy.random import default_rng

from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.sampling.distributions import process

SMALL = LanguageModel(vocabulary=4, sharpness=1.0, divergence=1.0)
TOKENS = 3


def opened(sampling, config=SMALL):
    return config.open(sampling, default_rng(11))


def draft(text, length):
    return text.speculate(length, "primary")


def decode(text, tokens, length, speculate=draft):
    """Return the tokens generated, and the rounds' outcomes."""
    outcomes, end = [], len(text.history) + tokens
    while len(text.history) < end:
        speculation = speculate(text, length)
        truth = speculation.truth
        text.commit(speculation, min(truth.node + 1, end - len(text.history)))
        outcomes.append((truth.node, truth.rank))
    return tuple(text.history[-tokens:]), outcomes


def expected(temperature):
    """Return the probability of every continuation of token 0."""
    p = process(SMALL.logits()[0], temperature)
    return {
        path: p[0, path[0]] * np.prod([p[a, b] for a, b in pairwise(path)])
        for path in product(range(SMALL.vocabulary), repeat=TOKENS)
    }
