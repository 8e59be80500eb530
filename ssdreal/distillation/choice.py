"""How large a draft should be: tokens a second from acceptance, hits and service times."""

from dataclasses import dataclass

import numpy as np

from ssdreal.distillation.evaluation import Chain


@dataclass(frozen=True)
class Times:
    """Service times, ms.

    Attributes
    ----------
    verify
        A target pass over a round's tokens.
    tree_layer, tree_rest
        A draft step over all branches: for each layer, and for the head and the rest.
    serial_layer, serial_rest
        A draft step over one token.
    glue
        A round's fixed cost on the draft's side.
    """

    verify: float = 12.0
    tree_layer: float = 0.35
    tree_rest: float = 0.5
    serial_layer: float = 0.25
    serial_rest: float = 0.4
    glue: float = 1.0

    def tree(self, layers: int) -> float:
        """Return what a step over all branches takes."""
        return self.tree_layer * layers + self.tree_rest

    def serial(self, layers: int) -> float:
        """Return what a step over one token takes."""
        return self.serial_layer * layers + self.serial_rest


def best_hit_rate(counts: Chain, branches: int) -> float:
    """Return the hit rate when `branches` are dealt to the outcomes where they catch most."""
    gains = np.diff(counts.hits, axis=1, prepend=0.0)
    return float(np.sort(gains.ravel())[::-1][:branches].sum() / counts.rounds.sum())


def speculative_speed(counts: Chain, layers: int, times: Times) -> float:
    """Return ordinary speculative decoding's tokens a second: every round drafts, then verifies."""
    lookahead = len(counts.rounds) - 1
    return 1e3 * counts.tokens_a_round / (lookahead * times.serial(layers) + times.verify)


def ssd_speed(counts: Chain, layers: int, times: Times, branches: int = 24) -> float:
    """Return SSD's tokens a second.

    The trees are drafted while the target verifies; a round whose outcome was not among them
    drafts before the next verify as ordinary speculative decoding does.
    """
    lookahead = len(counts.rounds) - 1
    hidden = max(times.verify, times.glue + lookahead * times.tree(layers))
    missed = (1 - best_hit_rate(counts, branches)) * lookahead * times.serial(layers)
    return 1e3 * counts.tokens_a_round / (hidden + missed)
