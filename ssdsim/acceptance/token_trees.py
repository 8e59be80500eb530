"""Builds token trees as speculations, over recorded positions or over tables of logits."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from ssdsim.acceptance.position import Position
from ssdsim.acceptance.trace_table import Table
from ssdsim.errors import require
from ssdsim.outcomes import Outcome, Speculation, Speculator
from ssdsim.sampling.distributions import sample
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.verification import verify_siblings
from ssdsim.trees.base import Path, Paths, parents_of, sibling, widths_of


def replayed(
    table: Table,
    paths: Paths,
    rows: Mapping[Path, int],
    speculator: Speculator,
    truth: Outcome,
) -> Speculation:
    """Return a tree over recorded positions.

    Parameters
    ----------
    table
        The positions; one that lists no candidates leaves tokens and confidences unknown.
    paths
        The nodes.
    rows
        For every node, the root included, the row of what follows it.
    speculator, truth
        As in `Speculation`.

    Raises
    ------
    ConfigError
        A node has more children than candidates are listed.

    """
    parents, width = parents_of(paths), widths_of(paths)
    if not table.listed[0]:
        return Speculation(parents, speculator, truth=truth)
    _check(paths, len(table.listed[0]))
    places = [(rows[path[:-1]], path[-1]) for path in paths]
    return Speculation(
        parents,
        speculator,
        tuple(table.listed[row][slot] for row, slot in places),
        tuple(table.candidates[row][slot] for row, slot in places),
        tuple(table.candidates[rows[path]][width[path] :] for path in ((), *paths)),
        truth,
    )


class EnumerableText(Protocol):
    """A text of models whose distributions can all be written down."""

    history: list[int]
    noise: Noise

    @property
    def vocabulary(self) -> int:
        """V, token ids there are."""
        ...

    def after(self, tokens: Sequence[int]) -> Position:
        """Return what target and draft make of the position after these tokens."""
        ...


class Nodes:
    """Outcomes over a tree whose children are the draft's best candidates.

    A node is looked at when it is asked for.
    """

    def __init__(self, text: EnumerableText) -> None:
        self.text = text
        self.tokens: dict[Path, tuple[int, ...]] = {(): ()}
        self.seen: dict[Path, Position] = {}

    def after(self, path: Path) -> list[float]:
        """Return the draft's probabilities of its candidates after a node, best first."""
        return list(self.position(path).beliefs)

    def position(self, path: Path) -> Position:
        """Return what target and draft make of the position after a node."""
        if path not in self.seen:
            self.seen[path] = self.text.after(self.tokens_to(path))
        return self.seen[path]

    def tokens_to(self, path: Path) -> tuple[int, ...]:
        """Return the tokens on the way to a node, its own included."""
        if path not in self.tokens:
            self.tokens[path] = (*self.tokens_to(path[:-1]), self.token(path))
        return self.tokens[path]

    def token(self, path: Path) -> int:
        """Return the token of a node."""
        return self.position(path[:-1]).candidate(path[-1])

    def speculation(self, paths: Paths, speculator: Speculator, truth: Outcome) -> Speculation:
        """Return the tree as a speculation."""
        _check(paths, self.text.vocabulary)
        tokens = tuple(self.tokens_to(path)[-1] for path in paths)
        drafts = [self.position(path[:-1]).draft for path in paths]
        return Speculation(
            parents_of(paths),
            speculator,
            tokens,
            tuple(draft.belief.item(token) for draft, token in zip(drafts, tokens, strict=True)),
            tuple(self.position(at).candidates(self.sent(at, paths)) for at in ((), *paths)),
            truth,
        )

    def sent(self, path: Path, paths: Paths) -> list[int]:
        """Return the tokens of a node's children."""
        return [self.tokens_to((*path, place))[-1] for place in range(widths_of(paths)[path])]


class SampledNodes(Nodes):
    """The same where the children are samples of what the draft sends, and accepted as such."""

    def token(self, path: Path) -> int:
        """Return the sample at a node."""
        text, place = self.text, len(path) - 1
        uniform = text.noise.uniform(len(text.history) + place, "propose", sibling(path))
        return sample(self.position(path[:-1]).sends, uniform)

    def landing(self, paths: Paths) -> Outcome:
        """Try every node's children in turn, from the root on."""
        path: Path = ()
        while True:
            sent = self.sent(path, paths)
            child, bonus = self._tried(path, sent)
            if child is None:
                return Outcome(((), *paths).index(path), self.position(path).rank(bonus, sent))
            path = (*path, child)

    def _tried(self, path: Path, sent: list[int]) -> tuple[int | None, int]:
        """Return which child of a node is accepted, None if none is, and the token there."""
        here, noise = self.position(path), self.text.noise
        p = here.target.probabilities
        at = len(self.text.history) + len(path)
        if not sent:
            return None, sample(p, noise.uniform(at, "bonus"))
        accept = [noise.uniform(at, "accept", sibling) for sibling in range(len(sent))]
        residual = noise.uniform(at, "residual")
        return verify_siblings(p, here.sends, sent, accept, residual)


def _check(paths: Paths, most: int) -> None:
    """Refuse nodes with more children than the draft has candidates."""
    widest = max(widths_of(paths).values())
    right = f"needs at most the {most} candidates that the acceptance source knows of"
    require(widest <= most, "tree: children of a node", widest, right)
