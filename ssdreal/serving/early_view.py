"""What a target takes for likely in mid-verify, by the logits of an early layer."""

from collections.abc import Sequence

from ssdreal.channel.message_parts import Block, Candidates, Exit, Line
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.sampling import Logits
from ssdreal.serving.verifier import Verifier


class EarlyView:
    """Ranks tokens by early logits, as a draft ranks its candidates by its own.

    Parameters
    ----------
    verifier
        Whose noise and settings they are processed with.
    exit_
        How many tokens are named after a node.
    layers
        Of the target.

    Attributes
    ----------
    layer
        After how many layers the logits are taken.

    """

    def __init__(self, verifier: Verifier, exit_: Exit, layers: int) -> None:
        self.layer, self.tokens = exit_.layer(layers), exit_.tokens
        self.ranking = Drafter(verifier.decoding, verifier.seed, verifier.vocabulary)
        self.ranking.gumbel = verifier.gumbel  # the same noise, which takes long to draw

    def of(self, line: Line, block: Block, logits: Logits) -> Candidates:
        """Return what is likely after each node of a row's chain, from logits (K + 1, V)."""
        if not self.tokens:
            return Candidates((), ())
        where = [(line.seq, len(line.tokens) + node) for node in range(len(block.tokens) + 1)]
        sent: Sequence[Sequence[int]] = [()] * len(where)
        ids, beliefs = self.ranking.candidates(logits, where, sent, self.tokens)
        return Candidates(tuple(map(tuple, ids.tolist())), tuple(map(tuple, beliefs.tolist())))
