"""The target's side: verify blocks at one fixed shape, and score texts."""

import numpy as np

from ssdreal.channel.messages import Begin, Block, Paces, Score, Scores, Verified, Verify
from ssdreal.serving.sampling import Ints
from ssdreal.serving.server import Server, median_seconds
from ssdreal.serving.verifier import Drafts, Verifier


class TargetServer(Server):
    """Verifies; every pass of a run has the same shape."""

    fixed, role = True, "target"

    def prepare(self, command: Begin) -> None:
        """Make the verifier."""
        self.verifier = Verifier(command.decoding, command.seed, self.model.vocabulary)
        ids = command.draft_ids
        self.draft_ids: Ints | None = None if ids is None else np.array(ids)

    def verify(self, command: Verify) -> Verified:
        """Return how many tokens of every row are accepted, and the one that follows."""
        logits = self.reader.read(
            {
                line.slot: ((*line.tokens, *block.tokens), len(line.tokens) - 1)
                for line, block in zip(command.lines, command.blocks, strict=True)
            },
            self.shape.width,
        )
        return Verified(
            tuple(
                self.verifier.verify(
                    logits[line.slot], line.seq, len(line.tokens), block.tokens, self._drafts(block)
                )
                for line, block in zip(command.lines, command.blocks, strict=True)
            )
        )

    def score(self, command: Score) -> Scores:
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
        return Scores(tuple(found))

    def warm_up(self, command: Begin) -> Paces:
        """Return the seconds of a verify over the run's tokens."""
        text = (0,) * command.width
        slots = range(command.slots)

        def verify() -> None:
            self.reader.texts = [[] for _ in slots]
            self.reader.read(dict.fromkeys(slots, (text, 0)), command.width)

        seconds = median_seconds(verify)
        self.reader.texts = [[] for _ in slots]
        return Paces({"verify": ((command.slots * command.width, seconds),)})

    def _drafts(self, block: Block) -> Drafts | None:
        if block.place is None or self.pages is None:
            return None
        rows = self.pages.read(block.place, len(block.tokens))
        if not isinstance(rows, np.ndarray):  # they lie on a device
            rows = rows.cpu().numpy()
        return Drafts(rows, self.draft_ids, self.model.vocabulary)
