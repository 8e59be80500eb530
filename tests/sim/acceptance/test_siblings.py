"""Sampled siblings keep the target's distribution, and known mistakes with them do not."""

from collections import Counter
from functools import partial
from itertools import product

import numpy as np
import pytest
from chisquare import goodness

from ssdsim.acceptance import token_trees
from ssdsim.acceptance.logit_tables import LogitTables
from ssdsim.acceptance.synthetic_pair import Pair
from ssdsim.sampling.distributions import process, sample
from ssdsim.sampling.settings import Sampling
from ssdsim.sampling.verification import verify_maximal, verify_siblings
from ssdsim.trees.widths import Widths

V, LENGTH, TEXTS = 4, 3, 5000
TREES = [Widths((2,), "sampled"), Widths((3, 2), "sampled"), Widths((1, 3), "sampled")]
RNG = np.random.default_rng(5)
TARGET = 1.5 * RNG.standard_normal((V, V))
DRAFT = TARGET + 1.2 * RNG.standard_normal((V, V))


def texts(tree):
    """Decode `TEXTS` texts of `LENGTH` tokens from the same prompt, and count them."""
    pair = Pair(LogitTables(TARGET, DRAFT, Sampling(1.0)), lambda _: [0], 11)
    return Counter(written(pair.text(seq), tree, 2, LENGTH) for seq in range(TEXTS))


def written(text, tree, depth, length):
    while len(text.history) <= length:
        speculation = tree.speculate(text, depth, "primary")
        delivered = speculation.depth(speculation.truth.node) + 1
        text.commit(speculation, min(delivered, length + 1 - len(text.history)))
    return tuple(text.history[1:])


def law():
    p = process(TARGET, 1.0)
    return {
        path: np.prod([p[a, b] for a, b in zip((0, *path[:-1]), path, strict=True)])
        for path in product(range(V), repeat=LENGTH)
    }


@pytest.mark.slow
@pytest.mark.parametrize("tree", TREES, ids=str)
def test_sampled_siblings_write_what_the_target_would(tree):
    assert goodness(texts(tree), law()) > 0.001


@pytest.mark.slow
def test_siblings_that_share_their_accept_noise_do_not(monkeypatch):
    def shared(p, q, tokens, accept, uniform):
        return verify_siblings(p, q, tokens, [accept[0]] * len(tokens), uniform)

    # A pair where the second sibling's chance is neither 0 nor 1 after the first was rejected.
    rng = np.random.default_rng(1)
    p, q = rng.dirichlet(np.full(6, 1.5)), rng.dirichlet(np.full(6, 1.5))
    tables = (np.tile(np.log(r), (6, 1)) for r in (p, q))
    pair = Pair(LogitTables(*tables, Sampling(1.0)), lambda _: [0], 11)
    verifiers = {"own": verify_siblings, "shared": shared}
    found = {}
    for name, verifier in verifiers.items():
        monkeypatch.setattr(token_trees, "verify_siblings", verifier)
        firsts = Counter(written(pair.text(seq), TREES[1], 1, 1)[0] for seq in range(12000))
        found[name] = goodness(firsts, dict(enumerate(p)))
    assert found["own"] > 0.001
    assert found["shared"] < 1e-4


@pytest.mark.slow
def test_the_drafts_best_children_accepted_as_samples_do_not(monkeypatch):
    def best(self, path):
        return self.position(path[:-1]).candidate(path[-1])

    monkeypatch.setattr(token_trees.SampledNodes, "token", best)
    assert goodness(texts(TREES[1]), law()) < 1e-6


@pytest.mark.slow
def test_siblings_that_share_what_draws_them_do_not(monkeypatch):
    # Two i.i.d. children may be the same token; one drawn twice is not two samples.
    def same(self, path):
        text = self.text
        uniform = text.noise.uniform(len(text.history) + len(path) - 1, "propose", len(path) - 1)
        return sample(self.position(path[:-1]).sends, uniform)

    monkeypatch.setattr(token_trees.SampledNodes, "token", same)
    assert goodness(texts(TREES[1]), law()) < 1e-6


@pytest.mark.parametrize("seed", range(50))
def test_one_child_is_verified_as_a_chain_is(seed):
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(V)), rng.dirichlet(np.ones(V))
    token, accept, residual = sample(q, rng.random()), rng.random(2), rng.random(2)
    uniforms = {"accept": accept, "residual": residual, "bonus": np.zeros(2)}
    accepted, bonus = verify_maximal([p, p], [q], [token], uniforms)
    child, found = verify_siblings(p, q, [token], accept[:1], residual[0])
    assert (child is not None) == (accepted == 1)
    assert found == (token if accepted else bonus)


@pytest.mark.slow
def test_more_siblings_are_accepted_more_often():
    # Of i.i.d. siblings; P(one is accepted) follows from the residuals, worked through for each.
    rng = np.random.default_rng(1)
    p, q = rng.dirichlet(np.ones(V)), rng.dirichlet(np.ones(V))
    verify = partial(verify_siblings, p, q)
    shares = []
    for width in (1, 2, 3):
        tokens = rng.choice(V, size=(20000, width), p=q)
        found = [verify(t, rng.random(width), rng.random())[0] for t in tokens]
        shares.append(np.mean([child is not None for child in found]))
        assert shares[-1] == pytest.approx(chance(p, q, width), abs=0.01)
    assert shares == sorted(shares)


def chance(p, q, width):
    rejected = 1.0
    for _ in range(width):
        rejected *= 1 - np.minimum(p, q).sum()
        left = np.maximum(p - q, 0)
        p = left / left.sum()
    return 1 - rejected
