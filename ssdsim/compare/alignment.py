"""Which rounds two runs have in common: aligned by the tokens that were delivered before them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdsim.run.trace import Run

if TYPE_CHECKING:
    import pandas as pd

FIELDS = ("hit", "drafted", "speculator", "accepted", "token", "rank")
"""What a round may have otherwise: first what the round before it decides, then its outcome."""
PARTLY_KNOWN = ("token", "rank")
"""Compared where both runs have one: no token, or a rank of -1, is unknown."""
PROMPT = ["prompt", "time"]
"""Which text: the prompt's name, and how often it has come before."""


@dataclass(frozen=True)
class Parting:
    """A round that two runs have otherwise.

    Attributes
    ----------
    prompt
        Its name.
    seqs, rounds
        The numbers of the sequence and of the round, in either run.
    place
        Tokens delivered before it.
    field
        The first column of `rounds.parquet` that differs, of `FIELDS`.
    values
        Its values.

    """

    prompt: str
    seqs: tuple[int, int]
    rounds: tuple[int, int]
    place: int
    field: str
    values: tuple[Any, Any]


@dataclass(frozen=True)
class Alignment:
    """How far the rounds of two runs agree.

    Attributes
    ----------
    rounds
        Of either run.
    met
        Rounds that begin at the same token of the same text in both.
    agreeing
        Of these, how many are the same in every field.
    first
        The earliest of the others; None if there is none.

    """

    rounds: tuple[int, int]
    met: int
    agreeing: int
    first: Parting | None

    @property
    def share(self) -> float | None:
        """Share of the rounds met that agree; None where none meet."""
        return self.agreeing / self.met if self.met else None


def align(one: Run, other: Run) -> Alignment:
    """Align two runs by the tokens delivered of each prompt.

    Rounds after the first token that two texts have otherwise are not compared; where a run has
    no token ids, its texts are taken to be the other's.
    """
    pairs = _pairs(one, other)
    differing = {field: _differing(pairs, field) for field in FIELDS}
    unlike = np.logical_or.reduce([*differing.values()])
    rounds = len(one.tables["rounds"]), len(other.tables["rounds"])
    agreeing = int(len(pairs) - unlike.sum())
    return Alignment(rounds, len(pairs), agreeing, _first(pairs[unlike], differing))


def _pairs(one: Run, other: Run) -> "pd.DataFrame":
    """Return the rounds that begin at the same token, a row a pair, while the texts agree."""
    merged = _placed(one).merge(_placed(other), on=[*PROMPT, "place"], suffixes=("_one", "_other"))
    limits = _common(one, other)
    known = [
        place <= limits.get((prompt, time), np.inf)
        for prompt, time, place in zip(
            merged["prompt"], merged["time"], merged["place"], strict=True
        )
    ]
    return merged[np.array(known, dtype=bool)].reset_index(drop=True)


def _placed(run: Run) -> "pd.DataFrame":
    """Return the rounds with the text that they are of and the tokens delivered before."""
    rounds = run.rounds.sort_values(["seq", "round"])
    delivered = rounds["accepted"] + 1
    places = delivered.groupby(rounds["seq"]).cumsum() - delivered
    texts = run.sequences.assign(time=run.sequences.groupby("prompt").cumcount())
    return rounds.assign(place=places).merge(texts[["seq", *PROMPT]], on="seq")


def _common(one: Run, other: Run) -> dict[tuple[str, int], int]:
    """Return by text the first token that two runs have otherwise, where both have token ids."""
    outputs = [_outputs(run) for run in (one, other)]
    found = {}
    for text, mine in outputs[0].items():
        theirs = outputs[1].get(text)
        if theirs is not None:
            same = zip(mine, theirs, strict=False)
            found[text] = next((at for at, (a, b) in enumerate(same) if a != b), 1 << 62)
    return found


def _outputs(run: Run) -> dict[tuple[str, int], Any]:
    texts = run.sequences.assign(time=run.sequences.groupby("prompt").cumcount())
    rows = zip(texts["prompt"], texts["time"], texts["output"], strict=True)
    return {(prompt, time): output for prompt, time, output in rows if output is not None}


def _differing(pairs: "pd.DataFrame", field: str) -> Any:
    """Return in which pairs a field differs, shape (pairs,)."""
    one, other = pairs[f"{field}_one"], pairs[f"{field}_other"]
    known = (one.notna() & other.notna()).to_numpy()
    if field in PARTLY_KNOWN:
        known = known & (one.fillna(-1) >= 0).to_numpy() & (other.fillna(-1) >= 0).to_numpy()
    differs = known & (one.to_numpy(object) != other.to_numpy(object))
    one_alone = (one.isna() != other.isna()).to_numpy()
    return differs if field in PARTLY_KNOWN else differs | one_alone


def _first(unlike: "pd.DataFrame", differing: dict[str, Any]) -> Parting | None:
    """Return the earliest of some pairs, as the first run had them."""
    if unlike.empty:
        return None
    first = int(unlike["start_one"].to_numpy().argmin())
    row, at, sides = unlike.iloc[first], int(unlike.index[first]), ("one", "other")
    field = next(name for name in FIELDS if differing[name][at])
    seqs, rounds = (tuple(int(row[f"{n}_{s}"]) for s in sides) for n in ("seq", "round"))
    values = tuple(_plain(row[f"{field}_{side}"]) for side in sides)
    return Parting(
        str(row["prompt"]), _two(seqs), _two(rounds), int(row["place"]), field, _two(values)
    )


def _two(values: tuple[Any, ...]) -> tuple[Any, Any]:
    first, second = values
    return first, second


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return value.item() if isinstance(value, np.generic) else value
