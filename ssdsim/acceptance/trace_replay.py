"""Replays recorded positions: which drafted tokens are accepted, and which bonus token follows.

Everything that chance decides about a position is drawn once, when its text is opened, by keyed
noise: whoever drafts over it, in whichever round, block or branch, finds the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ssdsim.acceptance.token_trees import replayed
from ssdsim.acceptance.trace_table import Table, Whole
from ssdsim.errors import require
from ssdsim.outcomes import Early, Outcome, Speculation, Speculator, chain, outlined
from ssdsim.sampling.distributions import Array
from ssdsim.sampling.noise import Noise
from ssdsim.trees.base import Path, TokenTree, landing

Node = tuple[int, int, int, float]
"""What was sent at a node: its row, the token's slot there, its id and the draft's confidence."""

_NEVER = 1 << 62
_NOBODY = 1 << 32
"""Ranks from here on stand for tokens that no verify ends in."""


@dataclass(frozen=True)
class RecordedText:
    """A text: rows `first` .. `first + length - 1` of a table, after the token ids of `prompt`."""

    table: Table
    name: str
    kind: str
    prompt: tuple[int, ...]
    first: int
    length: int


class ReplayText:
    """One recorded text with its draws.

    `described` says whether its chains have tokens, confidences and candidates.
    """

    def __init__(self, text: RecordedText, noise: Noise, described: bool = True) -> None:
        self.table = table = text.table
        self.noise, self.described = noise, described
        self.at = 0
        self.length = text.length
        self.history = list(text.prompt)
        self.rows = rows = np.arange(text.first, text.first + text.length)
        self.tokens: list[int] = table.token[rows].tolist()
        self.ranks: list[int] = table.rank[rows].tolist()
        self.rejected = noise.uniforms(0, rows.size, "accept") >= table.a[rows]
        self.outranked = noise.uniforms(0, rows.size, "residual") < table.e[rows]
        self.ranks_left: list[int] = (table.rank[rows] - self.outranked).tolist()
        self.stops = _next(self.rejected)

    @cached_property
    def on(self) -> list[Node]:
        """What is sent at every place of the text's own way."""
        table, rows, rejected = self.table, self.rows, self.rejected
        uniform = self.noise.uniforms(0, rows.size, "propose")
        slots = _sent(table, rows, rejected, self.outranked, uniform)
        return _nodes(table, rows, slots, ~rejected)

    @cached_property
    def off(self) -> list[Node]:
        """What is sent at every place past an error."""
        return _strangers(self.table, self.noise, self.rows.size)

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Let the draft continue: accept up to the first position drawn as rejected."""
        accepted = min(self.stops[self.at] - self.at, length)
        rank = self._left(accepted) if accepted < length else self._rank(length)
        if not self.described:
            return outlined(length, speculator, accepted, rank)
        return _speculation(self.table, self._nodes(length, accepted), speculator, accepted, rank)

    def ahead(self, length: int) -> Speculation:
        """Let the draft go on: a position's next token is decided there, whoever comes to it."""
        whole = self.speculate(length, "primary" if length else "none")
        return replace(whole, continued=self.stops[self.at] - self.at > length)

    def grow(self, tree: TokenTree, depth: int, speculator: Speculator) -> Speculation:
        """Let the draft continue by its best candidates: recorded on the text's own way.

        The rank of the text's token decides which child is accepted, at any temperature.
        """
        ranks = [self._rank(ahead) for ahead in range(depth + 1)]
        paths = tree.grow(depth, lambda path: self._candidates(path, ranks))
        rows = {path: self._row(path, ranks) for path in ((), *paths)}
        return replayed(self.table, paths, rows, speculator, landing(paths, ranks))

    def early(self, speculation: Speculation) -> Early | None:
        """Return the recorded early view of a chain; tokens that it does not list count as 0.

        The text's own token has its recorded rank, also where the draft's candidates lack it.
        """
        table, truth, sent = self.table, speculation.truth, speculation.tokens
        if table.exit_ids is None or truth is None:
            return None
        rows = [self._node(ahead, truth.node)[0] for ahead in range(speculation.length + 1)]
        own = self.bonus(speculation)

        def ranks(node: int, ids: Sequence[int]) -> list[int]:
            right = own if node == truth.node else None
            return [truth.rank if id_ == right else _NOBODY + id_ for id_ in ids]

        listed = [
            [id_ for id_ in table.listed[row] if id_ not in sent[node : node + 1]]
            for node, row in enumerate(rows)
        ]
        return Early.of([table.exits(row) for row in rows], sent, listed, ranks)

    def propose(self, tokens: Sequence[int], length: int) -> Speculation:
        """Accept a backup's tokens, at most `length`, while they are the text's.

        That is exact at any temperature: with q = 1 at the proposed token, target and proposal
        part exactly where the text has another token.
        """
        sent = tuple(tokens[:length])
        length = len(sent)
        own = self.tokens[self.at : self.at + length]
        accepted = next((k for k, x in enumerate(own) if x != sent[k]), length)
        nodes = [self._proposed(k, accepted, token) for k, token in enumerate((*sent, -1))]
        if accepted == length:
            return _speculation(self.table, nodes, "backup", length, self._rank(length))
        rank, slot = self._rank(accepted), nodes[accepted][1]
        # Up to M tokens that outrank x are listed, so an unlisted one only counts beyond that.
        outranked = slot < min(rank, len(self.table.listed[0]))
        return _speculation(self.table, nodes, "backup", accepted, rank - outranked)

    def guess(self, length: int, seen: int) -> Speculation:
        """Take the target's guesses to be right where the draft was.

        What a target says after a partly wrong prefix is not recorded. That the draft says
        otherwise than the target marks the places where context decides.
        """
        right = min(self.stops[self.at] - self.at, length, seen)
        return Speculation(chain(length), "none", truth=Outcome(right, -1))

    def bonus(self, speculation: Speculation) -> int:
        """Return the recorded token behind what was accepted."""
        assert speculation.truth is not None
        at = self.at + speculation.truth.node
        return self.tokens[at] if at < self.length else -1

    def commit(self, speculation: Speculation, delivered: int) -> tuple[int, ...]:  # noqa: ARG002
        """Grow by the next recorded tokens, which any verified speculation ends in."""
        assert self.at + delivered <= self.length, "the caller asks for no more than `length`"
        tokens = tuple(self.tokens[self.at : self.at + delivered])
        self.history.extend(tokens)
        self.at += delivered
        return tokens

    def _rank(self, ahead: int) -> int:
        at = self.at + ahead
        return self.ranks[at] if at < self.length else -1

    def _left(self, ahead: int) -> int:
        return self.ranks_left[self.at + ahead]

    def _node(self, ahead: int, accepted: int) -> Node:
        """Return the node `ahead`: recorded up to the first rejection, borrowed past it.

        Past the recorded end they are borrowed as well; no token delivered depends on those.
        """
        at = self.at + ahead
        return self.on[at] if ahead <= accepted and at < self.length else self.off[at % self.length]

    def _nodes(self, length: int, accepted: int) -> list[Node]:
        """Return the nodes 0 .. `length`; see `_node`."""
        at, end = self.at, self.at + length + 1
        own = min(at + accepted + 1, end, self.length)
        return self.on[at:own] + [self.off[place % self.length] for place in range(own, end)]

    def _row(self, path: Path, ranks: Sequence[int]) -> int:
        """Return the row of the place after `path`: the text's own, or a borrowed one."""
        at = self.at + len(path)
        if at < self.length and path == tuple(ranks[: len(path)]):
            return self.on[at][0]
        # Which one depends on the whole way there: siblings' futures differ.
        return self.off[(at + crc32(repr(path).encode())) % self.length][0]

    def _candidates(self, path: Path, ranks: Sequence[int]) -> tuple[float, ...]:
        candidates = self.table.candidates[self._row(path, ranks)]
        right = "these rounds tell nothing of the draft's confidences: needs an acceptance trace"
        require(bool(candidates), "acceptance", "recorded", right)
        return candidates

    def _proposed(self, ahead: int, accepted: int, token: int) -> Node:
        """Return the node `ahead` with a backup's token in it (-1: none is sent)."""
        row = self._node(ahead, accepted)[0]
        ids = self.table.listed[row]
        slot = ids.index(token) if token in ids else len(ids)
        return row, slot, token, self.table.q.item(row, slot)


