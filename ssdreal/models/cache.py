"""The KV cache: keys and values of the tokens that a model has read."""

import torch
from torch import Tensor


def keys_and_values(entries: Tensor) -> tuple[Tensor, Tensor]:
    """Return what entries hold, over the same memory.

    Parameters
    ----------
    entries
        (..., 2, slots, kv_heads, capacity, head_dim).

    Returns
    -------
    tuple
        Keys (..., slots, kv_heads, head_dim, capacity) and values (..., slots, kv_heads, capacity,
        head_dim).

    """
    keys, values = entries.unbind(-5)
    return keys.view(*keys.shape[:-2], keys.shape[-1], keys.shape[-2]), values


class Cache:
    """A static key-value cache: of each layer the keys and values of slots x capacity entries.

    Which entries a token sees is the mask's business: what is not seen may be anything finite.

    Parameters
    ----------
    entries
        (layers, 2, slots, kv_heads, capacity, head_dim), contiguous: memory for keys, then for
        values.
    first
        The first of the slots that this is a cache of.
    slots
        How many they are.

    Attributes
    ----------
    keys
        (layers, slots, kv_heads, head_dim, capacity): the other way round, since a product with
        them takes twice as long where the kernel has to turn them.
    values
        (layers, slots, kv_heads, capacity, head_dim).

    """

    def __init__(self, entries: Tensor, first: int, slots: int) -> None:
        self.entries, self.first, self.slots = entries, first, slots
        keys, values = keys_and_values(entries)
        self.keys, self.values = (part[:, first : first + slots] for part in (keys, values))

    @property
    def capacity(self) -> int:
        """Entries of a slot."""
        return self.entries.shape[4]

    @property
    def head_dim(self) -> int:
        """Numbers of an entry's key or value."""
        return self.entries.shape[5]

    def alone(self, slot: int) -> "Cache":
        """Return one slot's entries as a cache of one slot; they are shared, not copied."""
        return Cache(self.entries, self.first + slot, 1)

    def gather(self, slot: int, entries: list[int], start: int) -> None:
        """Move entries of a slot, in this order, to where the ones from `start` on are."""
        here = slice(start, start + len(entries))
        self.keys[:, slot, :, :, here] = self.keys[:, slot, :, :, entries]
        self.values[:, slot, :, here] = self.values[:, slot, :, entries]

    def places(self, at: Tensor) -> Tensor:
        """Return where keys and values of new tokens go, among all the numbers of a layer.

        Parameters
        ----------
        at
            (slots, N) int64: entries.

        Returns
        -------
        Tensor
            (slots x N x 2 x kv_heads x head_dim,) int64.

        """
        sides, slots, heads, capacity, size = self.entries.shape[1:]
        head = capacity * size
        starts = torch.arange(0, sides * slots * heads * head, head, device=at.device)
        starts = starts.view(sides, slots, heads)[:, self.first : self.first + self.slots]
        numbers, at = torch.arange(size, device=at.device), at[..., None]
        within = torch.stack((numbers * capacity + at, at * size + numbers), dim=2)
        return (starts.transpose(0, 1)[:, None, :, :, None] + within[:, :, :, None]).flatten()
