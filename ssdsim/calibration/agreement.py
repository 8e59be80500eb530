"""Compares a measured run's rounds with those of its replay, field by field.

Where nothing is left to chance both must be the same, but for near ties: passes of another shape
add up in another order, and two candidates whose scores nearly agree may change places. So every
difference comes with its margin, how far apart the scores are that decide it. Margins within the
rounding of the logits explain a difference; a wrong rule leaves differences of any margin.

Margins are in units of the scores: logits in greedy decoding, log q + noise under the `gumbel`
coupling (so logits/T there; the noise does not grow with T). They come from the acceptance trace:
its `top_q` and `top_p` are the softmax of the scores, so log-ratios are differences of scores.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdsim.acceptance.trace_checks import AcceptanceTrace
from ssdsim.acceptance.trace_row import is_deterministic
from ssdsim.run.trace import Run
from ssdsim.sampling.settings import Sampling, sampling_of

Row = dict[str, Any]
"""A row of a run's table."""

Place = tuple[str, int]
"""A prompt's name, and a position after the prompt's end."""

DRAFTED = ("drafted", "speculator")
CAUSED = ("hit", *DRAFTED)
"""What the outcome of the round before decides, and nothing in the round itself."""


@dataclass(frozen=True)
class Difference:
    """One field of one round that a replay has otherwise.

    Attributes
    ----------
    seq, round
        Which round of which sequence.
    field
        Its column in `rounds.parquet`: "drafted", "hit", "speculator", "accepted", "token" or
        "rank".
    measured, replayed
        Its values.
    margin
        How far apart the scores are whose order decides it (see `compare_rounds`); None where the
        trace does not tell.

    """

    seq: int
    round: int
    field: str
    measured: Any
    replayed: Any
    margin: float | None


@dataclass(frozen=True)
class Agreement:
    """How far the rounds of two runs agree.

    Attributes
    ----------
    rounds
        Measured rounds that were compared.
    skipped
        Measured rounds that were not: after a first difference in the delivered tokens the rest
        of a sequence is another text, and the replay may lack a sequence or its end.
    differences
        In order of sequence and round.

    """

    rounds: int
    skipped: int
    differences: tuple[Difference, ...]

    @property
    def share(self) -> float:
        """Share of the compared rounds that agree in every field; NaN if none was compared."""
        differing = {(difference.seq, difference.round) for difference in self.differences}
        return 1 - len(differing) / self.rounds if self.rounds else float("nan")

    def unexplained(self, noise: float) -> tuple[Difference, ...]:
        """Return the differences that scores wrong by up to `noise` do not explain."""
        return tuple(
            difference
            for difference in self.differences
            if difference.margin is None or not difference.margin <= noise
        )


def compare_rounds(measured: Run, replayed: Run, trace: AcceptanceTrace) -> Agreement:
    """Compare what two runs of the same settings did, sequence by sequence.

    Rounds are compared in order until the delivered tokens differ, which `accepted` or `token`
    shows: from there on the texts are no longer aligned. A rank or a token is compared where both
    runs have one. The margin is

    - of `rank`: between x, the bonus token, and the farthest candidate that it changed places with;
    - of `accepted`: between x and the best other candidate of the draft where one run rejected what
      the other accepted; if the target itself chose differently there, as of `token`;
    - of `token`: between the target's two choices;
    - of `hit`, `speculator` and `drafted`: that of the rank in the round before, since x went in or
      out of the fan-out by changing places; `accepted` follows likewise when the speculations
      come from different speculators.

    A random backup draws its proposals in the order of the misses: after a miss that only one run
    has, they differ, and what is accepted of them has no true margin.

    Parameters
    ----------
    measured, replayed
        The runs.
    trace
        Of the texts of the measured run. Under the `maximal` coupling at a temperature above 0
        chance decides, not an order of scores: there no difference has a margin.

    """
    at = _positions(trace, sampling_of(measured.info["config"]))
    ours, compared = _texts(replayed), 0
    found: list[Difference] = []
    for seq, text in _texts(measured).items():
        cause = None
        for pair in _aligned(text, ours[seq]) if seq in ours else ():
            differing = dict(_differing(pair, at(pair.place), cause))
            found += [pair.difference(name, margin) for name, margin in differing.items()]
            compared += 1
            cause = differing.get("rank")
    return Agreement(compared, measured.tables["rounds"].num_rows - compared, tuple(found))


@dataclass(frozen=True)
class _Text:
    """A sequence of a run: its prompt's name, its token ids where there are any, its rounds."""

    prompt: str
    output: Sequence[int] | None
    rounds: list[Row]


def _texts(run: Run) -> dict[int, _Text]:
    """Return the sequences of a run by number."""
    texts = {
        row["seq"]: _Text(row["prompt"], row["output"], [])
        for row in run.tables["sequences"].to_pylist()
    }
    for row in sorted(run.tables["rounds"].to_pylist(), key=itemgetter("round")):
        texts[row["seq"]].rounds.append(row)
    return texts