def _speculation(
    table: Table, nodes: list[Node], speculator: Speculator, accepted: int, rank: int
) -> Speculation:
    """Return the chain of all nodes but the last, where nothing is sent."""
    _, _, tokens, confidences = zip(*nodes, strict=True)
    candidates = _left(table, nodes)
    return Speculation(
        chain(len(nodes) - 1),
        speculator,
        tokens[:-1],
        confidences[:-1] if candidates else (),
        candidates,
        Outcome(accepted, rank),
        chances=_chances(table.chances, nodes[:-1]),
    )


def _chances(of: list[list[float]], nodes: list[Node]) -> tuple[float, ...]:
    """Return P(accepted) of what was sent at every node; () where that is not known."""
    return tuple([of[row][slot] for row, slot, _, _ in nodes]) if of else ()


def _left(table: Table, nodes: list[Node]) -> tuple[tuple[float, ...], ...]:
    """Return the candidates after every node, what was sent left out; () where none is listed."""
    of, left = table.candidates, table.left
    if not of[0]:
        return ()
    return (*[left(row, slot) for row, slot, _, _ in nodes[:-1]], of[nodes[-1][0]])


def _next(rejected: NDArray[np.bool_]) -> list[int]:
    """Return for every position (and the end) the first rejected one from there on."""
    at = np.where(rejected, np.arange(rejected.size), _NEVER)
    following: list[int] = np.minimum.accumulate(at[::-1])[::-1].tolist()
    return [*following, _NEVER]


