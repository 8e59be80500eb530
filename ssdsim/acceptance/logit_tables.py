"""Decodes a pair of models given as tables of logits, so that all distributions are known.

Drafting and verifying run through the very code that real logits go through
(`ssdsim.sampling.verification`), token by token.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ssdsim.acceptance.token_trees import Nodes, SampledNodes
from ssdsim.acceptance.trace_row import holds_back, is_deterministic
from ssdsim.errors import require
from ssdsim.outcomes import Early, Outcome, Speculation, Speculator, chain
from ssdsim.sampling.distributions import Array, View, certain, saguaro, sample, view
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.ranking import best, left, rank_of, ranked
from ssdsim.sampling.settings import Sampling
from ssdsim.sampling.verification import verify_gumbel, verify_maximal
from ssdsim.trees.base import TokenTree, landing

PADDING = -1
"""What a block of guesses holds where there is none yet: no token of the target is equal to it."""


class Pair:
    """An acceptance source that decodes with two tables of logits.

    Attributes
    ----------
    target, draft
        Logits after every context, shape (V^order, V); the row of a context is its tokens, the
        oldest first, read as a number to the base V.
    prompt_ids
        The prompt of a sequence.
    sampling
        How tokens are sampled.
    key
        Seed of all noise.
    exits
        Returns the logits of the target's early view, shape (V^order, V); None: it is the truth.

    """

    def __init__(
        self,
        target: Array,
        draft: Array,
        prompt_ids: Callable[[int], list[int]],
        sampling: Sampling,
        key: int,
        exits: Callable[[], Array] | None = None,
    ) -> None:
        self.target, self.draft = target, draft
        self.exits = lru_cache(exits or (lambda: target))
        self.prompt_ids = prompt_ids
        self.sampling = sampling
        self.key = key
        contexts, self.vocabulary = target.shape
        self.order = round(np.log(contexts) / np.log(self.vocabulary))
        self.perturbed = sampling.coupling == "gumbel" and sampling.temperature > 0
        self._known = lru_cache(maxsize=None)(self._view)

    def text(self, seq: int) -> "PairText":
        """Return the text of sequence `seq` at its prompt's end."""
        return PairText(self, self.prompt_ids(seq), Noise(self.key, seq))

    def prompt(self, seq: int) -> tuple[str, str]:
        """Return the name and the kind of the prompt of sequence `seq`."""
        return f"synthetic-{seq}", "synthetic"

    def prompt_tokens(self, seq: int) -> int:
        """Return the length of the prompt of sequence `seq`."""
        return len(self.prompt_ids(seq))

    def length(self, seq: int) -> None:
        """Set no limit."""

    def views(self, text: Sequence[int], noise: Noise) -> tuple[View, View]:
        """Return what target and draft make of the position after `text`."""
        context = self._context(text)
        if not self.perturbed:
            return self._known(context)
        return self._view(context, noise.gumbel(len(text), self.vocabulary))

    def early(self, text: Sequence[int], noise: Noise) -> Array:
        """Return how likely the target's early view holds each token after `text`, shape (V,)."""
        gumbel = noise.gumbel(len(text), self.vocabulary) if self.perturbed else None
        return view(self.exits()[self._context(text)], self.sampling.temperature, gumbel).belief

    def sends(self, draft: View) -> Array:
        """Return the distribution that the drafted token is sampled from."""
        if not holds_back(self.sampling):
            return draft.probabilities
        C, F = self.sampling.saguaro_constant, self.sampling.saguaro_fanout
        return saguaro(draft.probabilities, C, F)

    def _context(self, text: Sequence[int]) -> int:
        context = 0
        for token in text[len(text) - self.order :]:
            context = context * self.vocabulary + max(token, 0)  # padding has the row of token 0
        return context

    def _view(self, context: int, gumbel: Array | None = None) -> tuple[View, View]:
        T = self.sampling.temperature
        return view(self.target[context], T, gumbel), view(self.draft[context], T, gumbel)


