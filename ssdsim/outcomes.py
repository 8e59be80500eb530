"""The vocabulary of speculative decoding: `Speculation` and `Outcome`.

Only the standard library is imported here, so that policies, simulated workers and real workers
can all speak these words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

Speculator = Literal["primary", "backup", "none"]


class Outcome(NamedTuple):
    """How a verify can end: the last accepted node and the bonus token.

    Attributes
    ----------
    node
        0 when nothing was accepted, else 1 + the index of the last accepted drafted token; for a
        chain this is k, the number of accepted tokens.
    rank
        The bonus token t*, named by its rank among the draft's candidates after `node`, the token
        that was sent there (in a tree: every one of them) left out. Naming it by rank lets
        simulations without token ids and real models share every policy: candidate ids are looked
        up only where they exist.
        -1 when the token is not among the candidates.

    """

    node: int
    rank: int


class Early(NamedTuple):
    """What the target takes for likely in mid-verify, by an early layer.

    Attributes
    ----------
    sent
        Its early probability of every drafted token, shape (length,).
    candidates
        Its early probabilities of the draft's ranked candidates after every node, in the order of
        `Speculation.candidates`.
    others
        What else it takes for likely after every node: by which rank that is named, behind those of
        the candidates, and how likely it is. Empty where the candidates are all there is.

    """

    sent: tuple[float, ...]
    candidates: tuple[tuple[float, ...], ...]
    others: tuple[tuple[tuple[int, float], ...], ...] = ()

    @classmethod
    def of(
        cls,
        views: Sequence[Mapping[int, float]],
        sent: Sequence[int],
        listed: Sequence[Sequence[int]],
        ranks: Callable[[int, Sequence[int]], Sequence[int]],
    ) -> "Early":
        """Return what early views say of a chain's tokens and the draft's candidates.

        Parameters
        ----------
        views
            After every node probabilities by token id; whatever they do not have counts as 0.
        sent
            The chain's tokens.
        listed
            The candidates' ids after every node, what was sent there left out.
        ranks
            Names the tokens that a view has after a node and the candidates have not.

        """
        others = []
        for node, (view, known) in enumerate(zip(views, listed, strict=True)):
            left = [token for token in view if token not in {*known, *sent[node : node + 1]}]
            said = [view[token] for token in left]
            others.append(tuple(zip(ranks(node, left), said, strict=True)))
        return cls(
            tuple(view.get(token, 0.0) for view, token in zip(views, sent, strict=False)),
            tuple(
                tuple(view.get(token, 0.0) for token in known)
                for view, known in zip(views, listed, strict=True)
            ),
            tuple(others),
        )


@dataclass(frozen=True, slots=True)
class Speculation:
    """Tokens drafted for one sequence, and the draft's ranked candidates after each of them.

    Attributes
    ----------
    parents
        For every drafted token the index of the one before it, -1 for the root. A chain is
        (-1, 0, 1, ...); its length is the lookahead K.
    speculator
        Who drafted it.
    tokens
        Drafted token ids, one a parent; empty where the source has no token ids.
    confidences
        The draft's processed probability of each drafted token; empty where unknown.
    candidates
        For each of the len(parents) + 1 nodes the draft's probabilities of its ranked candidates,
        best first, the tokens sent there left out; empty where unknown.
    truth
        How the verify will end, where that is known beforehand (simulation, replay). Only the
        simulated target and the `oracle` policy look at it.
    continued
        Whether the draft, which went on past this speculation without waiting, is right about the
        bonus token too: then what it drafted beyond stays valid. Known where `truth` is.
    chances
        The chance min(1, p/q) that each drafted token is accepted if it comes to that; empty
        where the target's probabilities are not known beforehand. Only an ideal head looks at it.
    early
        What the target said of it in mid-verify; None where it has not.

    """

    parents: tuple[int, ...]
    speculator: Speculator
    tokens: tuple[int, ...] = ()
    confidences: tuple[float, ...] = ()
    candidates: tuple[tuple[float, ...], ...] = ()
    truth: Outcome | None = None
    continued: bool = False
    chances: tuple[float, ...] = ()
    early: Early | None = None

    @property
    def length(self) -> int:
        """Drafted tokens."""
        return len(self.parents)

    def depth(self, node: int) -> int:
        """Return how many drafted tokens lie on the way to `node`, its own included."""
        return depths(self.parents)[node]

    def children(self, node: int) -> tuple[int, ...]:
        """Return the nodes that continue `node`, the draft's likeliest first."""
        return children(self.parents)[node]

    def path_to(self, node: int) -> tuple[int, ...]:
        """Return the nodes from the root's child to `node`, its own last."""
        return path_to(self.parents, node)


@lru_cache(maxsize=4096)
def depths(parents: tuple[int, ...]) -> tuple[int, ...]:
    """Return the depth of every node, 0 for the root: shape (len(parents) + 1,)."""
    found = [0]
    for parent in parents:
        found.append(found[parent + 1] + 1)
    return tuple(found)


def reached(parents: Sequence[int], accepts: Sequence[float]) -> list[float]:
    """Return the chance that a verify comes as far as each node, shape (len(parents) + 1,).

    `accepts` is every drafted token's chance of being accepted where the one before it was.
    """
    found = [1.0]
    for parent, chance in zip(parents, accepts, strict=True):
        found.append(found[parent + 1] * chance)
    return found


@lru_cache(maxsize=4096)
def path_to(parents: tuple[int, ...], node: int) -> tuple[int, ...]:
    """Return the nodes from the root's child to `node`, its own last."""
    found = []
    while node:
        found.append(node)
        node = parents[node - 1] + 1
    return tuple(reversed(found))


def tail(speculation: Speculation, start: int) -> Speculation:
    """Return a chain from its token number `start` on: what a verify of the rest alone will find.

    Its truth holds if the first `start` tokens are right; else nobody comes to ask for it.
    """
    truth = speculation.truth
    return replace(
        speculation,
        parents=chain(speculation.length - start),
        tokens=speculation.tokens[start:],
        confidences=speculation.confidences[start:],
        candidates=speculation.candidates[start:],
        truth=truth and Outcome(max(truth.node - start, 0), truth.rank),
    )


@lru_cache(maxsize=4096)
def children(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the children of every node, in order: shape (len(parents) + 1,)."""
    found: list[list[int]] = [[] for _ in range(len(parents) + 1)]
    for index, parent in enumerate(parents):
        found[parent + 1].append(index + 1)
    return tuple(map(tuple, found))


@lru_cache(maxsize=65536)
def outlined(
    length: int, speculator: Speculator, accepted: int, rank: int, *, continued: bool = False
) -> Speculation:
    """Return a chain of which nothing is known but how its verify will end."""
    truth = Outcome(accepted, rank)
    return Speculation(chain(length), speculator, truth=truth, continued=continued)


@lru_cache(maxsize=256)
def chain(length: int) -> tuple[int, ...]:
    """Return the parents of a chain of `length` drafted tokens."""
    return tuple(range(-1, length - 1))
