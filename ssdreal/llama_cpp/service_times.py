"""Measures what passes of a llama.cpp server take, in three short runs, for ssdsim's machine.

The engine drafts K tokens in series, verifies them in a pass of K + 1, and then lets the draft read
these K + 1 tokens as well, all in one process and on the same threads:

    seconds of a round = K d + v(K + 1)

where d is a step of the draft and v(w) a verify of w tokens together with all that follows. Plain
decoding tells v(1); the draft, served by itself, d; and one server of the greatest K all the rest:
where nothing is accepted, a text of K + 4 tokens ends in rounds that draft K, K - 1, ..., 1.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from ssdreal.llama_cpp.completion import Completion
from ssdreal.llama_cpp.server import serving
from ssdreal.llama_cpp.settings import DraftModel, Settings
from ssdsim.latency.machine import Machine
from ssdsim.latency.table import Table

Prompts = Sequence[Sequence[int]]

REPEATS = 3
"""Of the rounds of every text: one that was held up must not decide."""

PERIOD = 24
"""Tokens of a text that repeats itself, so that a lookup finds more than it is asked for."""


@dataclass(frozen=True)
class ServiceTimes:
    """What passes of a server take.

    Attributes
    ----------
    token
        Seconds of a round of plain decoding.
    step
        Of a drafted token; 0 where it is looked up.
    verify
        Of all else in a round, by how many tokens it drafted.

    """

    token: float
    step: float
    verify: Mapping[int, float]

    def machine(self) -> Machine:
        """Return what ssdsim simulates."""
        widths, seconds = zip(*sorted({0: self.token, **self.verify}.items()), strict=True)
        table = {"tokens": [1 + drafted for drafted in widths], "seconds": [*seconds]}
        free = {"seconds": 0.0}
        return Machine(
            target=Table({"verify": table, "prefill": free}),
            draft=Table({"step": {"seconds": self.step}, "fill": free, "prefill": free}),
        )


def measure(settings: Settings, prompts: Prompts, tokens: int) -> ServiceTimes:
    """Measure a server's passes halfway through texts of so many tokens.

    Parameters
    ----------
    settings
        Of a server that drafts; its lookahead is the greatest that will be known.
    prompts
        Token ids.
    tokens
        To decode for each.

    Raises
    ------
    ConfigError, RunError
        As `serving`.

    """
    assert settings.drafter is not None, "it drafts"
    plain = decode(replace(settings, drafter=None, forced=()), prompts, tokens)
    step, K = 0.0, settings.drafter.lookahead
    halfway = [[*p, *c.tokens[: tokens // 2]] for p, c in zip(prompts, plain, strict=True)]
    halfway *= REPEATS
    if isinstance(settings.drafter, DraftModel):
        alone = Settings(settings.drafter.model, threads=settings.threads)
        step = round_seconds(decode(alone, prompts, tokens))
    else:
        halfway = [_repeating(text) for text in halfway]
    falling = decode(replace(settings, forced=(0.0,) * K), halfway, K + 4)
    rest = {drafted: took - drafted * step for drafted, took in _by_drafted(falling).items()}
    return ServiceTimes(round_seconds(plain), step, rest)


def decode(
    settings: Settings, prompts: Prompts, tokens: int, first_seed: int = 0
) -> list[Completion]:
    """Start a server, decode so many tokens of each prompt, one after the other, and end it."""
    with serving(settings) as server:
        server.complete(prompts[0], 4)  # what is done once is done
        return [
            server.complete(prompt, tokens, seed) for seed, prompt in enumerate(prompts, first_seed)
        ]


def round_seconds(completions: Iterable[Completion]) -> float:
    """Return the mean seconds of a round."""
    seconds, rounds = map(sum, zip(*((c.seconds, c.rounds) for c in completions), strict=True))
    return seconds / rounds


def _repeating(text: Sequence[int]) -> list[int]:
    """Return a text as long that says the same over and over."""
    return [*text[-PERIOD:]] * (1 + len(text) // PERIOD)


def _by_drafted(completions: Iterable[Completion]) -> dict[int, float]:
    """Return the median seconds of rounds by the tokens that they drafted."""
    found: dict[int, list[float]] = defaultdict(list)
    for completion in completions:
        for one in completion.logged:
            if one.seconds is not None:
                found[one.drafted].append(one.seconds)
    return {drafted: median(seconds) for drafted, seconds in found.items()}
