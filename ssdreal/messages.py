"""What travels between a run and its workers: named tuples, which pickle quickest.

Every command carries a stamp, and its answer brings the stamp back. A worker carries out no
command that is not newer than the last one, and a run takes no answer that it does not wait for;
so a message that comes late or twice changes nothing. A sequence's text travels whole (a few
hundred small numbers): a worker compares it with what its cache holds and computes the rest, so no
state has to be kept in step between processes.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Role = Literal["target", "draft"]


class Line(NamedTuple):
    """A sequence as the workers see it.

    Attributes
    ----------
    seq, round
        Which one, and its rounds ended so far.
    slot
        Its place in the workers' caches.
    tokens
        Prompt and committed token ids; the last of them is in no cache yet.

    """

    seq: int
    round: int
    slot: int
    tokens: tuple[int, ...]


class Stamp(NamedTuple):
    """Which command of which run, and for each row (sequence, round, committed length)."""

    run: int
    number: int
    rows: tuple[tuple[int, int, int], ...] = ()


class Place(NamedTuple):
    """Where the probabilities of a drafted chain lie in the shared pages: page, slot, branch."""

    page: int
    slot: int
    branch: int


class Block(NamedTuple):
    """Drafted tokens to verify; `place` is None where the drafter was sure of every token."""

    tokens: tuple[int, ...]
    place: Place | None = None


class Begin(NamedTuple):
    """Get ready for a run: fresh caches, one shape, one way of sampling, these cores.

    Attributes
    ----------
    slots, width, capacity
        Sequences at a time, tokens of a row in every verify, cache entries of a row.
    branches, lookahead, candidates
        Most branches of a row, K, and how many ranked candidates are wanted after a node.
    decoding, seed
        How tokens are sampled.
    cores
        CPU cores to run on; as many threads. Empty: as they are.
    pages
        The shared memory for probabilities; None where they are not needed.
    draft_ids
        The token ids that a row of these probabilities stands for; None: all of them.

    """

    stamp: Stamp
    slots: int
    width: int
    capacity: int
    branches: int
    lookahead: int
    candidates: int
    decoding: Any
    seed: int
    cores: tuple[int, ...] = ()
    pages: Any = None
    draft_ids: tuple[int, ...] | None = None


class Prefill(NamedTuple):
    """Compute the prompts, all but the last token of each."""

    stamp: Stamp
    lines: tuple[Line, ...]


class Verify(NamedTuple):
    """Verify a block a row in one pass; answered by (accepted, bonus token) a row."""

    stamp: Stamp
    lines: tuple[Line, ...]
    blocks: tuple[Block, ...]


class Speculate(NamedTuple):
    """Draft a chain a row; answered by a `Chain` a row."""

    stamp: Stamp
    lines: tuple[Line, ...]
    lookahead: int


class Chain(NamedTuple):
    """Drafted tokens with the draft's probability of each, and where all probabilities lie."""

    tokens: tuple[int, ...]
    confidences: tuple[float, ...]
    place: Place | None = None


class Fork(NamedTuple):
    """Find the candidates after every node of a block a row; answered by `Candidates` a row."""

    stamp: Stamp
    lines: tuple[Line, ...]
    blocks: tuple[tuple[int, ...], ...]


class Candidates(NamedTuple):
    """Ranked candidates after every node, the token sent there left out: ids, probabilities."""

    ids: tuple[tuple[int, ...], ...]
    beliefs: tuple[tuple[float, ...], ...]


class Grow(NamedTuple):
    """Draft `lookahead` tokens for every outcome (node, bonus token id) of these rows' blocks.

    Answered by `Branches`. A `Stop` may come while it runs.
    """

    stamp: Stamp
    lines: tuple[Line, ...]
    blocks: tuple[tuple[int, ...], ...]
    outcomes: tuple[tuple[tuple[int, int], ...], ...]
    lookahead: int
    page: int


class Branches(NamedTuple):
    """What a tree came to: for every row its branches by outcome, and the tokens computed."""

    rows: tuple[Mapping[tuple[int, int], Chain], ...]
    tokens: int


class Stop(NamedTuple):
    """Change the tree that is being grown under command `tree` at its next step.

    Attributes
    ----------
    winners
        For every row the outcome whose branch goes on, or None. All others are dropped.
    finish
        Whether the winners' branches are still finished.

    """

    run: int
    tree: int
    winners: tuple[tuple[int, int] | None, ...]
    finish: bool


class Score(NamedTuple):
    """Compare a text with the target's own choices, one pass of the run's width at a time.

    Answered by the target's best token and the score it has over the text's own, for every token
    of the line from `start` on.
    """

    stamp: Stamp
    lines: tuple[Line, ...]
    start: int


Command = Begin | Prefill | Verify | Speculate | Fork | Grow | Score


class Done(NamedTuple):
    """An answer: its value, when the work began and ended (ns), and the ns in model passes."""

    stamp: Stamp
    value: Any
    start: int
    end: int
    passes: int


class Ready(NamedTuple):
    """A worker has loaded its model, and what its head covers.

    Attributes
    ----------
    rows
        Rows of its head.
    ids
        The token ids they stand for, ascending; None: all of them.

    """

    rows: int
    ids: tuple[int, ...] | None


class Failed(NamedTuple):
    """A worker's last words; `stamp` is None where it failed before any command."""

    stamp: Stamp | None
    reason: str
