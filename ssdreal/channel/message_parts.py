"""What messages are, and the data types inside them: sequences, blocks, chains, candidates."""

from msgspec import Struct

from ssdreal.channel.probability_pages import Place


class Message(Struct, frozen=True, array_like=True, tag=True):
    """What tells its kind."""


class MessagePart(Struct, frozen=True, array_like=True):
    """A part of messages."""


class Line(MessagePart, frozen=True):
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


class Stamp(MessagePart, frozen=True):
    """Which command of which run, and for each row (sequence, round, committed length)."""

    run: int
    number: int
    rows: tuple[tuple[int, int, int], ...] = ()


class Block(MessagePart, frozen=True):
    """Drafted tokens to verify; `place` is None where the drafter was sure of every token.

    `parents` says what each follows, -1 for the text. Empty: it follows the one before.
    """

    tokens: tuple[int, ...]
    place: Place | None = None
    parents: tuple[int, ...] = ()


class Chain(MessagePart, frozen=True):
    """Drafted tokens with the draft's probability of each, and where all probabilities lie.

    `parents` is as in `Block`.
    """

    tokens: tuple[int, ...]
    confidences: tuple[float, ...]
    place: Place | None = None
    parents: tuple[int, ...] = ()


class Candidates(MessagePart, frozen=True):
    """Ranked candidates after every node: their ids, and their probabilities.

    A draft leaves out the tokens that were sent there.
    """

    ids: tuple[tuple[int, ...], ...]
    beliefs: tuple[tuple[float, ...], ...]


class Exit(MessagePart, frozen=True):
    """When a target speaks in mid-verify, and how many tokens it names after every node.

    Attributes
    ----------
    share
        After which share of its layers, in (0, 1): it speaks after the one nearest to that.
    tokens
        How many; 0: it says that it has come so far, and no more.

    """

    share: float
    tokens: int

    def layer(self, layers: int) -> int:
        """Return after how many of so many layers the target speaks."""
        return max(1, round(self.share * layers))
