"""How many tokens SGLang drafts a round, from what it says of those accepted."""

from collections.abc import Sequence
from statistics import median, median_low

CLOSE = 0.0075
"""How far a printed rate of two decimals is from the one that its printed length makes, usually."""


def lookahead_of(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return K from accept lengths and rates, whichever way a release counts.

    Once rates were tokens a round over tokens in a verify, root and bonus counted; or they are
    drafts accepted over drafts sent. The one that makes the rates is meant; None where both do,
    with another K each, as a single line may.

    Parameters
    ----------
    pairs
        Tokens a round, bonus included, and the rate that stands beside it, above 0.

    """
    if not pairs:
        return None
    fits = {*_fitting(pairs, 0.0, 1.0), *_fitting(pairs, 1.0, 0.0)}
    return fits.pop() if len(fits) == 1 else None


def _fitting(pairs: Sequence[tuple[float, float]], bonus: float, root: float) -> list[float]:
    """Return the K with which lengths less the bonus over K and the root make the rates."""
    K = round(median_low((tau - bonus) / rate for tau, rate in pairs)) - root
    if K < 1:
        return []
    off = median(abs(rate - (tau - bonus) / (K + root)) for tau, rate in pairs)
    return [K] if off <= CLOSE else []
