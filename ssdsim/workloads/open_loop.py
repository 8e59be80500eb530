"""What random arrivals have in common: a rate, and lengths that are drawn for every request."""

from dataclasses import dataclass
from math import pi, sin, sqrt
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ssdsim.errors import require
from ssdsim.sampling.streams import stream
from ssdsim.workloads.base import Request, Workload, check_concurrency
from ssdsim.workloads.lengths import Lengths
from ssdsim.workloads.prefixes import Ids, prefixes


@dataclass(frozen=True)
class RandomArrivals(Workload):
    """Requests come at random, whether those before are finished or not.

    Attributes
    ----------
    rate
        Requests a second on average; a very high one makes the workload closed.
    prompt_tokens
        Of each: a number, which the prompts of the acceptance source replace where it has some, or
        a distribution (`_target_: geometric` or `quantiles`).
    output_tokens
        Tokens to decode for each, likewise.
    correlation
        Rank correlation (Spearman's) between tokens of prompt and output, -1 to 1.
    concurrency
        Clients (`--max-concurrency` of vLLM's `bench serve`): who comes while so many requests are
        there is sent when one is finished, and its times count from then; null: any number.
    think_time
        Seconds from an answer to its client's next request; of a benchmark the way there and back.
    prefix_share
        Share of the blocks of prompts, of 512 tokens, that an earlier prompt began with, for
        `serving.enable_prefix_caching` and `router=prefix_aware`.

    """

    rate: float = 1.0
    prompt_tokens: int | Lengths = 128
    output_tokens: int | Lengths = 256
    correlation: float = 0.0
    concurrency: int | None = None
    think_time: float = 0.0
    prefix_share: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("prompts", 1), ("prompt_tokens", 0), ("output_tokens", 1)):
            value = getattr(self, name)
            enough = not isinstance(value, int) or value >= least
            require(enough, f"workload.{name}", value, f"needs a number >= {least}")
        right = "needs a number of requests a second > 0"
        require(self.rate > 0, "workload.rate", self.rate, right)
        right = "needs a number from -1 to 1"
        require(abs(self.correlation) <= 1, "workload.correlation", self.correlation, right)
        check_concurrency(self.concurrency)
        require(self.think_time >= 0, "workload.think_time", self.think_time, "needs seconds >= 0")
        share = self.prefix_share
        require(0 <= share <= 1, "workload.prefix_share", share, "needs a share from 0 to 1")

    @property
    def most_at_once(self) -> int | None:
        """The clients."""
        return self.concurrency

    @property
    def thinking(self) -> float:
        """The clients' think time."""
        return self.think_time

    @property
    def longest_prompt(self) -> int:
        """Tokens of the longest prompt."""
        return _most(self.prompt_tokens)

    @property
    def longest_output(self) -> int:
        """Most tokens to decode for one request."""
        return _most(self.output_tokens)

    def requests(self, seed: int) -> list[Request]:
        """Return all requests in order of arrival; the same for the same seed."""
        arrivals = np.cumsum(self.gaps(stream(seed, "arrivals")))
        prompts, outputs = self._shares(seed)
        return [
            Request(arrival, prompt, max(1, output), prefix)
            for arrival, prompt, output, prefix in zip(
                arrivals.tolist(),
                _prompts(self.prompt_tokens, prompts),
                _tokens(self.output_tokens, outputs),
                self._prefixes(_tokens(self.prompt_tokens, prompts), seed),
                strict=True,
            )
        ]

    def gaps(self, rng: Generator) -> NDArray[Any]:
        """Return the seconds from each request to the next, an array of `prompts` numbers."""
        raise NotImplementedError

    def _prefixes(self, tokens: list[int], seed: int) -> list[Ids]:
        if not self.prefix_share:
            return [()] * self.prompts
        return prefixes(tokens, self.prefix_share, stream(seed, "prefixes"))

    def _shares(self, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return where among all prompts and outputs each request's lie, of uniform marginals.

        A Gaussian copula: Spearman's rho is 6/pi arcsin(r/2) of its normal variables' r.
        """
        from scipy.special import ndtr

        r = 2 * sin(pi * self.correlation / 6)
        prompt = stream(seed, "prompt lengths").standard_normal(self.prompts)
        own = stream(seed, "output lengths").standard_normal(self.prompts)
        return ndtr(prompt), ndtr(r * prompt + sqrt(1 - r**2) * own)


def _most(tokens: int | Lengths) -> int:
    return tokens if isinstance(tokens, int) else tokens.most


def _tokens(tokens: int | Lengths, shares: NDArray[Any]) -> list[int]:
    if isinstance(tokens, int):
        return [tokens] * len(shares)
    drawn: list[int] = tokens.tokens(shares).tolist()
    return drawn


def _prompts(tokens: int | Lengths, shares: NDArray[Any]) -> list[int] | list[None]:
    return [None] * len(shares) if isinstance(tokens, int) else _tokens(tokens, shares)
