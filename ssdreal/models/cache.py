"""Keys and values of the tokens that a model has seen."""

import torch
from torch import Tensor


class Cache:
    """A static key-value cache: of each layer the keys and values of slots x capacity entries.

    Which entries a token sees is the mask's business: what is not seen may be anything finite.

    Parameters
    ----------
    entries
        (layers, 2, slots, kv_heads, capacity, head_dim), contiguous: keys, then values. A head's
        entries lie side by side, since that is how attention reads them.
    first
        The first of the slots that this is a cache of.
    slots
        How many they are.

    Attributes
    ----------
    keys, values
        (layers, slots, kv_heads, capacity, head_dim).

    """

    def __init__(self, entries: Tensor, first: int, slots: int) -> None:
        self.entries, self.first, self.slots = entries, first, slots
        self.keys, self.values = entries[:, :, first : first + slots].unbind(1)

    @property
    def capacity(self) -> int:
        """Entries of a slot."""
        return self.entries.shape[4]

    def alone(self, slot: int) -> "Cache":
        """Return one slot's entries as a cache of one slot; they are shared, not copied."""
        return Cache(self.entries, self.first + slot, 1)

    def rows(self, at: Tensor) -> Tensor:
        """Return where keys and values of new tokens go: rows among all the entries of a layer.

        Parameters
        ----------
        at
            (slots, N) int64: entries.

        Returns
        -------
        Tensor
            (slots x N x 2 x kv_heads,) int64.

        """
        sides, slots, heads, capacity = self.entries.shape[1:5]
        rows = torch.arange(0, sides * slots * heads * capacity, capacity, device=at.device)
        rows = rows.view(sides, slots, heads)[:, self.first : self.first + self.slots]
        return (rows.transpose(0, 1)[:, None] + at[:, :, None, None]).flatten()
