"""vLLM's lines of single iterations: how long a pass took, and what was in it."""

import re
from collections.abc import Sequence
from statistics import median

from ssdsim.observe.numbers import NUMBER, number
from ssdsim.observe.told import TimedPass

ITERATION = re.compile(
    rf"Iteration\((\d+)\): (\d+) context requests?, (\d+) context tokens?, (\d+) generation "
    rf"requests?, (\d+) generation tokens?, iteration elapsed time: ({NUMBER}) ms(?! ?\(dummy\))"
    rf"(?:.*?KV cache usage: ({NUMBER})%)?"
)
QUICKEST = 2e-4
"""Seconds that no pass of a served model takes less than."""
PART = 0.5
"""Of a round's seconds, as intervals have them, that its pass takes at least."""


def pass_of(found: re.Match[str], capacity: float | None, context: float | None) -> TimedPass:
    """Return a line's pass.

    Parameters
    ----------
    found
        Of `ITERATION`.
    capacity
        Tokens that the cache can hold, of which newer releases say the share that is used.
    context
        Tokens in it, as the last interval said.

    """
    _, _, prompt, requests, tokens, ms, used = found.groups()
    n, computed = int(requests), int(tokens)
    drafted = round(computed / n) - 1 if n else 0
    if used and capacity:
        context = number(used) / 100 * capacity
    return TimedPass(int(prompt), n, computed, max(0, drafted), number(ms) / 1000, context)


def disbelief(passes: Sequence[TimedPass], round_seconds: float | None) -> str:
    """Return why the lines' times are none of passes; empty where they may be.

    With asynchronous scheduling most are of a step's preparation alone.
    """
    of = [p.seconds for p in passes if p.requests and not p.prompt_tokens]
    seconds = median(of or [p.seconds for p in passes]) if passes else None
    least = PART * (round_seconds or 0.0) if of else 0.0
    if seconds is None or seconds >= max(QUICKEST, least):
        return ""
    said = f"iteration elapsed time is {1000 * seconds:.3g} ms"
    beside = f" where a round takes {1000 * round_seconds:.3g} ms" if round_seconds else ""
    return f"{said}{beside}, so it is no pass's (asynchronous scheduling?): left out"
