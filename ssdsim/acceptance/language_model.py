"""A small synthetic pair of Markov-chain models, decoded token by token with exact logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator, default_rng

from ssdsim.acceptance.early_view import early_logits
from ssdsim.acceptance.logit_tables import LogitTables
from ssdsim.acceptance.synthetic_pair import Pair, PairText
from ssdsim.acceptance.trace_file import write_trace
from ssdsim.acceptance.trace_row import holds_back, position_row
from ssdsim.errors import require
from ssdsim.sampling.distributions import LEAST, MOST, Array
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.settings import Sampling

_MOST_LOGITS = 10**7


@dataclass(frozen=True)
class LanguageModel:
    """Two Markov chains: a target, and a draft that is the target with errors.

    Attributes
    ----------
    vocabulary
        Number of token ids, V.
    sharpness
        Standard deviation of the target's logits: the larger, the less is left to chance.
    divergence
        Mean over contexts of the standard deviation of the draft's errors in its logits; 0 is a
        perfect draft. It differs between contexts (exponentially), so some places are hard.
    order
        How many tokens back the models look.
    prompt_tokens
        Length of the prompts, which are random.
    seed
        Of the tables and the prompts; the run's seed decides the rest.
    exit_distance
        How far the target's early view in mid-verify is from the truth, as mean over contexts of
        the total variation at the run's temperature (greedy: at 1). 0 is the truth itself.

    """

    vocabulary: int = 16
    sharpness: float = 2.0
    divergence: float = 1.0
    order: int = 1
    prompt_tokens: int = 4
    seed: int = 0
    exit_distance: float = 0.0
    uses: ClassVar[frozenset[str]] = frozenset({"temperature", "coupling", "saguaro"})

    def __post_init__(self) -> None:
        V, order = self.vocabulary, self.order
        require(V >= 2, "acceptance.vocabulary", V, "must be at least 2")
        for name, least in (("sharpness", LEAST), ("divergence", 0.0)):
            value, right = getattr(self, name), f"must be from {least:g} to {MOST:g}"
            require(least <= value <= MOST, f"acceptance.{name}", value, right)
        fits = (
            1 <= order < 64 and V ** (order + 1) <= _MOST_LOGITS
        )  # the power alone could fill memory
        right = f"must be at least 1, with vocabulary^(order + 1) at most {_MOST_LOGITS}"
        require(fits, "acceptance.order", order, right)
        right = f"must be at least the order, {order}"
        require(self.prompt_tokens >= order, "acceptance.prompt_tokens", self.prompt_tokens, right)
        require(self.seed >= 0, "acceptance.seed", self.seed, "must be 0 or more")
        most = 0.9 * (1 - 1 / V)
        right = f"must be from 0 to {most:.3g}: beyond that a view of {V} tokens says nothing"
        distance = self.exit_distance
        require(0 <= distance <= most, "acceptance.exit_distance", distance, right)

    def open(self, sampling: Sampling, rng: Generator) -> Pair:
        """Return the pair, decoding as `sampling` says.

        Raises
        ------
        ConfigError
            Saguaro sampling under the `gumbel` coupling, or a sampling option out of range.

        """
        holds_back(sampling)
        key, (target, draft) = int(rng.integers(2**63)), self.logits()

        def exits() -> Array:
            errors = default_rng([self.seed, 1])
            return early_logits(target, self.exit_distance, sampling.temperature, errors)

        return Pair(LogitTables(target, draft, sampling, exits), self.prompt_ids, key)

    def logits(self) -> tuple[Array, Array]:
        """Return the target's and the draft's table, shape (V^order, V) each."""
        rng = default_rng(self.seed)
        shape = (self.vocabulary**self.order, self.vocabulary)
        target = self.sharpness * rng.standard_normal(shape)
        error = rng.exponential(size=(shape[0], 1)) * rng.standard_normal(shape)
        return target, target + self.divergence * error

    def prompt_ids(self, seq: int) -> list[int]:
        """Return the prompt of sequence `seq`: the same whatever the run's seed."""
        uniform = Noise(self.seed, seq).uniforms(0, self.prompt_tokens, "bonus")
        ids: list[int] = np.floor(uniform * self.vocabulary).astype(int).tolist()
        return ids


def record(
    config: LanguageModel,
    directory: str | Path,
    samplings: Sequence[Sampling],
    *,
    sequences: int,
    tokens: int,
    grid: Sequence[tuple[float, int]] = (),
    seed: int = 0,
    exit_layers: Sequence[int] = (),
) -> None:
    """Write the acceptance trace of a pair over texts that its target generates.

    Parameters
    ----------
    config
        The pair.
    directory
        Where to, see `trace_file`.
    samplings
        The temperatures and couplings to record.
    sequences, tokens
        How many texts for each of them, and how many tokens a text.
    grid
        Saguaro settings (C, F).
    seed
        The texts are those of `config.open(sampling, default_rng(seed))`.
    exit_layers
        What the layers are called whose early view is written down: all have the one that there is.

    """
    rows: list[dict[str, Any]] = []
    prompts: dict[str, list[int]] = {}
    for sampling in samplings:
        pair = config.open(sampling, default_rng(seed))
        for seq in range(sequences):
            name, kind = pair.prompt(seq)
            prompts[name] = pair.prompt_ids(seq)
            text = {"prompt": name, "kind": kind, "temperature": sampling.temperature}
            text["coupling"] = sampling.coupling
            positions = enumerate(_positions(pair.text(seq), tokens, grid, len(exit_layers)))
            rows += [{**text, "position": at, **row} for at, row in positions]
    own = config.vocabulary
    write_trace(
        directory, rows, grid=grid, vocabulary=own, prompts=prompts, exit_layers=exit_layers
    )


def _positions(
    text: PairText, tokens: int, grid: Sequence[tuple[float, int]], layers: int
) -> list[dict[str, Any]]:
    """Let the target write `tokens` tokens alone, and return a row for each."""
    rows = []
    for _ in range(tokens):
        here = text.after()
        early = text.early_after() if layers else np.zeros(0)
        exits = {"exit_ids": [*range(early.size)] * layers, "exit_p": [*early.tolist()] * layers}
        (token,) = text.commit(text.speculate(0, "none"), 1)
        rows.append(position_row(here.target, here.draft, token, grid) | exits)
    return rows
