"""Lays out each root-to-leaf path of a token tree like a chain, for bit-equal attention sums.

Between the entries that a node sees lie those of other branches. Entries that do not count change
no sum's value, but its grouping: kernels add several entries at once. So the last bits of a logit
would tell where in a tree it was computed, and near ties would be decided otherwise than in a
chain. Here every way from the root to a leaf is a text of its own, one entry after another.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class TreePaths(NamedTuple):
    """The root-to-leaf paths of a tree a slot, as tokens of a pass.

    Attributes
    ----------
    tokens
        (slots, ways, places) int64: which of the slot's tokens stand on a way, the root first.
        Where a way is shorter than others its last token comes again, and nothing sees that.
    found
        (slots, N) int64: where a token stands on a way of its own: way x places + place.
    first
        (slots,) int64: the entry of the root. The text lies before it.

    """

    tokens: Tensor
    found: Tensor
    first: Tensor


class Layout(NamedTuple):
    """Index tensors for attention along paths; all int64.

    Attributes
    ----------
    slot, way, here, there
        (slots, ways, places): of every token on a way its slot and way, its entry in the cache,
        and its entry in the way's own layout.
    of, back
        From tokens of the pass, counted over all slots, to those of the ways, and from there back.

    """

    slot: Tensor
    way: Tensor
    here: Tensor
    there: Tensor
    of: Tensor
    back: Tensor


def tree_paths_of(trees: Sequence[Sequence[int]], first: Sequence[int], width: int) -> TreePaths:
    """Return the root-to-leaf paths of a tree a slot.

    Parameters
    ----------
    trees
        For every node the index of the one before it, -1 for the root. The root is the slot's
        first token of the pass, node i its token 1 + i.
    first
        The entry of each root.
    width
        N, tokens of a slot in the pass.

    """
    every = [_to_leaves(parents) for parents in trees]
    places = max(len(way) for tree_paths in every for way in tree_paths)
    tokens = np.zeros((len(every), max(map(len, every)), places), np.int64)
    found = np.zeros((len(every), width), np.int64)
    for slot, tree_paths in enumerate(every):
        for number, way in enumerate(tree_paths):
            tokens[slot, number] = [*way, *way[-1:] * (places - len(way))]
            found[slot, way] = number * places + np.arange(len(way))
    return TreePaths(torch.from_numpy(tokens), torch.from_numpy(found), torch.tensor(first))


def layout(tree_paths: TreePaths, at: Tensor) -> Layout:
    """Return how tokens at the entries `at`, (slots, N), are laid out."""
    slots, many, places = tree_paths.tokens.shape
    shape, device = tree_paths.tokens.shape, at.device
    slot = torch.arange(slots, device=device)[:, None, None].expand(shape)
    way = torch.arange(many, device=device)[:, None].expand(shape)
    there = tree_paths.first[:, None, None] + torch.arange(places, device=device).expand(shape)
    found = tree_paths.found + torch.arange(slots, device=device)[:, None] * many * places
    of = slot * at.shape[1] + tree_paths.tokens
    return Layout(slot, way, at[slot, tree_paths.tokens], there, of.flatten(), found.flatten())


def along(queries: Tensor, laid: Layout) -> Tensor:
    """Return queries, (slots, kv_heads, N, ...), by ways: (slots x ways, kv_heads, places, ...)."""
    slots, many, places = laid.slot.shape
    rows = queries.transpose(1, 2).flatten(0, 1)[laid.of]
    return rows.view(slots * many, places, rows.shape[1], rows.shape[2], -1).transpose(1, 2)


def keys_along(keys: Tensor, laid: Layout, extent: int) -> Tensor:
    """Return (slots, kv_heads, head_dim, capacity) as each way sees it, (slots x ways, ...)."""
    many = laid.slot.shape[1]
    found = keys[:, None, :, :, :extent].repeat(1, many, 1, 1, 1)
    found[laid.slot, laid.way, :, :, laid.there] = keys[laid.slot, :, :, laid.here]
    return found.flatten(0, 1)


def values_along(values: Tensor, laid: Layout, extent: int) -> Tensor:
    """Return (slots, kv_heads, capacity, head_dim) as each way sees it, (slots x ways, ...)."""
    many = laid.slot.shape[1]
    found = values[:, None, :, :extent].repeat(1, many, 1, 1, 1)
    found[laid.slot, laid.way, :, laid.there] = values[laid.slot, :, laid.here]
    return found.flatten(0, 1)


def rejoined(gathered: Tensor, laid: Layout, slots: int) -> Tensor:
    """Return (slots x ways, places, numbers) by the tokens of the pass, (slots, N, numbers)."""
    rows = gathered.flatten(0, 1)[laid.back]
    return rows.view(slots, -1, rows.shape[1])


def _to_leaves(parents: Sequence[int]) -> list[list[int]]:
    """Return the way to every node without children."""
    tree_paths = [[0]]
    for parent in parents:
        tree_paths.append([*tree_paths[parent + 1], len(tree_paths)])
    inner = {parent + 1 for parent in parents}
    return [way for node, way in enumerate(tree_paths) if node not in inner]


def seen(tree_paths: TreePaths, at: Tensor, extent: int) -> Tensor:
    """Return which entries each token of trees sees: the text, and its own way up to itself.

    Parameters
    ----------
    tree_paths
        The trees.
    at
        (slots, N): the entries of the tokens.
    extent
        Entries that attention reads.

    Returns
    -------
    Tensor
        (slots, N, extent), bool.

    """
    places = tree_paths.tokens.shape[2]
    way, place = tree_paths.found // places, tree_paths.found % places
    slots = torch.arange(len(at), device=at.device)[:, None]
    on_way = tree_paths.tokens[slots, way]  # (slots, N, places)
    last = on_way.gather(2, place[..., None])
    upward = torch.where(torch.arange(places, device=at.device) <= place[..., None], on_way, last)
    entries = at[slots[..., None], upward]
    text = torch.arange(extent, device=at.device) < tree_paths.first[:, None, None]
    return text.expand(*at.shape, extent).scatter(2, entries, value=True)
