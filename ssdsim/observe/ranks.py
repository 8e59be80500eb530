"""Replays greedy chains over the ranks of a text's tokens among the draft's candidates."""

from collections.abc import Iterator, Sequence

CHAIN = 3
"""Tokens drafted a round, where ranks are shown as rounds."""
FANOUTS = (1, 7, 8, 9)

Round = tuple[int, int, int]
"""Drafts accepted, drafts sent, and the rank of the bonus token, 1 the draft's first choice."""


def greedy_rounds(ranks: Sequence[int], lookahead: int) -> Iterator[Round]:
    """Yield the rounds that a greedy chain of `lookahead` tokens goes through.

    A token of rank 1 is what the draft sends, so it is accepted; the first other one is the bonus
    token. What is left of the text at its end makes no whole round.
    """
    at = 0
    while at < len(ranks):
        k = 0
        while k < lookahead and at + k < len(ranks) and ranks[at + k] == 1:
            k += 1
        if at + k >= len(ranks):
            return
        yield k, lookahead, ranks[at + k]
        at += k + 1


def hits_of(rounds: Sequence[Round], fanout: int) -> list[bool]:
    """Return which bonus tokens are among so many candidates of their place.

    After a rejection the sent token, of rank 1, is none of them.
    """
    return [rank - (k < sent) <= fanout for k, sent, rank in rounds]
