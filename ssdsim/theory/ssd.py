"""Closed forms of SSD (Kumar, Dao, May 2026, arXiv 2603.03251: "SSD paper")."""

import math

from ssdsim.errors import require
from ssdsim.theory.ranges import check_positive, check_share, check_whole


def ssd_speedup(
    hit_rate: float,
    length_on_hit: float,
    length_on_miss: float,
    primary_time: float,
    backup_time: float,
    *,
    batch: int = 1,
) -> float:
    """Return SSD over autoregressive tokens/s where losing branches drop (SSD paper, Thm 7).

    (p·E_hit + (1-p)·E_miss) / (p^b·max(1, T_p) + (1-p^b)·(1 + T_b)), Cor. 16 for b > 1: one miss
    delays the whole batch. It describes `on_outcome=prune` where a draft step costs the same for
    any number of branches, one ends with the verify, and only missing rows are redrafted. For
    b > 1 it also needs T_p <= 1: beyond that rows that hit would draft on past the verify beside
    one that missed, and Cor. 16 does not charge for it.

    Parameters
    ----------
    hit_rate
        p, the probability that a row's outcome is in its speculation cache.
    length_on_hit, length_on_miss
        Mean tokens of the round that verifies a cached speculation, or one by the backup.
    primary_time, backup_time
        T_p and T_b, the time that each speculator takes for a speculation.
    batch
        b, rows in lock-step.

    """
    _check_times(primary_time, backup_time, batch)
    delivered = _mean_length(hit_rate, length_on_hit, length_on_miss)
    return delivered / _pruned_round(hit_rate**batch, primary_time, backup_time)


def ssd_speedup_wait(
    hit_rate: float,
    length_on_hit: float,
    length_on_miss: float,
    primary_time: float,
    backup_time: float,
    *,
    batch: int = 1,
) -> float:
    """Return SSD over autoregressive tokens/s where the draft finishes its tree (`wait`).

    (p·E_hit + (1-p)·E_miss) / (max(1, T_p) + (1-p^b)·T_b). Derived here: verify and tree start
    together and a draft that serves nothing until its tree is done holds up hits and misses
    alike, so this part lasts max(1, T_p) every round; before it comes the backup, in series, if
    any of the b rows missed, which has probability 1 - p^b as rows are independent. For T_p <= 1
    that is Cor. 16; for T_p > 1 a miss costs T_p - 1 more than there.

    Parameters are those of `ssd_speedup`; T_p includes the pass that predicts the outcomes.
    """
    _check_times(primary_time, backup_time, batch)
    delivered = _mean_length(hit_rate, length_on_hit, length_on_miss)
    return delivered / (max(1.0, primary_time) + (1 - hit_rate**batch) * backup_time)


def critical_batch(
    hit_rate: float,
    length_on_hit: float,
    primary_time: float,
    slow: tuple[float, float],
    fast: tuple[float, float],
) -> float:
    """Return b*, the least batch size at which the fast backup is at least as good as the slow.

    From Cor. 16 of the SSD paper. With q = p^b the slow one wins while N_s·D_f > N_f·D_s, where
    N = p·E_hit + (1-p)·E_miss and D = q·max(1, T_p) + (1-q)·(1 + T_b): both sides are linear in
    q, so their difference g runs from g(1) at b = 0 to g(0) at b = ∞ and has one root at most. As
    T_f <= T_s the slow one can only lead below it.

    Parameters
    ----------
    hit_rate, length_on_hit, primary_time
        As in `ssd_speedup`.
    slow, fast
        (length_on_miss, backup_time) of the two backups.

    Returns
    -------
    float
        A whole number of rows; 1 when the fast one wins from the start, `math.inf` when never.

    Raises
    ------
    ConfigError
        Also where the fast one takes longer than the slow one.

    """
    for _, seconds in (slow, fast):
        _check_times(primary_time, seconds, batch=1)
    require(fast[1] <= slow[1], "fast", fast, f"must take no longer than slow={slow}")
    slow_length, fast_length = (_mean_length(hit_rate, length_on_hit, b[0]) for b in (slow, fast))

    def lead(all_hit: float) -> float:
        slow_round, fast_round = (_pruned_round(all_hit, primary_time, b[1]) for b in (slow, fast))
        return slow_length * fast_round - fast_length * slow_round

    if lead(hit_rate) <= 0:
        return 1.0
    if lead(0.0) >= 0:
        return math.inf
    root = lead(0.0) / (lead(0.0) - lead(1.0))
    return float(math.ceil(math.log(root) / math.log(hit_rate)))


def _mean_length(hit_rate: float, length_on_hit: float, length_on_miss: float) -> float:
    check_share("hit_rate", hit_rate)
    check_positive("length_on_hit", length_on_hit)
    check_positive("length_on_miss", length_on_miss)
    return hit_rate * length_on_hit + (1 - hit_rate) * length_on_miss


def _pruned_round(all_hit: float, primary_time: float, backup_time: float) -> float:
    """Return the denominator of Cor. 16, given the probability that every row hits."""
    return all_hit * max(1.0, primary_time) + (1 - all_hit) * (1 + backup_time)


def _check_times(primary_time: float, backup_time: float, batch: int) -> None:
    check_positive("primary_time", primary_time)
    check_positive("backup_time", backup_time)
    check_whole("batch", batch, 1)
