"""A set of attention and MLP sublayers of a model, by layer number."""

from typing import NamedTuple


class Sublayers(NamedTuple):
    """Numbers, from 0, of the layers whose attention and whose MLP are meant."""

    attention: tuple[int, ...] = ()
    mlp: tuple[int, ...] = ()
