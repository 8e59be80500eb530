"""By which probabilities a drafted chain was sampled, where Saguaro sampling holds some back."""

from collections.abc import Sequence
from dataclasses import replace
from heapq import nlargest

from ssdsim.outcomes import Speculation
from ssdsim.sampling.settings import Sampling


def as_sampled(speculation: Speculation, sampling: Sampling) -> Speculation:
    """Return a chain with q' instead of q, for its tokens and for its candidates.

    q' ∝ C·q on the F best tokens of q and q elsewhere (SSD, section 4), which are found among the
    sent token and the candidates; see `ssdsim.sampling.distributions.saguaro`.
    """
    if sampling.saguaro_constant == 1 or not speculation.confidences:
        return speculation
    held = [
        _held_back(sent, others, sampling)
        for sent, others in zip(speculation.confidences, speculation.candidates, strict=False)
    ]
    sent, candidates = zip(*held, strict=True)
    last = speculation.candidates[len(held) :]  # where nothing was sent nothing was held back
    return replace(speculation, confidences=sent, candidates=(*candidates, *last))


def _held_back(
    sent: float, others: Sequence[float], sampling: Sampling
) -> tuple[float, tuple[float, ...]]:
    C, F = sampling.saguaro_constant, sampling.saguaro_fanout
    best = nlargest(F, (sent, *others))
    left = 1 - (1 - C) * sum(best)

    def of(probability: float) -> float:
        return (C if probability >= best[-1] else 1.0) * probability / left

    return of(sent), tuple(map(of, others))
