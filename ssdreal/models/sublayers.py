"""Sublayers of a model, by number."""

from typing import NamedTuple


class Sublayers(NamedTuple):
    """Numbers, from 0, of the layers whose attention and whose MLP are meant."""

    attention: tuple[int, ...] = ()
    mlp: tuple[int, ...] = ()
