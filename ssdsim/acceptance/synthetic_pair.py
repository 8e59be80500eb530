"""A pair of models given as tables of logits, decoded token by token.

Drafting and verifying run through the very code that real logits go through
(`ssdsim.sampling.verification`), and all distributions are known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ssdsim.acceptance.logit_tables import LogitTables
from ssdsim.acceptance.position import Position
from ssdsim.acceptance.token_trees import Nodes, SampledNodes
from ssdsim.errors import require
from ssdsim.outcomes import Early, Outcome, Speculation, Speculator, chain
from ssdsim.sampling.distributions import Array, certain, sample
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.verification import verify_maximal, verify_own
from ssdsim.trees.base import TokenTree, landing

PADDING = -1
"""What a block of guesses holds where there is none yet: no token of the target is equal to it."""


@dataclass(frozen=True)
class Pair:
    """An acceptance source that decodes with two tables of logits.

    Attributes
    ----------
    models
        The tables.
    prompt_ids
        Returns the prompt of a sequence.
    key
        Seed of all noise.

    """

    models: LogitTables
    prompt_ids: Callable[[int], list[int]]
    key: int

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return self.models.vocabulary

    def text(self, seq: int) -> "PairText":
        """Return the text of sequence `seq` at its prompt's end."""
        return PairText(self.models, self.prompt_ids(seq), Noise(self.key, seq))

    def prompt(self, seq: int) -> tuple[str, str]:
        """Return the name and the kind of the prompt of sequence `seq`."""
        return f"synthetic-{seq}", "synthetic"

    def prompt_tokens(self, seq: int) -> int:
        """Return the length of the prompt of sequence `seq`."""
        return len(self.prompt_ids(seq))

    def length(self, seq: int) -> None:
        """Set no limit."""


