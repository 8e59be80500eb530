"""Fits acceptance by position to a paper's top-k shares and one mean acceptance length.

Papers on token trees print how often the target's token is among the draft's top k at a position
of a text, and the mean tokens that a tree commits. Were positions alike, the first would give the
second. They are not: a chain commits fewer tokens than that, and branching once gains far more. So
a place of the round is harder than the others, and who publishes a tree that branches at one level
branches there. This reads off how much harder.
"""

from collections.abc import Mapping, Sequence

from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.acceptance.by_position import measured_curve
from ssdsim.errors import require
from ssdsim.theory import tree_length


def peaked(top: Mapping[int, float], length: float, depth: int, level: int) -> ByDepth:
    """Return the acceptance whose chain commits `length` tokens a round.

    The mean over the depths of P(not the draft's best) is the printed one, 1 - top[1]; and where
    it is larger at a depth, it is larger by the same factor for every top k. One number is left
    open, which is fitted: how much of the sum lies on `level`, the other depths sharing the rest
    alike. Where a chain that is sure to fail at `level` is still too long, it has the rest earlier
    instead: as much before `level` as it takes, and what is left behind it.

    Parameters
    ----------
    top
        Share of positions whose token is among the draft's top k, by k; k = 1 and two more.
    length
        Mean tokens (accepted + 1) that a chain of `depth` tokens commits.
    depth
        Drafted tokens of the chain.
    level
        Where the tree branches: 0 for the first drafted token.

    Returns
    -------
    ByDepth
        The closest that there is, where no such acceptance has this length.

    Raises
    ------
    ConfigError
        The shares are not those of a draft, or there is no such level.

    """
    require(0 <= level < depth, "level", level, f"needs one of the {depth} levels")
    more = [k for k in sorted(top) if k > 1]
    shares = [top.get(1, 0.0), *(top[k] for k in more)]
    rising = shares[0] > 0 and shares == sorted(shares) and shares[-1] < 1
    right = "needs rising shares in (0, 1) for k = 1 and two more"
    require(rising and len(more) > 1, "top", dict(top), right)
    low, high = 0.0, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        longer = tree_length(_accept(1 - shares[0], depth, level, middle)) > length
        low, high = (middle, high) if longer else (low, middle)
    missing = [(1 - share) / (1 - shares[0]) for share in shares[1:]]
    curve = measured_curve([k - 1 for k in more], missing)
    return ByDepth(
        accept=_accept(1 - shares[0], depth, level, low),
        miss_table=tuple(curve(F) for F in range(1, more[-1])),
    )


def _accept(miss: float, depth: int, level: int, peak: float) -> tuple[float, ...]:
    """Return the chances of acceptance; `peak` in [0, 2] says how much of the sum lies how early.

    Up to 1 it is P(rejected at `level`). Beyond, that is 1, and the depths before `level` move on
    from the mean of the rest towards all of it.
    """
    total = depth * miss
    at = min(peak, 1.0, total)
    mean = (total - at) / max(depth - 1, 1)
    earlier = min(1.0, mean + max(0.0, peak - 1) * (total - at - level * mean) / max(level, 1))
    behind = max(depth - 1 - level, 1)
    later = min(1.0, max(0.0, total - at - level * earlier) / behind)
    reject: Sequence[float] = [*[earlier] * level, at, *[later] * (depth - 1 - level)]
    return tuple(1 - hazard for hazard in reject)
