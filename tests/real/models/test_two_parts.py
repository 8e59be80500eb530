"""A pass in two parts gives the very logits of a whole one, and early ones of its first layers."""

import pytest
import torch
from device_models import both

from ssdreal.models.pass_request import PassRequest, chain_mask

SLOTS, WIDTH, CAPACITY = 2, 5, 32


def asked(begin):
    """Return the request of a block behind `begin` tokens."""
    at = (begin + torch.arange(WIDTH)).expand(SLOTS, -1).contiguous()
    tokens = (7 * at + torch.arange(SLOTS)[:, None]) % 64
    return PassRequest(tokens, at, at, chain_mask(at, CAPACITY), CAPACITY, logits=True)


def whole(model, blocks):
    """Return the logits of blocks that follow each other, and the cache that they leave."""
    cache = model.cache(SLOTS, CAPACITY)
    return [model.forward(cache, *block[:5]) for block in blocks], cache.entries


def in_two(model, blocks, layers):
    cache, early, late = model.cache(SLOTS, CAPACITY), [], []
    for block in blocks:
        said, halfway = model.first_layers(layers, cache, block)
        early.append(said)
        late.append(model.last_layers(layers, halfway, cache, block))
    return early, late, cache.entries


@pytest.mark.parametrize("of", [0, 1], ids=["host", "device"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_parts_are_the_whole(of, dtype):
    model, blocks = both("tiny_target", dtype)[of], [asked(0), asked(WIDTH)]
    right, entries = whole(model, blocks)
    for layers in range(1, model.depth + 1):
        early, late, cached = in_two(model, blocks, layers)
        shallow, _ = whole(model.shallow(layers), blocks)
        assert all(map(torch.equal, late, right))
        assert torch.equal(cached, entries)
        assert all(map(torch.equal, early, shallow))
        if layers < model.depth:
            assert not torch.equal(early[1], right[1])
