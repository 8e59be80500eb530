"""From the ranks of a scoring pass to an acceptance trace, which replays greedy chains exactly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssdsim.acceptance.trace_file import write_trace
from ssdsim.observe.told import Ranks

KIND = "scored"
FEW = 8
"""Candidates, less than which are left out: a policy would predict none but those."""


def scored_length(ranks: Ranks) -> tuple[int, int]:
    """Return how many texts are replayed, and how many tokens of each.

    A run decodes as many of every text: the shortest that leave the most tokens in all decide,
    and those below are left out.
    """
    lengths = sorted((len(tokens) for tokens in ranks.tokens), reverse=True)
    total, texts = max((length * (at + 1), at + 1) for at, length in enumerate(lengths))
    return texts, total // texts


def write_scores(directory: Path, ranks: Ranks) -> None:
    """Write `acceptance.parquet` and `run.json`."""
    _, length = scored_length(ranks)
    kept = [at for at, tokens in enumerate(ranks.tokens) if len(tokens) >= length]
    least = min((len(top) for at in kept for top in ranks.top[at]), default=0)
    listed = least if least >= FEW else 0
    rows = [row for number, at in enumerate(kept) for row in _rows(ranks, at, number, listed)]
    ids = [token for row in rows for token in (row["token"], *row["top_ids"])]
    prompts = {str(number): [*ranks.prompts[at]] for number, at in enumerate(kept)}
    ids += [token for of in prompts.values() for token in of]
    info = {"source": "the draft's prompt_logprobs over prompts and outputs of the target"}
    write_trace(directory, rows, grid=(), vocabulary=max(ids) + 1, prompts=prompts, info=info)


def _rows(ranks: Ranks, at: int, number: int, listed: int) -> Iterator[dict[str, Any]]:
    """Yield a text's positions; greedy, so the target is sure of every token."""
    columns = zip(ranks.tokens[at], ranks.ranks[at], ranks.logprobs[at], ranks.top[at], strict=True)
    for position, (token, rank, logprob, best) in enumerate(columns):
        ids = [candidate for candidate, _ in best[:listed]]
        yield {
            "prompt": str(number),
            "kind": KIND,
            "temperature": 0.0,
            "coupling": "maximal",
            "position": position,
            "token": token,
            "rank": rank - 1,
            "a": float(rank == 1),
            "e": float(rank > 1),
            "logp": 0.0,
            "logq": logprob,
            "top_ids": ids,
            "top_q": [_probability(value) for _, value in best[:listed]],
            "top_p": [float(candidate == token) for candidate in ids],
            "saguaro_a": [],
            "saguaro_e": [],
        }


def _probability(logprob: float) -> float:
    from math import exp

    return min(1.0, exp(logprob))
