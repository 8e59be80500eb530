"""Models that look their logits up by the text that a token sees: everything can be enumerated."""

from functools import cache
from itertools import product

import numpy as np
import torch

from ssdreal.models.tree_paths import TreePaths
from ssdsim.sampling.distributions import process, saguaro


class Texts:
    """Numbers for texts: 0 is the empty one, and every other is a text and one token more."""

    def __init__(self):
        self.tokens, self.paths, self.numbers = [()], [()], {}

    def grown(self, before, token):
        """Return the number of a text and one token more."""
        if (before, token) not in self.numbers:
            number = self.numbers[before, token] = len(self.tokens)
            self.tokens.append((*self.tokens[before], token))
            self.paths.append((*self.paths[before], number))
        return self.numbers[before, token]

    def together(self, numbers):
        """Return the number of the text that entries with these numbers make up; -1: of none."""
        last = max(numbers, default=0)
        return last if last < FOREIGN and tuple(sorted(numbers)) == self.paths[last] else -1


class Entries:
    """A cache: the number of the text that ends in each entry, -1 where that is no text."""

    def __init__(self, numbers):
        self.numbers = numbers

    def alone(self, slot):
        return Entries(self.numbers[slot : slot + 1])

    def gather(self, slot, entries, start):
        self.numbers[slot, start : start + len(entries)] = self.numbers[slot, entries]


def seen(tree_paths, at, extent):
    """Return the mask that says what ways say: a token sees the text, and its own way so far."""
    mask = torch.zeros((*at.shape, extent), dtype=torch.bool)
    places = tree_paths.tokens.shape[2]
    for slot, column in np.ndindex(*at.shape):
        way, place = divmod(int(tree_paths.found[slot, column]), places)
        mask[slot, column, : tree_paths.first[slot]] = True
        mask[slot, column, at[slot, tree_paths.tokens[slot, way, : place + 1]]] = True
    return mask


FOREIGN = 1 << 30  # added to the number of what a draft wrote into its target's cache


class TextModel:
    """Stands in for a `Model`, and gives the same logits whatever the pass's shape.

    An entry is worth what its token saw when it was computed, as in a transformer. Where a token
    does not see one whole text, every token of it at its position, its logits are NaN.
    """

    device, depth = torch.device("cpu"), 4

    def __init__(self, logits, vocabulary, ids=None):
        self.logits, self.vocabulary = cache(logits), vocabulary
        self.ids = None if ids is None else torch.tensor(ids)
        self.rows = range(vocabulary) if ids is None else ids
        self.texts = Texts()

    def cache(self, slots, capacity):
        return Entries(np.full((slots, capacity), -1))

    def capturing(self, capture):
        return capture

    def plain(self):
        return self

    def forward(self, cache, tokens, positions, at, mask, extent, *, logits=True):
        if isinstance(mask, TreePaths):
            mask = seen(mask, at, extent)
        assert mask.shape == (*tokens.shape, extent)
        tokens, positions, at, mask = (x.numpy() for x in (tokens, positions, at, mask))
        found = np.full((*tokens.shape, len(self.rows)), np.nan, np.float32)
        for slot, column in np.ndindex(tokens.shape):
            numbers, entry, sees = cache.numbers[slot], at[slot, column], mask[slot, column].copy()
            own, sees[entry] = sees[entry], False
            before = numbers[:extent][sees].tolist()
            text = self.texts.together(before)
            numbers[entry] = -1
            if own and text >= 0 and len(before) == positions[slot, column]:
                numbers[entry] = self.texts.grown(text, int(tokens[slot, column]))
                if logits:
                    found[slot, column] = self.after(self.texts.tokens[numbers[entry]])
        return torch.from_numpy(found) if logits else None

    def first_layers(self, layers, cache, asked):
        """Return the logits as the first layers have them: the fewer, the less is in them."""
        return self.forward(cache, *asked[:-1]) * layers / self.depth, ()

    def last_layers(self, layers, halfway, cache, asked):
        return self.forward(cache, *asked[:-1])

    def after(self, text):
        """Return the logits after a text."""
        return self.logits(text)[list(self.rows)]

    def without(self, skipped):
        """Return the draft that this target is for itself: what is skipped has no meaning here."""
        return self.fewer


class FewerModel(TextModel):
    """A draft that reads its target's cache, in which nobody else may read what it wrote."""

    def __init__(self, logits, target):
        super().__init__(logits, target.vocabulary)
        self.texts = target.texts

    def forward(self, cache, tokens, positions, at, mask, extent, **wanted):
        before = cache.numbers.copy()
        cache.numbers[:] = np.where(before >= FOREIGN, before - FOREIGN, before)
        found = super().forward(cache, tokens, positions, at, mask, extent, **wanted)
        slots, at = np.arange(len(before))[:, None], at.numpy()
        wrote = cache.numbers[slots, at]
        before[slots, at] = np.where(wrote < 0, -1, wrote + FOREIGN)
        cache.numbers[:] = before
        return found


class Pair:
    """A target, and a draft that knows some `ids`, by what they make of a text."""

    def __init__(self, target, draft, vocabulary, ids=None):
        self.vocabulary, self.ids = vocabulary, ids
        self.target = TextModel(target, vocabulary)
        self.draft = TextModel(draft, vocabulary, ids)
        self.target.fewer = FewerModel(draft, self.target)
        self.p, self.q = cache(self._p), cache(self._q)

    def _p(self, decoding, text):
        """Return what the target samples from."""
        return self._processed(decoding, self.target, text)

    def _q(self, decoding, text):
        """Return what the draft samples from."""
        q = self._processed(decoding, self.draft, text)
        q = saguaro(q, decoding.saguaro_constant, decoding.saguaro_fanout)
        found = np.zeros(self.vocabulary)
        found[list(self.draft.rows)] = q
        return found

    def law(self, decoding, prompt, length):
        """Return the probability of every text of this length that the target may write."""
        return {
            path: np.prod([self.p(decoding, (*prompt, *path[:k]))[t] for k, t in enumerate(path)])
            for path in product(range(self.vocabulary), repeat=length)
        }

    @staticmethod
    def _processed(decoding, model, text):
        return process(model.after(text), decoding.temperature, decoding.top_k, decoding.top_p)


def markov(target, draft, ids=None):
    """Return the pair with these tables of logits, looked up by the last tokens."""
    order, vocabulary = target.ndim - 1, target.shape[-1]

    def after(table):
        return lambda text: table[((0,) * order + text)[-order:]]

    return Pair(after(target), after(draft), vocabulary, ids)


def random_markov(seed, vocabulary=4, order=2, ids=None, sharpness=1.0, divergence=1.0):
    rng = np.random.default_rng(seed)
    shape = (vocabulary,) * (order + 1)
    target = sharpness * rng.standard_normal(shape)
    return markov(target, target + divergence * rng.standard_normal(shape), ids)


def random_pair(seed, vocabulary=8, ids=None, sharpness=1.5, divergence=1.0):
    """Return a pair whose logits depend on every token of the text."""

    def after(name, text):
        return np.random.default_rng((seed, name, *text)).standard_normal(vocabulary)

    def target(text):
        return sharpness * after(0, text)

    return Pair(target, lambda text: target(text) + divergence * after(1, text), vocabulary, ids)