def _sent(
    table: Table,
    rows: Whole,
    rejected: NDArray[np.bool_],
    outranked: NDArray[np.bool_],
    uniform: Array,
) -> Whole:
    """Return the slot of what the draft sent: x where accepted, else drawn from (q' − p)+.

    Whether that token outranks x is drawn already, exactly; here only among the listed tokens on
    that side of x, or none of them if they have no excess.
    """
    slots = np.arange(table.excess.shape[1])
    side = (slots < table.rank[rows, None]) == outranked[:, None]
    weights = np.cumsum(table.excess[rows] * side, axis=1)
    drawn = np.sum(weights <= uniform[:, None] * weights[:, -1:], axis=1)
    return np.where(rejected, drawn, np.minimum(table.rank[rows], slots.size))


def _strangers(table: Table, noise: Noise, count: int) -> list[Node]:
    """Return a node for each position from anywhere in the trace, for the draft's wrong turns.

    What the draft sees after its own error is not recorded; other places stand in for it.
    """
    rows = (noise.uniforms(0, count, "bonus") * table.token.size).astype(np.int64)
    uniform = noise.uniforms(0, count, "propose", sibling=1)
    slots = np.sum(np.cumsum(table.sends[rows], axis=1) <= uniform[:, None], axis=1)
    return _nodes(table, rows, slots, np.zeros(count, np.bool_))


def _nodes(table: Table, rows: Whole, slots: Whole, own: NDArray[np.bool_]) -> list[Node]:
    """Return the nodes that send `slots`, or the text's own token x where `own`."""
    listed = slots < table.excess.shape[1]
    tokens = np.where(own, table.token[rows], table.ids[rows, slots])
    confidence = np.where(own & ~listed, table.confidence[rows], table.q[rows, slots])
    columns = (rows.tolist(), slots.tolist(), tokens.tolist(), confidence.tolist())
    return list(zip(*columns, strict=True))
