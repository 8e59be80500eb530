"""The commands that a run sends its workers, their answers, and how both are encoded.

Every command carries a stamp, and its answer brings the stamp back. A worker carries out no
command that is not newer than the last one, and a run takes no answer that it does not wait for;
so a message that comes late or twice changes nothing. A sequence's text travels whole (a few
hundred small numbers): a worker compares it with what its cache holds and computes the rest, so no
state has to be kept in step between processes.

A message finds the caches emptied by the weights that were just read, so what counts is how little
code it takes: msgspec's is a fifth of pickle's.
"""

from collections.abc import Callable
from typing import Any

from msgspec.msgpack import Decoder, Encoder

from ssdreal.channel.after_run import Clock, Score, Scores, Times
from ssdreal.channel.message_parts import Block, Candidates, Chain, Exit, Line, Message, Stamp
from ssdreal.channel.probability_pages import Pages
from ssdreal.models.sublayers import Sublayers
from ssdreal.places.places import Given, Partition
from ssdsim.lengths.base import Stopping
from ssdsim.sampling.settings import Decoding


class Begin(Message, frozen=True):
    """Get ready for a run: fresh caches, one shape, one way of sampling, these cores.

    Attributes
    ----------
    slots, width, capacity
        Sequences at a time, tokens of a row in every verify, cache entries of a row.
    branches, lookahead, candidates
        Most branches of a row, K, and how many ranked candidates are wanted after a node. Without
        branches no candidates are asked for.
    decoding, seed
        How tokens are sampled.
    cores
        CPU cores to run on; as many threads. Empty: as they are.
    pages
        The shared memory for probabilities; None where they are not needed.
    draft_ids
        The token ids that a row of these probabilities stands for; None: all of them.
    skipped
        What the target leaves out where it drafts for itself; None where it does not.
    tree
        The token tree that is drafted, as `ssdsim.run.results.describe` writes it down; None: a
        chain.
    partition
        The part of a GPU to keep to; None: all of the device.
    exit
        When the target speaks in mid-verify; None: never.

    """

    stamp: Stamp
    slots: int
    width: int
    capacity: int
    branches: int
    lookahead: int
    candidates: int
    decoding: Decoding
    seed: int
    cores: tuple[int, ...] = ()
    pages: Pages | None = None
    draft_ids: tuple[int, ...] | None = None
    skipped: Sublayers | None = None
    tree: dict[str, Any] | None = None
    partition: Partition | None = None
    exit: Exit | None = None


Kinds = dict[str, tuple[tuple[int, float], ...]]
"""What passes take, of each kind (tokens, seconds)."""


class Paces(Message, frozen=True):
    """A worker is ready for a run.

    Attributes
    ----------
    kinds
        What passes take, as measured while warming up: of each kind (tokens, seconds).
    given
        What a GPU gave it; None on the host.
    handle
        Where the probabilities are that it keeps in its device's memory, for another worker.
    together
        Tokens of its own that a target can be told to decode in one command.
    speaks_after
        Of how many layers a target speaks after how many; None: it does not.

    """

    kinds: Kinds
    given: Given | None = None
    handle: bytes = b""
    together: int = 1
    speaks_after: tuple[int, int] | None = None


class Prefill(Message, frozen=True):
    """Compute texts, all but the last token of each. The answer says nothing more.

    A text is a prompt, of so many tokens as `prompts` says, and what was decoded behind it before
    its sequence had to make room for others.
    """

    stamp: Stamp
    lines: tuple[Line, ...]
    prompts: tuple[int, ...]


class Verify(Message, frozen=True):
    """Verify a block a row in one pass; answered by `Verified`.

    Before that comes `Spoken`, where the target was told to speak in mid-verify.
    """

    stamp: Stamp
    lines: tuple[Line, ...]
    blocks: tuple[Block, ...]


class Verified(Message, frozen=True):
    """How a verify ended: (accepted, bonus token) a row."""

    outcomes: tuple[tuple[int, int], ...]


class Spoken(Message, frozen=True):
    """What the target takes for likely in mid-verify, and when it said so (ns).

    For every row, after each node of its block, the tokens that an early layer takes for the
    likeliest, best first: none where nobody goes by them.
    """

    stamp: Stamp
    rows: tuple[Candidates, ...]
    at: int


class Decode(Message, frozen=True):
    """Decode so many `tokens` a row, each of them the target's own; answered by `Decoded`."""

    stamp: Stamp
    lines: tuple[Line, ...]
    tokens: int


class Decoded(Message, frozen=True):
    """The tokens of every row, and when the pass of each was over (ns)."""

    rows: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]


class Speculate(Message, frozen=True):
    """Draft a chain (or tree) a row, each until `stopping` says so; answered by `Chains`.

    `nodes` is the most of a tree; None: as many as it wants.
    """

    stamp: Stamp
    lines: tuple[Line, ...]
    stopping: Stopping
    nodes: int | None = None


class Chains(Message, frozen=True):
    """A chain a row."""

    rows: tuple[Chain, ...]


class Fork(Message, frozen=True):
    """Find the candidates after every node of a block a row; answered by `Forks`.

    Where blocks are trees, `parents` is as in `Block`, for each.
    """

    stamp: Stamp
    lines: tuple[Line, ...]
    blocks: tuple[tuple[int, ...], ...]
    parents: tuple[tuple[int, ...], ...] = ()


class Forks(Message, frozen=True):
    """The candidates of every row."""

    rows: tuple[Candidates, ...]


class Grow(Message, frozen=True):
    """Draft a chain for every outcome (node, bonus token id) of these rows' blocks.

    Each ends when `stopping` says so. Answered by `Branches`. A `Stop` may come while it runs, if
    it is `stoppable`. Where blocks are trees, `parents` is as in `Block`, for each, and trees are
    drafted, of at most `nodes`.
    """

    stamp: Stamp
    lines: tuple[Line, ...]
    blocks: tuple[tuple[int, ...], ...]
    outcomes: tuple[tuple[tuple[int, int], ...], ...]
    stopping: Stopping
    page: int
    parents: tuple[tuple[int, ...], ...] = ()
    nodes: int | None = None
    stoppable: bool = True


class Branches(Message, frozen=True):
    """The branches drafted: for every row its chains by outcome, and the tokens computed."""

    rows: tuple[dict[tuple[int, int], Chain], ...]
    tokens: int


class Stop(Message, frozen=True):
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


Command = Begin | Prefill | Verify | Decode | Speculate | Fork | Grow | Score | Clock
Answer = Paces | Verified | Decoded | Chains | Forks | Branches | Scores | Times


class Done(Message, frozen=True):
    """An answer, when the work for it began and ended (ns), and the ns in model passes."""

    stamp: Stamp
    value: Answer | None
    start: int
    end: int
    passes: int


class Ready(Message, frozen=True):
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


class Failed(Message, frozen=True):
    """Why a worker failed; with a `stamp`, it could not carry out that command alone."""

    stamp: Stamp | None
    reason: str


_encode = Encoder().encode
_decode: Callable[[bytes], Any] = Decoder(Command | Stop | Done | Ready | Failed | Spoken).decode


def encoded(message: Message) -> bytes:
    """Return a message as bytes."""
    return _encode(message)


def decoded(data: bytes) -> Any:
    """Return the message that these bytes are."""
    return _decode(data)
