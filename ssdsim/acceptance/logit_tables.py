"""Tables of logits of a target and a draft: what both make of any context, all of it known."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from ssdsim.acceptance.position import Position
from ssdsim.acceptance.trace_row import holds_back, is_deterministic
from ssdsim.sampling.distributions import Array, decided, perturb, process, saguaro, view
from ssdsim.sampling.settings import Sampling


class LogitTables:
    """Two models of one vocabulary, given by their logits after every context.

    Attributes
    ----------
    tables
        The target's and the draft's logits, shape (V^order, V) each; the row of a context is its
        tokens, the oldest first, read as a number to the base V.
    sampling
        How tokens are sampled.
    exits
        Returns the logits of the target's early view, shape (V^order, V); None: it is the truth.
    vocabulary, order
        V, and how many tokens back the models look.
    deterministic
        Whether the models and the noise leave nothing to chance.
    perturbed
        Whether both models add the same known noise.

    """

    def __init__(
        self,
        target: Array,
        draft: Array,
        sampling: Sampling,
        exits: Callable[[], Array] | None = None,
    ) -> None:
        self.tables = target, draft
        self.sampling = sampling
        self.exits = lru_cache(exits or (lambda: target))
        contexts, vocabulary = target.shape
        self.vocabulary = int(vocabulary)
        self.order = round(np.log(contexts) / np.log(self.vocabulary))
        self.deterministic = is_deterministic(sampling)
        self.perturbed = self.deterministic and sampling.temperature > 0
        self._known = lru_cache(maxsize=None)(self._position)
        self._logs = lru_cache(maxsize=None)(self._log_probabilities)

    def position(self, last: Sequence[int], gumbel: Array | None) -> Position:
        """Return what target and draft make of a position.

        Parameters
        ----------
        last
            The tokens before it, at least `order` of them.
        gumbel
            Its noise, shape (V,), where that is known beforehand; else None.

        """
        context = self._context(last)
        if gumbel is None:
            return self._known(context)
        target, draft = (decided(logs + gumbel) for logs in self._logs(context))
        return Position(target, draft, draft.probabilities)

    def early(self, last: Sequence[int], gumbel: Array | None) -> Array:
        """Return how likely the target's early view holds each token there, shape (V,)."""
        return view(self.exits()[self._context(last)], self.sampling.temperature, gumbel).belief

    def _context(self, last: Sequence[int]) -> int:
        context = 0
        for token in last[len(last) - self.order :]:
            context = context * self.vocabulary + max(token, 0)  # padding has the row of token 0
        return context

    def _position(self, context: int) -> Position:
        target, draft = (view(of[context], self.sampling.temperature) for of in self.tables)
        return Position(target, draft, self._sent(draft.probabilities))

    def _log_probabilities(self, context: int) -> tuple[Array, Array]:
        target, draft = (process(of[context], self.sampling.temperature) for of in self.tables)
        return perturb(target, 0.0), perturb(draft, 0.0)

    def _sent(self, q: Array) -> Array:
        """Return what the draft samples from."""
        if not holds_back(self.sampling):
            return q
        return saguaro(q, self.sampling.saguaro_constant, self.sampling.saguaro_fanout)