class PairText:
    """One text of a pair, its randomness keyed by absolute position."""

    def __init__(self, models: LogitTables, prompt: list[int], noise: Noise) -> None:
        self.models = models
        self.history = prompt
        self.noise = noise
        self.done = 0  # tokens committed of the chain that the draft is at
        self.said: list[int] = []  # by the target, of the next places, in its last pass

    @property
    def vocabulary(self) -> int:
        """V, token ids there are."""
        return self.models.vocabulary

    def after(self, drafted: Sequence[int] = ()) -> Position:
        """Return what target and draft make of the position after these drafted tokens."""
        return self.models.position(*self._place(drafted))

    def early_after(self, drafted: Sequence[int] = ()) -> Array:
        """Return how likely the target's early view holds each token there, shape (V,)."""
        return self.models.early(*self._place(drafted))

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Sample a chain from the draft and verify it."""
        tokens, along = self._drafted(length)
        return self._verified(tokens, along, _sent(along), speculator)

    def ahead(self, length: int) -> Speculation:
        """Sample one token more than that, and verify them all."""
        tokens, along = self._drafted(length + 1)
        node, bonus = self._verify(along, tokens, _sent(along))
        continued = node > length
        ending = (length, tokens[length]) if continued else (node, bonus)
        whole = _told(tokens[:length], along[:-1], ending, "primary" if length else "none")
        return replace(whole, continued=continued)

    def _drafted(self, length: int) -> tuple[list[int], list[Position]]:
        """Return the draft's next tokens, and the positions after 0 .. `length` of them."""
        tokens: list[int] = []
        along = [self.after()]
        for place in range(length):
            tokens.append(self._sampled(along[-1], place))
            along.append(self.after(tokens))
        return tokens, along

    def _sampled(self, position: Position, place: int) -> int:
        """Return the draft's token at a place of its chain."""
        if self.models.deterministic:
            return position.candidate(0)
        # The place in the chain is part of the address: a chain must share no noise with what
        # was dropped of the one before, since a policy may have looked at that.
        at = len(self.history) + place
        return sample(position.sends, self.noise.uniform(at, "propose", self.done + place))

    def grow(self, tree: TokenTree, depth: int, speculator: Speculator) -> Speculation:
        """Let the draft continue by a tree of its best candidates.

        A child is accepted if it is the target's own token, so the text is what the target alone
        would write with the same noise, under either coupling.
        """
        nodes = Nodes(self)
        paths = tree.grow(depth, nodes.after)
        return nodes.speculation(paths, speculator, landing(paths, self._own_ranks(depth)))

    def sample(self, tree: TokenTree, depth: int, speculator: Speculator) -> Speculation:
        """Let the draft continue by a tree whose children are sampled, and tried in turn."""
        random = not self.models.deterministic
        right = "needs coupling=maximal and a temperature > 0: else all siblings are the same"
        require(random, "tree.children", "sampled", right)
        nodes = SampledNodes(self)
        paths = tree.grow(depth, nodes.after)
        return nodes.speculation(paths, speculator, nodes.landing(paths))

    def propose(self, tokens: Sequence[int], length: int) -> Speculation:
        """Verify a backup's tokens, at most `length`; it was sure of them."""
        chosen = list(tokens[:length])
        sent = certain(chosen, self.vocabulary)
        return self._verified(chosen, self._along(chosen), sent, "backup")

    def guess(self, length: int, seen: int) -> Speculation:
        """Let the target's table reread its own last answers (greedy or with known noise)."""
        tokens = [*self.said[:seen], *[PADDING] * length][:length]
        along = self._along(tokens)
        self.said = [position.own for position in along]
        node, bonus = verify_own(self.said, tokens)
        truth = Outcome(node, along[node].rank(bonus, _tokens(tokens[node : node + 1])))
        return Speculation(chain(length), "none", tuple(tokens), truth=truth)

    def early(self, speculation: Speculation) -> Early:
        """Return what an early layer of the target takes for likely at every node of a chain."""
        tokens = speculation.tokens
        along = [tokens[:k] for k in range(len(tokens) + 1)]
        likely = [self.early_after(way) for way in along]
        listed = [
            [token for token in self.after(way).order.tolist() if token not in tokens[k : k + 1]]
            for k, way in enumerate(along)
        ]
        return Early(
            tuple(p.item(token) for p, token in zip(likely, tokens, strict=False)),
            tuple(tuple(p[ids].tolist()) for p, ids in zip(likely, listed, strict=True)),
        )

    def bonus(self, speculation: Speculation) -> int:
        """Return the draft's candidate of the bonus token's rank."""
        assert speculation.truth is not None
        node, rank = speculation.truth
        sent = [speculation.tokens[index - 1] for index in speculation.children(node)]
        return self.after(_accepted(speculation)).candidate(rank, _tokens(sent))

    def commit(self, speculation: Speculation, delivered: int) -> tuple[int, ...]:
        """Grow by the accepted tokens and the bonus token."""
        committed = (*_accepted(speculation), self.bonus(speculation))[:delivered]
        self.history.extend(committed)
        self.done = self.done + len(committed) if speculation.continued else 0
        self.said = self.said[len(committed) :]
        return committed

    def _along(self, tokens: list[int]) -> list[Position]:
        return [self.after(tokens[:k]) for k in range(len(tokens) + 1)]

    def _place(self, drafted: Sequence[int]) -> tuple[list[int], Array | None]:
        """Return the last tokens before a place, and its noise where that is known beforehand."""
        at = len(self.history) + len(drafted)
        known = self.noise.gumbel(at, self.vocabulary) if self.models.perturbed else None
        return [*self.history[-self.models.order :], *drafted], known

    def _own_ranks(self, depth: int) -> list[int]:
        """Return the ranks of the next `depth` + 1 tokens that the target would write alone."""
        own: list[int] = []
        ranks: list[int] = []
        for ahead in range(depth + 1):
            position = self.after(own)
            uniform = self.noise.uniform(len(self.history) + ahead, "bonus")
            own.append(sample(position.target.probabilities, uniform))
            ranks.append(position.rank(own[-1]))
        return ranks

    def _verified(
        self,
        tokens: list[int],
        along: Sequence[Position],
        sent: Sequence[Array] | Array,
        speculator: Speculator,
    ) -> Speculation:
        told = _told(tokens, along, self._verify(along, tokens, sent), speculator)
        return replace(told, chances=tuple(map(_chance, along, sent, tokens)))

    def _verify(
        self, along: Sequence[Position], tokens: Sequence[int], sent: Sequence[Array] | Array
    ) -> tuple[int, int]:
        if self.models.deterministic:
            return verify_own([position.own for position in along], tokens)
        p = [position.target.probabilities for position in along]
        return verify_maximal(p, sent, tokens, self.noise.block(len(self.history), len(p)))


def _sent(along: Sequence[Position]) -> list[Array]:
    """Return what the tokens between these positions were sampled from."""
    return [position.sends for position in along[:-1]]


def _told(
    tokens: list[int], along: Sequence[Position], ending: tuple[int, int], speculator: Speculator
) -> Speculation:
    """Return the chain that ends after so many accepted tokens with this bonus token."""
    left_out = [tokens[k : k + 1] for k in range(len(along))]
    node, bonus = ending
    return Speculation(
        chain(len(tokens)),
        speculator,
        tuple(tokens),
        tuple(of.draft.belief.item(token) for of, token in zip(along, tokens, strict=False)),
        tuple(of.candidates(sent) for of, sent in zip(along, left_out, strict=True)),
        Outcome(node, along[node].rank(bonus, left_out[node])),
    )


def _tokens(guesses: Sequence[int]) -> list[int]:
    return [token for token in guesses if token != PADDING]


def _accepted(speculation: Speculation) -> list[int]:
    """Return the accepted tokens of a verified speculation."""
    assert speculation.truth is not None
    return [speculation.tokens[at - 1] for at in speculation.path_to(speculation.truth.node)]


def _chance(position: Position, sent: Array, token: int) -> float:
    """Return min(1, p/q') of a drafted token."""
    return min(1.0, position.target.probabilities.item(token) / sent.item(token))
