"""Candidates as a device ranks them: exact to the last tie, without a long sort or a softmax."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ssdreal.static.drafter import left_out, ranked
from ssdreal.static.sampling_rules import NO_TOKEN, PIECE, softmax, top
from ssdsim.sampling.ranking import top as host_top
from ssdsim.sampling.settings import Decoding

LONG = 100 * PIECE


def tied(columns, kinds, rows=3, seed=0):
    """Return scores of few values: zeros of both signs, and some that are no chance at all."""
    rng = np.random.default_rng(seed)
    values = np.array([-np.inf, -0.0, 0.0, *rng.standard_normal(kinds)], np.float32)
    return rng.choice(values, (rows, columns))


@pytest.mark.parametrize("columns", [5, PIECE, LONG - 1, LONG, LONG + 1])
@pytest.mark.parametrize("kinds", [1, 40, 10**6])
def test_ties_fall_to_the_lower_column_however_long_a_row_is(columns, kinds):
    scores = tied(columns, kinds)
    for count in (1, 2, 33, columns // PIECE, columns):
        if 1 <= count <= columns:
            found = top(torch.from_numpy(scores), count)
            np.testing.assert_array_equal(found.numpy(), host_top(scores, count))


def test_where_nothing_has_a_chance_the_first_columns_are_the_best():
    found = top(torch.full((2, LONG - 7), -torch.inf), 40)
    assert found.tolist() == [list(range(40))] * 2


class Watched(TorchDispatchMode):
    """Notes how long the rows are that are sorted, and how much is stored of exponentials."""

    def __init__(self):
        super().__init__()
        self.sorted, self.divided = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("sort", "topk"):
            self.sorted.append((args[0].shape[-1], args[0].dtype))
        if name == "div":
            self.divided.append(args[0].shape[-1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(0.7)], ids=["greedy", "maximal"])
def test_no_row_of_the_vocabulary_is_sorted_or_made_probabilities(decoding):
    logits = torch.randn((2, 5, 2000 * PIECE), generator=torch.Generator().manual_seed(1))
    scores = logits.clone() if not decoding.needs_probabilities else logits
    sent = torch.full((2, 5, 1), NO_TOKEN)
    with Watched() as watched:
        ids, beliefs = ranked(scores, logits, sent, None, 32, decoding)
    lengths, kinds = zip(*watched.sorted, strict=True)
    assert max(lengths) < 40 * PIECE
    assert kinds[0] == torch.float32
    scaled = [logits.shape[-1]] if decoding.needs_probabilities else []  # by the temperature
    assert watched.divided == [*scaled, 33]
    belief = softmax(logits / (decoding.temperature or 1.0)).gather(-1, ids)
    assert torch.equal(beliefs, belief)


def test_what_was_sent_is_left_out_and_the_rest_moves_up():
    ids = torch.tensor([[[7, 3, 9, 1], [5, 6, 7, 8], [4, 3, 2, 1]]])
    beliefs = torch.tensor([[[0.4, 0.3, 0.2, 0.1]] * 3])
    sent = torch.tensor([[[7, 9], [NO_TOKEN, 11], [1, 3]]])
    found, left = left_out(ids, beliefs, sent)
    gone = NO_TOKEN
    assert found.tolist() == [[[3, 1, gone, gone], [5, 6, 7, 8], [4, 2, gone, gone]]]
    kept = torch.tensor([0.3, 0.1]), torch.tensor([0.4, 0.3, 0.2, 0.1]), torch.tensor([0.4, 0.2])
    for row, right in zip(left[0], kept, strict=True):
        assert torch.equal(row[: len(right)], right)
