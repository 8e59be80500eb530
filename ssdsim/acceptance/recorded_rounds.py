"""Turns a run's own rounds into recorded texts that can be replayed at other settings.

In greedy and `gumbel` decoding the draft sends its best candidate, so the rounds tell the rank of
every token x among the draft's candidates (docs/acceptance_trace.md): an accepted token
was the draft's best, rank 0; after a rejection the sent token stood before x and is left out of
`Round.rank`, so x is one further down; after a full accept `Round.rank` is x's own. Then
a = [rank = 0] and e = [rank > 0], and rounds at any other lookahead, fan-out, backup and timing
follow as from an acceptance trace.

Not everything can be known so:

- Where `Round.rank` is -1, x was outside the candidates, or nobody looked it up (a `speculative`
  run, a round cut short by the last token, a lost draft). Such an x is never accepted and never
  predicted. A `speculative` run thus tells nothing of what follows a full accept: exact is only
  its own lookahead, where no draft ever reaches those positions.
- Under `maximal` the ranks of accepted tokens, and what was left to chance elsewhere, are unknown:
  the replay has the run's own realised outcomes and is exact at the run's own settings only.
- The candidates' probabilities are unknown. Speculations carry none, so policies that look at
  them rank outcomes otherwise than the run's did: replays are of static policies. And whether a
  rejected proposal of an n-gram or random backup stood before x is unknown; it is taken not to.
- The prompts' token ids are unknown: numbers below 0 that never repeat stand for them, so that an
  n-gram backup looks at the output alone.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssdsim.acceptance.trace_replay import RecordedText
from ssdsim.acceptance.trace_row import holds_back
from ssdsim.acceptance.trace_table import Table, Whole
from ssdsim.errors import require
from ssdsim.sampling.settings import Sampling, sampling_of

if TYPE_CHECKING:
    import pandas as pd

    from ssdsim.run.trace import Run


def is_run(directory: str) -> bool:
    """Return whether this is the directory of a run (an acceptance trace has no rounds)."""
    return (Path(directory) / "rounds.parquet").is_file()


def texts_of_run(
    directory: str, kinds: Sequence[str], sampling: Sampling
) -> tuple[tuple[RecordedText, ...], int]:
    """Return the texts of a run and the number of token ids: one more than the greatest in them.

    Parameters
    ----------
    directory
        A run directory.
    kinds
        Which kinds of prompts; all if empty.
    sampling
        How the replay is asked to sample.

    Raises
    ------
    ConfigError
        The run is not readable, sampled otherwise, has no token ids, drafted nothing or by
        another backup than the draft itself, or has no such kind of prompt.

    """
    from ssdsim.run.trace import load_run

    run = load_run(directory)
    _check_sampling(sampling, sampling_of(run.info["config"]), directory)
    _check_drafting(run, directory)
    sequences = _chosen(run.sequences, kinds, directory)
    rounds = run.rounds[run.rounds["seq"].isin(sequences["seq"])]
    token = np.concatenate(sequences["output"].to_list()).astype(np.int64)
    table = _table(token, _ranks(rounds.sort_values(["seq", "round"])))
    return tuple(_texts(table, sequences)), int(token.max()) + 1


def _check_sampling(asked: Sampling, own: Sampling, directory: str) -> None:
    if asked.temperature or own.temperature:  # greedy decoding is the same under either coupling
        _require_same(("temperature", "coupling"), asked, own, directory)
    if holds_back(asked) or holds_back(own):
        _require_same(("saguaro_constant", "saguaro_fanout"), asked, own, directory)


def _require_same(options: tuple[str, ...], asked: Sampling, own: Sampling, directory: str) -> None:
    wanted, there = (tuple(getattr(s, option) for option in options) for s in (asked, own))
    require(wanted == there, ", ".join(options), wanted, f"the run in {directory} has {there}")


def _check_drafting(run: "Run", directory: str) -> None:
    """Refuse runs whose rounds do not tell what the draft would have sent."""
    rounds = run.rounds  # a target's guesses at its own tokens are no drafts
    drafted = int(rounds["drafted"][rounds["speculator"] != "none"].sum())
    right = f"the run in {directory} drafted {drafted} tokens: needs one with a draft"
    require(drafted > 0, "acceptance.path", directory, right)
    config = run.info["config"]
    drafter = config.get("drafter", {"_target_": "model"})["_target_"]  # runs of old have none
    right = f"the run in {directory} has drafter={drafter}: needs model, whose ranks are replayed"
    require(drafter == "model", "acceptance.path", directory, right)
    known = run.sequences["output"].notna().any()
    right = f"the run in {directory} has no token ids: needs a real one, or of such a source"
    require(bool(known), "acceptance.path", directory, right)
    backup = config["backup"]["_target_"].rpartition(".")[2].lower()
    right = f"the run in {directory} has backup={backup}: needs jit, the draft's own tokens"
    own = run.info["policy"] is None or backup == "jit"
    require(own, "acceptance.path", directory, right)


def _chosen(sequences: "pd.DataFrame", kinds: Sequence[str], directory: str) -> "pd.DataFrame":
    """Return the sequences of these kinds that were begun, in order."""
    begun = sequences[sequences["tokens"] > 0].sort_values("seq")
    there = sorted(set(begun["kind"]))
    found = begun[begun["kind"].isin(kinds or there)]
    right = f"{directory} has {there}"
    require(len(found) > 0, "acceptance.kinds", list(kinds), right)
    return found


def _ranks(rounds: "pd.DataFrame") -> Whole:
    """Return the rank of every token of these rounds, in order; -1 where it is unknown."""
    accepted, rank = rounds["accepted"].to_numpy(), rounds["rank"].to_numpy()
    bonus = np.cumsum(accepted + 1) - 1
    ranks = np.zeros(bonus[-1] + 1, np.int64)
    rejected = accepted < rounds["drafted"].to_numpy()
    ranks[bonus] = np.where(rank < 0, -1, rank + rejected)
    return ranks


def _table(token: Whole, rank: Whole) -> Table:
    """Return the rows of these tokens, without any candidate."""
    none = np.zeros((token.size, 0))
    return Table(
        token=token,
        rank=rank,
        a=np.asarray(rank == 0, np.float64),
        e=np.asarray(rank > 0, np.float64),
        confidence=np.zeros(token.size),
        ids=np.full((token.size, 1), -1),
        q=np.zeros((token.size, 1)),
        sends=none,
        excess=none,
    )


def _texts(table: Table, sequences: "pd.DataFrame") -> Iterator[RecordedText]:
    columns = ("prompt", "kind", "prompt_tokens", "tokens")
    first = 0
    for name, kind, prompt, tokens in zip(*(sequences[c].tolist() for c in columns), strict=True):
        yield RecordedText(table, name, kind, tuple(range(-prompt, 0)), first, tokens)
        first += tokens
