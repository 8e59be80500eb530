"""A pass over a token tree gives the logits of chains, bit by bit; so does what is kept of it."""

import numpy as np
import pytest
import torch
from device_models import both
from enumerable import seen
from read_models import EVERY, shallow

from ssdreal.models import tree_paths as laid_out
from ssdreal.models.pass_request import chain_mask
from ssdreal.models.tree_paths import tree_paths_of
from ssdreal.serving.reader import Reader
from ssdsim.outcomes import path_to
from ssdsim.trees.base import parents_of
from ssdsim.trees.listed import EAGLE
from ssdsim.trees.widths import Widths

torch.set_num_threads(1)

RNG = np.random.default_rng(4)
TEXTS = [RNG.integers(60, size=length).tolist() for length in (23, 9, 14)]
CAPACITY = 80
TREES = [parents_of(Widths((2, 3)).shape(3)), parents_of(EAGLE), ()]


def reader(model, slots):
    found = Reader(model, slots, CAPACITY, fixed=True)
    found.cache.entries.normal_(generator=torch.Generator().manual_seed(1))  # junk from before
    for slot in range(slots):
        found.prefill(slot, TEXTS[slot][:-1])
    return found


def blocks(trees):
    return [(RNG.integers(60, size=len(parents)).tolist(), parents) for parents in trees]


def on_the_way(block, node):
    tokens, parents = block
    return [tokens[at - 1] for at in path_to(parents, node)]


@EVERY
def test_a_node_has_the_logits_of_its_own_chain(name, dtype):
    model, width = shallow(name, dtype), 26
    for trees in ([TREES[1]], TREES):  # ragged: trees of 6, 25 and no nodes
        mine = blocks(trees)
        rows = {slot: (TEXTS[slot], block) for slot, block in enumerate(mine)}
        found = reader(model, len(mine)).read_trees(rows, width)
        chains, looked = reader(model, len(mine)), 0
        for slot, block in enumerate(mine):
            for node in range(0, 1 + len(block[0]), 1 if name == "tiny_target" else 8):
                text = [*TEXTS[slot], *on_the_way(block, node)]
                right = chains.read({slot: (text, len(text) - 1)}, width)[slot][0]
                assert np.array_equal(found[slot][node], right), (slot, node)
                looked += 1
        assert looked > len(mine)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_kept_is_what_a_chain_would_have_left(dtype):
    model, mine, width = shallow("tiny_target", dtype), blocks(TREES), 26
    nodes = {0: 9, 1: 25, 2: 0}  # the last child of the last child, and so on
    kept, fresh = reader(model, 3), reader(model, 3)
    kept.read_trees({slot: (TEXTS[slot], block) for slot, block in enumerate(mine)}, width)
    texts = {}
    for slot, node in nodes.items():
        tokens = on_the_way(mine[slot], node)
        kept.keep(slot, tokens, path_to(mine[slot][1], node))
        texts[slot] = [*TEXTS[slot], *tokens]
        assert kept.texts[slot] == texts[slot]
        fresh.read({slot: (texts[slot], len(TEXTS[slot]) - 1)}, width)
    for slot, text in texts.items():
        for side in ("keys", "values"):
            ours, theirs = (getattr(one.cache, side)[:, slot] for one in (kept, fresh))
            axis = -1 if side == "keys" else -2
            assert torch.equal(ours.narrow(axis, 0, len(text)), theirs.narrow(axis, 0, len(text)))
    bonus = {slot: ([*text, 7], len(text)) for slot, text in texts.items()}
    ours, theirs = kept.read(bonus, width), fresh.read(bonus, width)
    assert all(np.array_equal(ours[slot], theirs[slot]) for slot in texts)


def test_without_ways_the_last_bits_tell_where_in_a_tree_a_node_is():
    # The negative control: a mask alone, other branches' entries between a node's own.
    model, (block,) = shallow("tiny_target", "float32"), blocks([TREES[1]])
    tokens, parents = block
    width, start = 1 + len(tokens), len(TEXTS[0]) - 1
    at = start + np.arange(width)[None]
    sees = chain_mask(at, CAPACITY) & (torch.arange(CAPACITY) < start)
    for node in range(width):
        sees[0, node, [start + other for other in (0, *path_to(parents, node))]] = True
    depth = [len(path_to(parents, node)) for node in range(width)]
    ids = np.array([[TEXTS[0][-1], *tokens]])
    masked, laid = (
        one._pass(ids, start + np.array([depth]), at, CAPACITY, mask)[0]
        for one, mask in (
            (reader(model, 1), sees),
            (reader(model, 1), tree_paths_of([parents], [start], width)),
        )
    )
    np.testing.assert_allclose(masked, laid, atol=1e-4)
    assert not np.array_equal(masked, laid)


def test_ways_worked_by_hand():
    #  text - A - B
    #           - C      and, in the other slot, nothing drafted
    #         D
    tree_paths = tree_paths_of([(-1, 0, 0, -1), ()], [5, 3], 6)
    assert tree_paths.tokens.tolist() == [[[0, 1, 2], [0, 1, 3], [0, 4, 4]], [[0, 0, 0]] * 3]
    assert tree_paths.found.tolist() == [[6, 4, 2, 5, 7, 0], [0] * 6]
    assert tree_paths.first.tolist() == [5, 3]


def test_a_mask_says_what_ways_say():
    first, width, extent = [23, 9, 14], 26, 60
    at = torch.tensor(first)[:, None] + torch.arange(width)
    tree_paths = tree_paths_of(TREES, first, width)
    assert torch.equal(laid_out.seen(tree_paths, at, extent), seen(tree_paths, at, extent))


def test_the_arithmetic_of_a_gpu_sees_the_same_of_a_tree():
    trees = blocks(TREES)
    rows = {slot: (TEXTS[slot], block) for slot, block in enumerate(trees)}
    host, device = (reader(model, len(trees)).read_trees(rows, 26) for model in both("tiny_target"))
    for slot in rows:
        np.testing.assert_allclose(device[slot], host[slot], atol=1e-4)
