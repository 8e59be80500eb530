"""How many tokens SGLang drafts a round, from what it says of those accepted."""

from collections.abc import Sequence
from statistics import median_low

CLOSE = 0.03


def lookahead_of(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return K from accept lengths and rates, whichever way a release counts.

    Once rates were tokens a round over tokens in a verify, root and bonus counted; or they are
    drafts accepted over drafts sent. The one that gives a whole number is meant.

    Parameters
    ----------
    pairs
        Tokens a round, bonus included, and the rate that stands beside it, above 0.

    """
    if not pairs:
        return None
    with_root = median_low(tau / rate for tau, rate in pairs)
    without = median_low((tau - 1) / rate for tau, rate in pairs)
    off, K = min((_off(with_root), round(with_root) - 1), (_off(without), round(without)))
    return float(K) if K >= 1 and off <= CLOSE else None


def _off(ratio: float) -> float:
    """Return how far a ratio is from a whole number, as a share of it."""
    return abs(ratio - round(ratio)) / ratio if ratio else 1.0
