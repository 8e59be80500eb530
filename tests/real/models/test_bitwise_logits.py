"""What a token's logits depend on, bit by bit."""

import pytest
import torch
from read_models import EVERY, read, shallow, tokens_for

from ssdreal.models.model import Model
from ssdreal.models.pass_request import chain_mask

WIDTH, SLOTS, CAPACITY = 5, 2, 64


def last_logits(model: Model, pieces: list[tuple[int, int]], seed: int) -> torch.Tensor:
    """Logits of a text's last token in slot 1, among junk.

    A pass has a fixed shape: junk tokens, then a piece of the text, then junk up to the width;
    pieces are (junk before, tokens). Junk writes to the cache's end, which starts as junk too.
    """
    generator = torch.Generator().manual_seed(seed)
    length = sum(size for _, size in pieces)
    cache, known = model.cache(SLOTS, CAPACITY), 0
    cache.entries.normal_(generator=generator)
    for before, size in pieces:
        shape = (SLOTS, WIDTH)
        tokens = torch.randint(model.vocabulary, shape, generator=generator)
        positions = torch.randint(CAPACITY, shape, generator=generator)
        at = torch.arange(CAPACITY - WIDTH, CAPACITY).expand(SLOTS, -1).clone()
        mask = torch.rand((*shape, CAPACITY), generator=generator) < 0.5
        here = slice(before, before + size)
        own = torch.arange(known, known + size)
        tokens[1, here] = tokens_for(model, length)[0, known : known + size]
        positions[1, here] = at[1, here] = own
        mask[1, here] = chain_mask(own[None], CAPACITY)[0]
        logits = model.forward(cache, tokens, positions, at, mask, CAPACITY)
        known += size
    return logits[1, here][-1]


@EVERY
def test_a_token_s_logits_depend_bit_by_bit_only_on_what_it_sees(name, dtype):
    model = shallow(name, dtype)
    ways = [
        [(0, 5), (0, 4)],
        [(1, 4), (0, 5)],
        [(0, 3), (2, 3), (1, 3)],
        [(4, 1), (0, 1), (3, 1), (0, 3), (2, 1), (1, 1), (0, 1)],
        [(0, 4), (0, 4), (4, 1)],
    ]
    found = [last_logits(model, pieces, seed) for seed, pieces in enumerate(ways)]
    assert torch.isfinite(found[0]).all()
    for other in found[1:]:
        assert torch.equal(found[0], other)


def test_what_a_token_sees_does_change_its_logits():
    # The test above could otherwise pass on logits that depend on nothing.
    model = shallow("tiny_target", "float32")
    whole = tokens_for(model, 9)
    other = whole.clone()
    other[0, 3] += 1
    first, second = read(model, whole)[0], read(model, other)[0]
    assert torch.equal(first[:3], second[:3])
    assert not any(torch.equal(a, b) for a, b in zip(first[3:], second[3:], strict=True))


LENGTH = 22


def by(model: Model, width: int, slots: int, capacity: int | None) -> torch.Tensor:
    """Logits of a text in slot 0, read by passes of a width, at a fixed extent or what is used."""
    whole = tokens_for(model, LENGTH)
    cache, found = model.cache(slots, capacity or 96), []
    for start in range(0, LENGTH, width):
        tokens = torch.randint(model.vocabulary, (slots, width))
        piece = whole[0, start : start + width]
        tokens[0, : len(piece)] = piece
        at = torch.arange(start, start + width).expand(slots, -1)
        extent = capacity or start + width
        mask = chain_mask(at, extent)
        found.append(model.forward(cache, tokens, at, at, mask, extent)[0, : len(piece)])
    return torch.cat(found)


FEW_ROWS = ((2, 1), (1, 1), (1, 3), (2, 2), (4, 1))
MANY_ROWS = ((5, 1), (5, 2), (11, 1), (22, 2))


@EVERY
def test_logits_are_the_same_bit_by_bit_at_few_rows_and_at_many(name, dtype):
    model = shallow(name, dtype)
    narrow = dtype == "bfloat16"
    assert model.few == (4 if narrow else 0)
    for shapes in (FEW_ROWS, MANY_ROWS) if narrow else (FEW_ROWS + MANY_ROWS,):
        right = by(model, *shapes[0], 96)
        for shape in shapes[1:]:
            assert torch.equal(right, by(model, *shape, 96)), shape


@pytest.mark.parametrize("name", ["tiny_target", "smollm2_135m"])
def test_few_rows_in_bfloat16_are_no_worse_than_many(name):
    model = shallow(name, "bfloat16")
    exact = by(shallow(name, "float32"), 22, 1, 96)
    few, many = (by(model, width, 1, 96) - exact for width in (1, 22))
    assert 0 < few.square().mean() < 1.1 * many.square().mean()


@pytest.mark.parametrize("name", ["tiny_target", "smollm2_135m"])
def test_in_bfloat16_not_even_extent_and_capacity_show_in_a_bit(name):
    model = shallow(name, "bfloat16")
    for width, others in (
        (1, ((1, None), (2, 83), (4, 300))),
        (5, ((5, None), (11, 83), (5, 300))),
    ):
        right = by(model, width, 1, 96)
        for other, capacity in others:
            assert torch.equal(right, by(model, other, 1, capacity)), (other, capacity)
