"""Closed forms: what speculation and SSD gain when positions are alike and times are constant.

Times are in units of one verify and lengths in tokens a round, bonus included, unless said
otherwise. Every function raises `ConfigError` for an argument outside its range.

Sources: Leviathan, Kalman, Matias 2023 (arXiv 2211.17192); Kumar, Dao, May 2026, "speculative
speculative decoding" (arXiv 2603.03251), here "SSD paper".
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import mul
from typing import TypeVar

from ssdsim.errors import require

Fanout = TypeVar("Fanout", int, float)


def acceptance_length(alpha: float, lookahead: int) -> float:
    """Return the mean tokens a round, τ = (1 - α^(K+1)) / (1 - α).

    Leviathan et al., eq. 1. Written as the sum of α^k it holds at α = 1 too, and loses no digits
    beside it.

    Parameters
    ----------
    alpha
        Probability that a drafted token is accepted, independent over positions.
    lookahead
        Drafted tokens a round, K.

    """
    _check_share("alpha", alpha)
    _check_whole("lookahead", lookahead, 0)
    return math.fsum(alpha**k for k in range(lookahead + 1))


def tree_length(holds: Sequence[float]) -> float:
    """Return the mean tokens a round where depths differ, τ = 1 + Σ_j Π_(i<=j) holds[i].

    EAGLE (Li et al. 2024), for a chain; of a tree with w children at depth i, holds[i] is the
    chance that they hold the target's token.

    Parameters
    ----------
    holds
        P(drafting goes on past depth i | it did before), i = 0..K-1.

    """
    for share in holds:
        _check_share("holds", share)
    return 1 + math.fsum(accumulate(holds, mul))


def speculative_speedup(alpha: float, lookahead: int, cost: float) -> float:
    """Return speculative over autoregressive tokens/s, τ / (K·c + 1) (Leviathan et al., Thm 3.8).

    Parameters
    ----------
    alpha, lookahead
        As in `acceptance_length`.
    cost
        c, the seconds of a draft step over those of a target pass.

    """
    _check_positive("cost", cost)
    return acceptance_length(alpha, lookahead) / (lookahead * cost + 1)


def operations_factor(alpha: float, lookahead: int, cost: float) -> float:
    """Return how many times the arithmetic a token takes, (K·ĉ + K + 1) / τ.

    Leviathan et al., Thm 3.11.

    Parameters
    ----------
    alpha, lookahead
        As in `acceptance_length`.
    cost
        ĉ, the draft's operations a token over the target's.

    """
    _check_positive("cost", cost)
    return (lookahead * cost + lookahead + 1) / acceptance_length(alpha, lookahead)


def jacobi_passes(alpha: float, block: int) -> float:
    """Return the mean passes that Jacobi iteration reads a block, 2 + (b-1)·(1-α) - (1-α)^(b-1).

    Derived here for a first guess that is padding. Each of the other b-1 tokens is guessed once
    after a partly wrong prefix. A wrong guess ends a pass, which makes that token right. So
    there are as many passes as wrong guesses, and two more: the first, and the one that ends in
    right guesses, if only of the last token's own. Reading stops after b passes, which saves the
    last one where all guesses were wrong. Speedup: b over this, where all passes cost the same.

    Parameters
    ----------
    alpha
        Probability that a guess after a partly wrong prefix is right, independent over positions.
    block
        b, tokens guessed at a time.

    """
    _check_share("alpha", alpha)
    _check_whole("block", block, 1)
    return 2 + (block - 1) * (1 - alpha) - (1 - alpha) ** (block - 1)


def best_lookahead(alpha: float, cost: float, most: int = 64) -> int:
    """Return the lookahead in 0..`most` with the greatest `speculative_speedup`.

    0 when speculation does not pay (α <= c: Leviathan et al., Cor. 3.9); the least when several
    are as good.
    """
    _check_whole("most", most, 0)
    return max(range(most + 1), key=lambda lookahead: speculative_speedup(alpha, lookahead, cost))


def seconds_per_token(draft: float, target: float, calls: float, discarded: float) -> float:
    """Return the seconds a token of speculation on one timeline, whatever decides its lengths.

    An identity (SpecDec++; Huang et al. 2024, section 4): every drafted token was delivered or
    discarded, and every target pass delivers one token that was not drafted, so it is
    t_q·(1 + D) + (t_p - t_q)·V.

    Parameters
    ----------
    draft, target
        t_q and t_p, seconds of a draft step and of a target pass.
    calls, discarded
        V and D, target passes and discarded drafts, each a token delivered.

    """
    _check_positive("draft + target", draft + target)
    return draft * (1 + discarded) + (target - draft) * calls


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


def outcome_weights(alpha: float, lookahead: int) -> list[float]:
    """Return P(k drafted tokens are accepted), k = 0..K: α^k·(1-α), and α^K for all of them."""
    _check_share("alpha", alpha)
    _check_whole("lookahead", lookahead, 0)
    return [alpha**k * (1 - alpha) for k in range(lookahead)] + [alpha**lookahead]


def geometric_fanout(budget: float, alpha: float, exponent: float, lookahead: int) -> list[float]:
    """Return the real-valued F_0..F_K with sum `budget` that miss least (SSD paper, Thm 12).

    Minimises Σ w_k·F_k^-r with w = `outcome_weights`. By Lagrange F_k ∝ w_k^(1/(1+r)), which is
    the theorem's F_k = F_0·α^(k/(1+r)) and F_K = F_0·α^(K/(1+r))·(1-α)^(-1/(1+r)), and also
    holds at α = 1, where the whole budget goes to F_K.

    Parameters
    ----------
    budget
        Outcomes that are prepared a round, ΣF_k.
    alpha, lookahead
        As in `acceptance_length`.
    exponent
        r of the miss curve P(bonus outside the draft's top F) = F^-r.

    """
    _check_positive("budget", budget)
    _check_positive("exponent", exponent)
    shares = [weight ** (1 / (1 + exponent)) for weight in outcome_weights(alpha, lookahead)]
    return [budget * share / math.fsum(shares) for share in shares]


def fanout_objective(
    fanouts: Iterable[Fanout], weights: Sequence[float], miss: Callable[[Fanout], float]
) -> float:
    """Return the miss rate Σ w_k·miss(F_k), the objective of Thm 12 of the SSD paper.

    Parameters
    ----------
    fanouts
        F_0..F_K.
    weights
        P(k drafted tokens are accepted), k = 0..K.
    miss
        P(bonus token outside the draft's top F); for a table, its `__getitem__`.

    """
    return math.fsum(w * miss(fanout) for w, fanout in zip(weights, fanouts, strict=True))


def _mean_length(hit_rate: float, length_on_hit: float, length_on_miss: float) -> float:
    _check_share("hit_rate", hit_rate)
    _check_positive("length_on_hit", length_on_hit)
    _check_positive("length_on_miss", length_on_miss)
    return hit_rate * length_on_hit + (1 - hit_rate) * length_on_miss


def _pruned_round(all_hit: float, primary_time: float, backup_time: float) -> float:
    """Return the denominator of Cor. 16, given the probability that every row hits."""
    return all_hit * max(1.0, primary_time) + (1 - all_hit) * (1 + backup_time)


def _check_times(primary_time: float, backup_time: float, batch: int) -> None:
    _check_positive("primary_time", primary_time)
    _check_positive("backup_time", backup_time)
    _check_whole("batch", batch, 1)


def _check_share(option: str, value: float) -> None:
    require(0 <= value <= 1, option, value, "must lie in [0, 1]")


def _check_positive(option: str, value: float) -> None:
    require(0 <= value < math.inf, option, value, "must be a finite number, 0 or more")


def _check_whole(option: str, value: int, least: int) -> None:
    require(isinstance(value, int) and value >= least, option, value, f"must be whole, >= {least}")
