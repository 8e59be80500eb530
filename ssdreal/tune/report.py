"""The results of a race as tables and sentences."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf, isnan, nan

from rich.table import Table

from ssdreal.tune.candidates import Candidate
from ssdreal.tune.learned import Lesson, Outcome, main_cause, slower
from ssdreal.tune.tuned import Tuned
from ssdsim.calibration.error_causes import CAUSES
from ssdsim.tune.racing import Bounds, Race

LEARNED = {
    "scheduling": "ssdsim puts pieces of work together otherwise than they were: tell its authors",
    "durations": "passes take another time in these runs than in the profile's",
    "contention": "both models slow each other otherwise than in the profile",
    "drift": "the machine is in another hour than any that the profile has measured",
    "acceptance": "the drafts for these prompts are accepted otherwise than for the profile's",
}
"""What is off where a cause adds most to the errors."""

AGAIN = "python -m ssdreal.profile --name {profile} --extend measures its times once more"
REMEDIES = {
    **dict.fromkeys(("durations", "contention", "drift"), AGAIN),
    "acceptance": "python -m ssdreal.profile --prompts FILE makes one of prompts like these",
}
"""What helps."""


def tables(tuned: Tuned) -> list[Table]:
    """Return what the command prints as tables."""
    outcomes, learned = tuned.outcomes(), tuned.lessons()
    speeds = _speeds(outcomes, tuned.race.rule.confidence)
    return [speeds, _options(outcomes), _errors(learned), _causes(learned)]


def sentences(tuned: Tuned) -> list[str]:
    """Return what the command says below its tables."""
    race, (best, *_) = tuned.race, tuned.outcomes()
    found = [_best(best, race), _ending(race), _regret(tuned), _noise(race)]
    reasons = Counter(tuned.entrants.left_out.values())
    left_out = [f"{count} left out: {reason}" for reason, count in reasons.items()]
    return [*found, *_to_learn(tuned), *left_out]


def _to_learn(tuned: Tuned) -> Iterator[str]:
    """Yield what the profile should learn, and how; nothing where its errors are small."""
    for cause, size in main_cause(tuned.lessons()[:-1]).items():
        yield f"to learn: {LEARNED[cause]}, which is {size:.1%} of tokens/s on average"
        if cause in REMEDIES:
            yield REMEDIES[cause].format(profile=tuned.tuning.profile)


def _speeds(outcomes: Sequence[Outcome], confidence: float) -> Table:
    table = _table(
        f"tokens/s; × leader with {confidence:.0%} confidence, from the blocks of both",
        ("configuration", "predicted", "from – to", "measured", "±", "error"),
        ("× leader", "from – to", "runs", "dropped after"),
    )
    for one in outcomes:
        candidate, ratio = one.entrant.candidate, one.over_leader
        table.add_row(
            candidate.name,
            f"{candidate.tokens_per_s:.1f}",
            _interval(candidate),
            f"{one.measured('tokens_per_s'):.1f}",
            f"{one.found.compared.spread:.1%}",
            f"{one.error('tokens_per_s'):+.1%}",
            f"{ratio.middle:.3f}",
            f"{ratio.low:.3f} – {ratio.high:.3f}" if ratio.low < ratio.high else "–",
            str(len(one.found.runs)),
            f"block {one.dropped.blocks}" if one.dropped else "–",
        )
    return table


def _options(outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("configuration", "options", ""):
        table.add_column(column, overflow="fold")
    for one in outcomes:
        table.add_row(one.entrant.name, one.entrant.candidate.options, one.remarks)
    return table


def _errors(found: Sequence[Lesson]) -> Table:
    table = _table(
        "errors of the predictions, hit rates in points; ratio: of tokens/s, apart from the mean",
        ("method", "configurations", "tokens/s", "ratio"),
        ("tokens a round", "seconds a round", "hit rate"),
    )
    for lesson in found:
        errors = lesson.errors
        shown = [errors["tokens_per_s"], lesson.ratio, errors["acceptance_length"]]
        shown += [errors["step_seconds"], errors["hit_rate"]]
        table.add_row(lesson.method, str(lesson.configurations), *map(_shown, shown))
    return table


def _causes(found: Sequence[Lesson]) -> Table:
    table = _table("what each guess adds to the error of tokens/s", ("method",), CAUSES)
    for lesson in found:
        table.add_row(lesson.method, *(_shown(lesson.causes.get(name, nan)) for name in CAUSES))
    return table


def _table(title: str, columns: Sequence[str], more: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for at, column in enumerate((*columns, *more)):
        table.add_column(column, justify="right" if at else "left")
    return table


def _best(best: Outcome, race: Race) -> str:
    candidate = best.entrant.candidate
    sure = f"with {race.rule.confidence:.0%} confidence"
    told = f"{sure} at most {slower(race.behind(race.leader)).high:.1%} slower than the best of all"
    known = told if race.gap < inf else f"too few blocks to say {sure} how near the best of all"
    speed = f"{best.measured('tokens_per_s'):.1f} tokens/s"
    return f"best: {candidate.name} ({candidate.options}), {speed}, {known}"


def _ending(race: Race) -> str:
    """Say why the race ended."""
    blocks, left = len(race.values), len(race.left)
    within = f"{_share(race.rule.within):.1%}"
    if race.over == "separated":
        return f"ended after {blocks} blocks: all others are slower"
    if race.over == "alike":
        return f"ended after {blocks} blocks with {left} left: none is {within} faster"
    stopped, needed = f"stopped after {blocks} blocks", race.blocks_to_tell(race.rule.within)
    if needed == inf:
        return f"{stopped}, too few to tell anything"
    needs = f"telling {within} apart takes some {needed:,.0f} blocks"
    return f"{stopped} with {left} left, whose difference noise hides; {needs}"


def _regret(tuned: Tuned) -> str:
    behind = slower(tuned.race.behind(tuned.choice.name))
    chance = tuned.choice.probability_best
    sure = "" if chance is None else f", which it took for the best with {chance:.0%}"
    regret = f"{behind.middle:.1%} ({_range(behind)})"
    return f"regret of ssdsim's choice, {tuned.choice.name}{sure}: {regret}"


def _noise(race: Race) -> str:
    if isnan(race.noise.own):
        return "noise: too few blocks to tell"
    shared, own = race.noise.shared, race.noise.own
    return (
        f"noise: blocks differ by ± {shared:.1%}, which all configurations share; "
        f"besides, a run by ± {own:.1%}"
    )


def _share(logarithm: float) -> float:
    return slower(Bounds(0.0, logarithm, 0.0)).middle


def _range(bounds: Bounds) -> str:
    return f"{bounds.low:.1%} – {bounds.high:.1%}"


def _shown(value: float) -> str:
    """Return an error as tables have it."""
    return "–" if isnan(value) else f"{value:+.1%}"


def _interval(candidate: Candidate) -> str:
    if candidate.low is None or candidate.high is None:
        return "–"
    return f"{candidate.low:.1f} – {candidate.high:.1f}"
