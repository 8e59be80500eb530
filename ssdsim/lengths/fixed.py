"""Drafts the same number of tokens in every round (Leviathan et al. 2023)."""

from dataclasses import dataclass

from ssdsim.lengths.base import Control, Length


@dataclass(frozen=True)
class Fixed(Length):
    """K tokens, whatever happens."""

    def start(self, lookahead: int) -> Control:
        """Return a controller that changes nothing."""
        return Control(lookahead)