@dataclass(frozen=True)
class _Pair:
    """A round as measured and as replayed.

    `place` is where it is decided, (prompt, position): the first position at which one of them
    rejected what the other accepted, else the bonus token's. `tokens` are what they delivered
    there, None where a run has no token ids.
    """

    one: Row
    other: Row
    place: Place
    tokens: tuple[int | None, int | None]

    def differ(self, *names: str) -> bool:
        """Return whether one of these fields differs."""
        return any(self.one[name] != self.other[name] for name in names)

    def clash(self, name: str) -> bool:
        """Return whether a field differs that both know: no token, or a rank of -1, is unknown."""
        known = all(row[name] is not None and row[name] >= 0 for row in (self.one, self.other))
        return known and self.differ(name)

    def difference(self, name: str, margin: float | None) -> Difference:
        """Return that this field differs."""
        one, other = self.one, self.other
        return Difference(one["seq"], one["round"], name, one[name], other[name], margin)


def _aligned(theirs: _Text, ours: _Text) -> Iterator[_Pair]:
    """Yield the rounds of two sequences up to the first that delivers other tokens."""
    start = 0
    for one, other in zip(theirs.rounds, ours.rounds, strict=False):
        at = start + min(one["accepted"], other["accepted"])
        first, second = (text.output[at] if text.output else None for text in (theirs, ours))
        pair = _Pair(one, other, (theirs.prompt, at), (first, second))
        yield pair
        if pair.differ("accepted") or pair.clash("token"):
            return
        start = at + 1


def _differing(
    pair: _Pair, position: "_Position", cause: float | None
) -> Iterator[tuple[str, float | None]]:
    """Yield the fields that differ and their margins; `cause` is that of the rank before."""
    one, other = pair.one, pair.other
    for name in CAUSED:
        if pair.differ(name):
            yield name, cause
    if pair.differ("accepted"):
        yield "accepted", cause if pair.differ(*DRAFTED) else position.drafted(*pair.tokens)
    elif pair.clash("token"):
        yield "token", position.chosen(one["token"], other["token"])
    elif pair.clash("rank"):
        yield "rank", position.behind(position.rank + one["rank"] - other["rank"])


@dataclass(frozen=True)
class _Position:
    """The scores of one position, but for a number that all tokens of a model share.

    Attributes
    ----------
    token, rank
        x, and its rank among the draft's candidates.
    draft_score, target_score
        Of x.
    ids, draft_scores, target_scores
        Of the candidates listed, the draft's best first, shape (M,).

    """

    token: int = -1
    rank: int = 0
    draft_score: float = 0.0
    target_score: float = 0.0
    ids: Sequence[int] = ()
    draft_scores: Sequence[float] = ()
    target_scores: Sequence[float] = ()

    def behind(self, place: int) -> float | None:
        """Return the draft's margin between x and the candidate of another rank."""
        listed = 0 <= place < len(self.ids)
        return abs(self.draft_scores[place] - self.draft_score) if listed else None

    def chosen(self, *tokens: int | None) -> float | None:
        """Return the target's margin between two tokens."""
        scores: dict[int | None, float] = dict(zip(self.ids, self.target_scores, strict=True))
        scores[self.token] = self.target_score
        one, other = map(scores.get, tokens)
        return None if one is None or other is None else abs(one - other)

    def drafted(self, *tokens: int | None) -> float | None:
        """Return the margin of a draft accepted in one run alone, after which these tokens came."""
        if len(set(tokens)) > 1:
            return self.chosen(*tokens)
        return self.behind(0 if self.rank else 1)


def _positions(trace: AcceptanceTrace, sampling: Sampling) -> Callable[[Place], _Position]:
    """Return what finds the scores of a place: none where chance decides, or not recorded."""
    columns, recorded = trace.columns, trace.at(sampling.temperature, sampling.coupling)
    rows = np.flatnonzero(recorded & is_deterministic(sampling))
    places = zip(columns["prompt"][rows], columns["position"][rows].tolist(), strict=True)
    row_of = dict(zip(places, rows.tolist(), strict=True))
    unknown = _Position()
    return lambda place: _position(columns, row_of[place]) if place in row_of else unknown


def _position(columns: dict[str, NDArray[Any]], row: int) -> _Position:
    names = ("token", "rank", "logq", "logp", "top_ids")
    with np.errstate(divide="ignore"):  # truncation leaves some tokens no chance
        scores = [np.log(columns[name][row], dtype=np.float64) for name in ("top_q", "top_p")]
    return _Position(
        *(columns[name][row].tolist() for name in names), *(s.tolist() for s in scores)
    )