class PairText:
    """One text of a pair, its randomness keyed by absolute position."""

    def __init__(self, pair: Pair, prompt: list[int], noise: Noise) -> None:
        self.pair = pair
        self.history = prompt
        self.noise = noise
        self.done = 0  # tokens committed of the chain that the draft is at
        self.said: list[int] = []  # by the target, of the next places, in its last pass

    @property
    def vocabulary(self) -> int:
        """V, token ids there are."""
        vocabulary: int = self.pair.vocabulary
        return vocabulary

    def sends(self, draft: View) -> Array:
        """Return the distribution that the draft samples from, shape (V,)."""
        return self.pair.sends(draft)

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Sample a chain from the draft and verify it."""
        return self._verified(*self._drafted(length), speculator)

    def ahead(self, length: int) -> Speculation:
        """Sample one token more than that, and verify them all."""
        tokens, sent = self._drafted(length + 1)
        views = self._views_along(tokens)
        node, bonus = self._verify([target for target, _ in views], tokens, sent)
        continued = node > length
        ending = (length, tokens[length]) if continued else (node, bonus)
        whole = self._told(tokens[:length], views[:-1], ending, "primary" if length else "none")
        return replace(whole, continued=continued)

    def _drafted(self, length: int) -> tuple[list[int], list[Array]]:
        tokens: list[int] = []
        sent: list[Array] = []
        for place in range(length):
            # The place in the chain is part of the address: a chain must share no noise with what
            # was dropped of the one before, since a policy may have looked at that.
            at = len(self.history) + place
            uniform = self.noise.uniform(at, "propose", self.done + place)
            sent.append(self.pair.sends(self._views(tokens)[1]))
            tokens.append(sample(sent[-1], uniform))
        return tokens, sent

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
        random = not is_deterministic(self.pair.sampling)
        right = "needs coupling=maximal and a temperature > 0: else all siblings are the same"
        require(random, "tree.children", "sampled", right)
        nodes = SampledNodes(self)
        paths = tree.grow(depth, nodes.after)
        return nodes.speculation(paths, speculator, nodes.landing(paths))

    def propose(self, tokens: Sequence[int], length: int) -> Speculation:
        """Verify a backup's tokens, at most `length`; it was sure of them."""
        chosen = list(tokens[:length])
        return self._verified(chosen, list(certain(chosen, self.pair.vocabulary)), "backup")

    def guess(self, length: int, seen: int) -> Speculation:
        """Let the target's table reread its own last answers (greedy or with known noise)."""
        tokens = [*self.said[:seen], *[PADDING] * length][:length]
        targets, drafts = zip(*self._views_along(tokens), strict=True)
        scores = np.stack([target.scores for target in targets])
        node, bonus = verify_gumbel(scores, tokens, 0.0)
        sent = (*tokens, PADDING)[node]
        rank = rank_of(bonus, drafts[node].scores, None if sent == PADDING else sent)
        self.said = best(scores).tolist()
        return Speculation(chain(length), "none", tuple(tokens), truth=Outcome(node, rank))

    def early(self, speculation: Speculation) -> Early:
        """Return what an early layer of the target takes for likely at every node of a chain."""
        tokens = speculation.tokens
        along = [tokens[:k] for k in range(len(tokens) + 1)]
        likely = [self.pair.early([*self.history, *way], self.noise) for way in along]
        orders = [
            ranked(self._views(way)[1].scores, sent)
            for way, sent in zip(along, [*tokens, None], strict=True)
        ]
        return Early(
            tuple(p.item(token) for p, token in zip(likely, tokens, strict=False)),
            tuple(tuple(p[order].tolist()) for p, order in zip(likely, orders, strict=True)),
        )

    def bonus(self, speculation: Speculation) -> int:
        """Return the draft's candidate of the bonus token's rank."""
        assert speculation.truth is not None
        node, rank = speculation.truth
        sent = [speculation.tokens[index - 1] for index in speculation.children(node)]
        draft = self._views(_accepted(speculation))[1]
        return int(left(draft.scores, sent)[rank])

    def commit(self, speculation: Speculation, delivered: int) -> tuple[int, ...]:
        """Grow by the accepted tokens and the bonus token."""
        committed = (*_accepted(speculation), self.bonus(speculation))[:delivered]
        self.history.extend(committed)
        self.done = self.done + len(committed) if speculation.continued else 0
        self.said = self.said[len(committed) :]
        return committed

    def views(self, drafted: Sequence[int] = ()) -> tuple[View, View]:
        """Return what target and draft make of the position after these drafted tokens."""
        return self._views(drafted)

    def _views(self, drafted: Sequence[int]) -> tuple[View, View]:
        return self.pair.views([*self.history, *drafted], self.noise)

    def _own_ranks(self, depth: int) -> list[int]:
        """Return the ranks of the next `depth` + 1 tokens that the target would write alone."""
        own: list[int] = []
        ranks: list[int] = []
        for ahead in range(depth + 1):
            target, draft = self._views(own)
            uniform = self.noise.uniform(len(self.history) + ahead, "bonus")
            own.append(sample(target.probabilities, uniform))
            ranks.append(rank_of(own[-1], draft.scores))
        return ranks

    def _verified(
        self, tokens: list[int], sent: list[Array], speculator: Speculator
    ) -> Speculation:
        views = self._views_along(tokens)
        targets = [target for target, _ in views]
        told = self._told(tokens, views, self._verify(targets, tokens, sent), speculator)
        return replace(told, chances=tuple(map(_chance, targets, sent, tokens)))

    def _views_along(self, tokens: list[int]) -> list[tuple[View, View]]:
        return [self._views(tokens[:k]) for k in range(len(tokens) + 1)]

    def _told(
        self,
        tokens: list[int],
        views: Sequence[tuple[View, View]],
        ending: tuple[int, int],
        speculator: Speculator,
    ) -> Speculation:
        """Return the speculation that ends after so many accepted tokens with this bonus token."""
        drafts, left_out = [draft for _, draft in views], [*tokens, None]
        node, bonus = ending
        return Speculation(
            chain(len(tokens)),
            speculator,
            tuple(tokens),
            tuple(d.belief.item(t) for d, t in zip(drafts, tokens, strict=False)),
            tuple(_candidates(d, t) for d, t in zip(drafts, left_out, strict=True)),
            Outcome(node, rank_of(bonus, drafts[node].scores, left_out[node])),
        )

    def _verify(
        self, targets: Sequence[View], tokens: Sequence[int], sent: Sequence[Array]
    ) -> tuple[int, int]:
        if is_deterministic(self.pair.sampling):
            return verify_gumbel(np.stack([t.scores for t in targets]), tokens, 0.0)
        p, q = np.stack([t.probabilities for t in targets]), np.array(sent)
        return verify_maximal(p, q, tokens, self.noise.block(len(self.history), len(targets)))


def _accepted(speculation: Speculation) -> list[int]:
    """Return the accepted tokens of a verified speculation."""
    assert speculation.truth is not None
    return [speculation.tokens[at - 1] for at in speculation.path_to(speculation.truth.node)]


def _chance(target: View, sent: Array, token: int) -> float:
    """Return min(1, p/q') of a drafted token."""
    return min(1.0, target.probabilities.item(token) / sent.item(token))


def _candidates(draft: View, sent: int | None) -> tuple[float, ...]:
    return tuple(draft.belief[ranked(draft.scores, sent)].tolist())
