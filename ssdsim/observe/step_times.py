"""Seconds of a pass by what is in it: a regression over the passes that an engine timed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ssdsim.observe.told import TimedPass, Told

Array = NDArray[np.float64]

DRAFT_SHARE = 0.1
"""A draft step over a verify, where nothing tells them apart."""
SAME = 1e-3
"""Of a column's size: what is left of it beside the others, less than which they cannot be told
apart."""
COLUMNS = ("base", "prompt", "tokens", "context")


@dataclass(frozen=True)
class StepTimes:
    """The seconds of passes, and where they come from.

    Attributes
    ----------
    base
        Of the target's pass, whatever is in it.
    tokens, prompt, context
        What a decoded token, a prompt's and one in the caches add; None where the passes do not
        tell. The first two are the same where passes do not tell them apart.
    draft
        Of a draft step.
    spread
        Half the middle 68 % of measured over fitted seconds; None where each has a pass of its own.
    passes
        How many were fitted.
    sources
        A line a number: measured, regressed or assumed.

    """

    base: float
    tokens: float | None
    prompt: float | None
    context: float | None
    draft: float
    spread: float | None
    passes: int
    sources: tuple[str, ...]


def step_times(told: Told, draft_step: float | None = None) -> StepTimes | None:
    """Fit the passes of a server; None where none was timed.

    Parameters
    ----------
    told
        What its logs tell.
    draft_step
        Seconds of a draft step, where somebody measured them.

    """
    passes = [p for p in told.passes if p.seconds > 0]
    if not passes:
        return None
    step, how = _measured_step(told, draft_step)
    if step is None:
        fitted = _fit(passes, 0.0, ("base", "prompt", "draft", "tokens", "context"))
        if found := fitted.get("draft"):
            how = "a draft step: regressed over passes of several K"
            return _times(fitted, passes, found, how)
        step = _assumed_step(passes)
        how = f"a draft step: assumed, {DRAFT_SHARE:.0%} of a pass (--draft-step says better)"
    fitted = _fit(passes, step, COLUMNS)
    if ("tokens" in fitted) != ("prompt" in fitted):
        fitted = _fit(passes, step, ("base", "computed", "context"))
    return _times(fitted, passes, step, how)


def _measured_step(told: Told, given: float | None) -> tuple[float | None, str]:
    if given is not None:
        return given, "a draft step: as given"
    if told.draft_seconds and told.lookahead:
        return (
            told.draft_seconds / told.lookahead,
            "a draft step: the log's time of drafting over K",
        )
    if told.hits and told.hits.tree and told.lookahead:
        return told.hits.tree / told.lookahead, "a draft step: the log's time of the tree over K"
    return None, ""


def _assumed_step(passes: Sequence[TimedPass]) -> float:
    """Return the share of a pass that a draft step is taken for, of passes with K of them."""
    alone = [p for p in passes if not p.prompt_tokens] or [*passes]
    return median(DRAFT_SHARE * p.seconds / (1 + DRAFT_SHARE * p.drafted) for p in alone)


def _fit(passes: Sequence[TimedPass], step: float, names: Sequence[str]) -> dict[str, float]:
    """Return the seconds of each column that can be told from those before it, none below 0."""
    with_context = [p for p in passes if p.context is not None]
    whole = 2 * len(with_context) > len(passes)
    used = with_context if whole else passes
    columns = {name: _column(name, used) for name in names if name != "context" or whole}
    root = np.sqrt(np.array([p.weight for p in used]))
    seconds = np.array([p.seconds - step * p.drafted for p in used]).clip(1e-9)
    kept = [*_independent(columns, root)]
    # By relative errors: a long prefill must not outweigh a hundred rounds.
    scale = root / seconds
    matrix = np.stack([columns[name] for name in kept], axis=1) * scale[:, None]
    sizes = matrix.max(axis=0)
    values, _ = nnls(matrix / sizes, root)
    return dict(zip(kept, (values / sizes).tolist(), strict=True))


def _column(name: str, passes: Sequence[TimedPass]) -> Array:
    return np.array([_size(name, each) for each in passes], dtype=np.float64)


def _size(name: str, of: TimedPass) -> float:
    """Return how much of a column there is in a pass."""
    sizes = {
        "base": 1.0,
        "tokens": of.tokens,
        "computed": of.tokens + of.prompt_tokens,
        "prompt": of.prompt_tokens,
        "context": of.context or 0.0,
        "draft": of.drafted,
    }
    return sizes[name]


def _independent(columns: dict[str, Array], root: Array) -> Iterator[str]:
    """Yield the columns of which something is left beside those before them."""
    basis: list[Array] = []
    for name, column in columns.items():
        weighted = column * root
        size = float(np.linalg.norm(weighted))
        left = weighted.copy()
        for other in basis:
            left -= (left @ other) * other
        norm = float(np.linalg.norm(left))
        if size and norm > SAME * size:
            basis.append(left / norm)
            yield name


def _times(
    fitted: dict[str, float], passes: Sequence[TimedPass], step: float, how: str
) -> StepTimes:
    spread = _spread(fitted, passes, step if "draft" not in fitted else 0.0)
    each = fitted.get("computed")
    return StepTimes(
        base=fitted["base"],
        tokens=fitted.get("tokens", each),
        prompt=fitted.get("prompt", each),
        context=fitted.get("context"),
        draft=step,
        spread=spread,
        passes=len(passes),
        sources=(how, *_lines(fitted, len(passes), spread)),
    )


def _lines(fitted: dict[str, float], passes: int, spread: float | None) -> Iterator[str]:
    scatter = f", which scatter by {spread:.1%} around it" if spread is not None else ""
    yield f"passes: regressed over {passes} timed ones{scatter}"
    if "computed" in fitted:
        yield "a token decoded and one of a prompt: not told apart, taken to cost the same"
    elif "tokens" not in fitted:
        yield "a token decoded, and one of a prompt: all passes are alike, taken to cost nothing"
    if "context" not in fitted:
        yield "a token in the cache: not told apart by these passes, taken to cost nothing"


def _spread(fitted: dict[str, float], passes: Sequence[TimedPass], step: float) -> float | None:
    """Return half the middle 68 % of measured over fitted seconds."""
    if len(passes) <= len(fitted):
        return None
    expected = sum(value * _column(name, passes) for name, value in fitted.items())
    drafting = step * np.array([p.drafted for p in passes])
    ratios = np.array([p.seconds for p in passes]) / (expected + drafting)
    low, high = np.quantile(ratios, [0.16, 0.84])
    return float(high - low) / 2
