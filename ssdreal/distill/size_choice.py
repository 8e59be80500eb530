"""Chooses a draft's size: expected tokens a second from acceptance, hits and service times."""

from dataclasses import dataclass

import numpy as np

from ssdreal.distill.evaluation import Chain


@dataclass(frozen=True)
class Linear:
    """Milliseconds that grow with something."""

    each: float
    rest: float

    def at(self, count: int) -> float:
        """Return the milliseconds at `count` of it."""
        return self.each * count + self.rest


@dataclass(frozen=True)
class Times:
    """Service times of SmolLM2-135M and drafts of it, a core each, on a shared cloud machine.

    Medians over 3 x 21 passes at a text of 230 tokens, drafts of 4, 6, 8 and 10 layers with 8192
    head rows; lines through them.

    Attributes
    ----------
    verify
        A target pass, by drafted tokens.
    tree
        A draft step over 12 branches, by layers.
    serial
        A draft step over one token, by layers.
    glue
        The draft's pass over a round's tokens, by layers.
    """

    verify: Linear = Linear(2.5, 14.4)
    tree: Linear = Linear(0.95, 1.8)
    serial: Linear = Linear(0.48, 0.7)
    glue: Linear = Linear(0.53, 0.7)


def best_hit_rate(counts: Chain, branches: int) -> float:
    """Return the hit rate when `branches` are dealt to the outcomes where they catch most."""
    gains = np.diff(counts.hits, axis=1, prepend=0.0)
    return float(np.sort(gains.ravel())[::-1][:branches].sum() / counts.rounds.sum())


def speculative_speed(counts: Chain, layers: int, times: Times) -> float:
    """Return ordinary speculative decoding's tokens a second: every round drafts, then verifies."""
    lookahead = len(counts.rounds) - 1
    drafting = lookahead * times.serial.at(layers)
    return 1e3 * counts.tokens_a_round / (drafting + times.verify.at(lookahead))


def ssd_speed(counts: Chain, layers: int, times: Times, branches: int = 12) -> float:
    """Return SSD's tokens a second.

    The trees are drafted while the target verifies; a round whose outcome was not among them
    drafts before the next verify as ordinary speculative decoding does.
    """
    lookahead = len(counts.rounds) - 1
    drafting = times.glue.at(layers) + lookahead * times.tree.at(layers)
    hidden = max(times.verify.at(lookahead), drafting)
    missed = (1 - best_hit_rate(counts, branches)) * lookahead * times.serial.at(layers)
    return 1e3 * counts.tokens_a_round / (hidden + missed)
