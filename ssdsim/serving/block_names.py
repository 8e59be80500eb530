"""Names of the blocks of texts: the same for the same tokens, from the text's start to its end."""

from dataclasses import dataclass, field

from ssdsim.decoding.protocol import Row

Name = tuple[int, int]
"""Which block of a text, and what is known of the text up to its end."""


@dataclass
class Naming:
    """Gives names to blocks of so many tokens.

    Attributes
    ----------
    size
        Tokens of a block.
    beginnings
        The number of every beginning that was met, by the number of a shorter one and the id of
        what follows that.

    """

    size: int
    beginnings: dict[tuple[int, int], int] = field(default_factory=dict)

    def names(self, row: Row) -> list[Name]:
        """Return the names of all full blocks of a row's text.

        Where the ids of its prompt end, nobody else's text is known to go on like that, and blocks
        are its own.
        """
        size, each = self.size, row.prefix_tokens
        chain = self._chain(row)
        known = min(row.record.prompt_tokens, len(chain) * each) // size
        ends = range(size, (known + 1) * size, size)
        shared = [(block, chain[-(-end // each) - 1]) for block, end in enumerate(ends)]
        return shared + [(block, -1 - row.seq) for block in range(known, row.context // size)]

    def _chain(self, row: Row) -> list[int]:
        """Return the number of the beginning that each id of a row's prompt ends."""
        chain, link = [], 0
        for number in row.prefix:
            link = self.beginnings.setdefault((link, number), len(self.beginnings) + 1)
            chain.append(link)
        return chain
