"""The target's side: verify blocks at one fixed shape, and score texts."""

import numpy as np

from ssdreal.messages import Begin, Block, Score, Verify
from ssdreal.sampling import Drafts, Ints, Verifier
from ssdreal.server import Server, median_seconds


class TargetServer(Server):
    """Verifies; every pass of a run has the same shape."""

    fixed = True

    def prepare(self, command: Begin) -> None:
        """Make the verifier."""
        self.verifier = Verifier(command.decoding, command.seed, self.model.vocabulary)
        ids = command.draft_ids
        self.draft_ids: Ints | None = None if ids is None else np.array(ids)

    def verify(self, command: Verify) -> tuple[tuple[int, int], ...]:
        """Return (accepted, bonus token) of every row."""
        logits = self.reader.read(
            {
                line.slot: ((*line.tokens, *block.tokens), len(line.tokens) - 1)
                for line, block in zip(command.lines, command.blocks, strict=True)
            },
            self.shape.width,
        )
        return tuple(
            self.verifier.verify(
                logits[line.slot], line.seq, len(line.tokens), block.tokens, self._drafts(block)
            )
            for line, block in zip(command.lines, command.blocks, strict=True)
        )

    def score(self, command: Score) -> tuple[tuple[int, float], ...]:
        """Return the target's best token, and its lead over the text's, for every token."""
        (line,) = command.lines
        self.reader.prefill(line.slot, line.tokens[: command.start - 1])
        text = line.tokens[:-1]
        logits = self.reader.read({line.slot: (text, command.start - 1)}, self.shape.width)
        found = []
        for at, token in enumerate(line.tokens[command.start :]):
            where = [(line.seq, command.start + at)]
            scores = self.verifier.scores(logits[line.slot][at][None], where)[0]
            best = self.verifier.own(logits[line.slot][at], *where[0])
            found.append((best, float(scores[best] - scores[token])))
        return tuple(found)

    def warm_up(self, command: Begin) -> dict[str, list[tuple[int, float]]]:
        """Return the seconds of a verify over the run's tokens."""
        text = (0,) * command.width
        slots = range(command.slots)

        def verify() -> None:
            self.reader.texts = [[] for _ in slots]
            self.reader.read(dict.fromkeys(slots, (text, 0)), command.width)

        seconds = median_seconds(verify)
        self.reader.texts = [[] for _ in slots]
        return {"verify": [(command.slots * command.width, seconds)]}

    def _drafts(self, block: Block) -> Drafts | None:
        if block.place is None or self.pages is None:
            return None
        rows = self.pages.read(block.place, len(block.tokens))
        return Drafts(rows, self.draft_ids, self.model.vocabulary)
