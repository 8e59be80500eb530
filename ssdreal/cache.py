"""Keys and values of the tokens that a model has seen."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Cache:
    """A static key-value cache: for each layer keys and values of slots x capacity entries.

    Which entries a token may see is the mask's business; an entry may hold anything that is not
    seen. All entries start as zeros.

    Attributes
    ----------
    slots
        Sequences side by side.
    capacity
        Entries a slot.
    keys, values
        A layer each, (slots, capacity, kv_heads, head_dim).

    """

    def __init__(
        self,
        layers: int,
        slots: int,
        capacity: int,
        kv_heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.slots, self.capacity = slots, capacity
        shape = (slots, capacity, 2 * kv_heads, head_dim)
        self.entries = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.keys = [both[:, :, :kv_heads] for both in self.entries]
        self.values = [both[:, :, kv_heads:] for both in self.entries]

    def alone(self, slot: int) -> "Cache":
        """Return one slot's entries as a cache of one slot; they are shared, not copied."""
        found = Cache.__new__(Cache)
        found.slots, found.capacity = 1, self.capacity
        found.entries = [both[slot : slot + 1] for both in self.entries]
        found.keys = [keys[slot : slot + 1] for keys in self.keys]
        found.values = [values[slot : slot + 1] for values in self.values]
        return found

    def keep(self, slot: int, entries: Sequence[int], start: int) -> None:
        """Move these entries to start, start + 1, ... in their order.

        Parameters
        ----------
        slot
            The sequence.
        entries
            Those of a winning branch, scattered in the tree's region.
        start
            Where they go; what lies before it is not touched.

        """
        if not entries or list(entries) == list(range(start, start + len(entries))):
            return
        index = torch.as_tensor(entries, dtype=torch.int64, device=self.entries[0].device)
        for both in self.entries:
            # index_select copies first, so that source and destination may overlap.
            both[slot, start : start + len(entries)] = both[slot].index_select(0, index)
