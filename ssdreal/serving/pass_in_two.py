"""Reads chains or token trees in one pass that is in two parts, for a target that speaks between.

The first part ends with what the head makes of an early layer, the second is what is left.
"""

from collections.abc import Callable, Mapping, Sequence

import torch

from ssdreal.models.pass_request import PassRequest, chain_mask
from ssdreal.models.tree_paths import TreePaths
from ssdreal.serving.reader import Block, Ints, Reader
from ssdreal.serving.sampling import Logits

InTwo = tuple[dict[int, Logits], Callable[[], dict[int, Logits]]]
"""By slot, early logits, and what computes the rest and returns those that one pass would."""


def chains_in_two(
    reader: Reader, texts: Mapping[int, tuple[Sequence[int], int]], width: int, layers: int
) -> InTwo:
    """Read texts as `Reader.read` does.

    What lies before the tokens whose logits are wanted is read in a pass of its own, where it is
    not known. `layers` are those of the first part.
    """
    reader.read_before(texts, width)
    new = {slot: text for slot, (text, _) in texts.items()}
    starts = {slot: first for slot, (_, first) in texts.items()}
    tokens, at, extent = reader.next_block(new, starts, width)
    asked = _asked(tokens, at, at, extent, chain_mask(at, extent))
    wanted = {slot: len(text) - starts[slot] for slot, text in new.items()}
    early, rest = _in_two(reader, asked, wanted, layers)

    def read() -> dict[int, Logits]:
        found = rest()
        reader.texts = [list(new.get(slot, held)) for slot, held in enumerate(reader.texts)]
        return found

    return early, read


def trees_in_two(
    reader: Reader, trees: Mapping[int, tuple[Sequence[int], Block]], width: int, layers: int
) -> InTwo:
    """Read token trees as `Reader.read_trees` does."""
    wanted = {slot: 1 + len(nodes) for slot, (_, (nodes, _)) in trees.items()}
    return _in_two(reader, _asked(*reader.block_of(trees, width)), wanted, layers)


def _asked(
    tokens: Ints, positions: Ints, at: Ints, extent: int, mask: torch.Tensor | TreePaths
) -> PassRequest:
    ids, turned, places = map(torch.from_numpy, (tokens, positions, at))
    return PassRequest(ids, turned, places, mask, extent, logits=True)


def _in_two(reader: Reader, asked: PassRequest, wanted: Mapping[int, int], layers: int) -> InTwo:
    """Compute a pass in two parts, of which so many tokens of every slot are wanted."""

    def told(logits: torch.Tensor) -> dict[int, Logits]:
        found = logits.cpu().numpy()
        return {slot: found[slot, :count] for slot, count in wanted.items()}

    def rest() -> dict[int, Logits]:
        with reader.timed():
            return told(reader.model.last_layers(layers, halfway, reader.cache, asked))

    with reader.timed():
        early, halfway = reader.model.first_layers(layers, reader.cache, asked)
        return told(early), rest
