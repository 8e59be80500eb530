"""The draft's worker on a GPU: chains, candidates and branches without copies to the host.

A chain or a tree is copied to the host once, when it is whole. Only a rule that looks at
confidences asks for them after every step: a step takes longer than a copy, so it is not worth
drafting tokens that may be dropped. Where a `Stop` may come the host looks for it between a tree's
steps, so it waits for each; else it asks for all of them at once. Branches that are dropped keep
their columns, since a pass over a few less takes as long.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssdreal.channel.message_parts import Candidates
from ssdreal.channel.messages import Begin, Branches, Chains, Fork, Forks, Grow, Paces, Speculate
from ssdreal.channel.pass_shapes import branch_widths
from ssdreal.channel.probability_pages import CHAINS
from ssdreal.models.captured_work import Work
from ssdreal.serving.branches import Tree
from ssdreal.serving.draft_server import DraftServer, Growing, table
from ssdreal.serving.sampling import defined
from ssdreal.serving.server import median_seconds
from ssdreal.static import chain_steps
from ssdreal.static.branches import StaticTree
from ssdreal.static.capture import Output
from ssdreal.static.chain_steps import STEPS, Columns
from ssdreal.static.drafter import DeviceDrafter
from ssdreal.static.passes import Block
from ssdreal.static.sampling_rules import NO_TOKEN
from ssdreal.static.server import StaticServer, tensor_of

Times = tuple[tuple[int, float], ...]
"""What passes take: (tokens, seconds)."""


class StaticDraftServer(StaticServer, DraftServer):
    """Answers the commands that need a draft, by captured passes."""

    def made(self) -> tuple[str, ...]:
        """Return the names of what is made for each run."""
        return (*super().made(), "choosing", "chains", "glue", "ranking", "growths")

    def prepare(self, command: Begin) -> None:
        """Capture all passes but a token tree's: each of those has a shape of its own."""
        super().prepare(command)
        if self.tree is not None:
            return
        decoding, ids, most = command.decoding, self.model.ids, command.lookahead + 1
        self.rows = self.noise(command, max(2 * most, STEPS))
        device, pages = self.lane.device, tensor_of(self.pages)
        self.choosing = DeviceDrafter(decoding, command.seed, ids, self.rows, device)
        self.chains = chain_steps.Chains(self.reader, self.choosing, most, pages)
        lying = [
            Columns(width, command.branches, most) for width in branch_widths(command.branches)
        ]
        self.growths = [
            chain_steps.Branches(self.reader, self.choosing, columns, pages) for columns in lying
        ]
        if self.growths:  # else nothing asks for candidates
            count = min(command.candidates, self.reader.logits.tensor.shape[-1])
            self.ranking = Output(self.lane, (2, command.slots, most, count))
            self.glue = Block(self.reader, most, self._rank, lengths=(command.slots, 1))

    def speculate(self, command: Speculate) -> Chains:
        """Return a chain a row, fed with its own tokens on the device; trees as on a host."""
        if self.tree is not None:
            return super().speculate(command)
        chains = [Growing(line) for line in command.lines]
        stopping = command.stopping
        for step in range(stopping.limit):
            if step % STEPS == 0:
                self._need_noise(chains, step, min(STEPS, stopping.limit - step))
            if step:
                self.chains.replay()
            else:
                self._begin(chains)
            last = step == stopping.limit - 1
            if stopping.early or last or step % STEPS == STEPS - 1:
                self._collect(chains, command, step + 1)
                if all(stopping.ends(chain.confidences) for chain in chains):
                    break
        return Chains(tuple(chain.result(self._place(chain.line.slot)) for chain in chains))

    def fork(self, command: Fork) -> Forks:
        """Return the candidates after every node of a block a row (the "glue" pass)."""
        if self.tree is not None:
            return super().fork(command)
        self._read_blocks(command)
        ids, beliefs = self.ranking.fetch()
        found = []
        for line, block in zip(command.lines, command.blocks, strict=True):
            here = line.slot, slice(len(block) + 1)
            found.append(candidates(ids[here].astype(np.int64), defined(beliefs[here])))
        return Forks(tuple(found))

    def grow(self, command: Grow) -> Branches:
        """Return a branch for every outcome; a `Stop` may change that on the way."""
        if self.tree is None and self.rows is not None:
            most = self.shape.lookahead + command.stopping.limit
            wanted = {line.slot: (line.seq, len(line.tokens) + 1, most) for line in command.lines}
            self.rows.need(wanted)
        return super().grow(command)

    def _branches(self, command: Grow) -> Tree:
        """Return the tree that is to be grown, in the narrowest passes that hold it."""
        if self.tree is not None:
            return super()._branches(command)
        most = max(map(len, command.outcomes))
        grown = next(one for one in self.growths if one.width >= most)
        return StaticTree(self.reader, self.drafter, command, grown)

    def warm_up(self, command: Begin) -> Paces:
        """Return the seconds of a step, of the glue pass, and of tree steps by branches."""
        if self.tree is not None:
            return super().warm_up(command)

        def paces(replay: Work, *tokens: int) -> Times:
            def work() -> None:
                replay()
                self.lane.wait()

            seconds = median_seconds(work)
            return tuple((command.slots * each, seconds) for each in tokens)

        found: dict[str, Times] = {"step": paces(self.chains.replay, 1)}
        if self.growths:
            found["glue"] = paces(self.glue.replay, self.glue.width)
            # Fewer branches than columns take as long.
            fewest = [1, *(one.width + 1 for one in self.growths)]
            grown = zip(self.growths, fewest, strict=False)
            found["tree"] = tuple(
                pace for one, few in grown for pace in paces(one.replay, few, one.width)
            )
        return Paces(found)

    def _begin(self, chains: Sequence[Growing]) -> None:
        """Read what is new of the texts, and draft the first token of each."""
        reader = self.reader
        texts = {chain.line.slot: chain.line.tokens for chain in chains}
        known = {slot: reader.known(slot, text[:-1]) for slot, text in texts.items()}
        first = self.chains.first
        starts = {slot: max(len(text) - first.width, known[slot]) for slot, text in texts.items()}
        numbers = first.inputs.numbers
        numbers["active"][:], numbers["page"][:] = 0, CHAINS
        for chain in chains:
            slot = chain.line.slot
            numbers["active"][slot], numbers["sequences"][slot] = 1, chain.line.seq
            numbers["last"][slot] = len(chain.line.tokens) - 1 - starts[slot]
        first.read(texts, starts)

    def _collect(self, chains: Sequence[Growing], command: Speculate, steps: int) -> None:
        """Give chains the tokens of all steps so far, unless they end before."""
        tokens, sure = self.chains.history.fetch()
        for chain in chains:
            for step in range(len(chain.confidences), steps):
                if command.stopping.ends(chain.confidences):
                    break
                column = chain.line.slot, 0, step % STEPS
                chain.take(int(tokens[column]), float(defined(sure[column])))
            self.reader.texts[chain.line.slot] = chain.text[:-1]

    def _need_noise(self, chains: Sequence[Growing], step: int, steps: int) -> None:
        if self.rows is not None:
            lines = [chain.line for chain in chains]
            self.rows.need({one.slot: (one.seq, len(one.tokens) + step, steps) for one in lines})

    def _read_blocks(self, command: Fork | Grow) -> None:
        if self.tree is not None:
            super()._read_blocks(command)
            return
        lines = command.lines
        texts = {
            line.slot: (*line.tokens, *block)
            for line, block in zip(lines, command.blocks, strict=True)
        }
        if self.rows is not None:
            width = self.glue.width
            self.rows.need({line.slot: (line.seq, len(line.tokens), width) for line in lines})
        for line, block in zip(lines, command.blocks, strict=True):
            self.glue.inputs.numbers["lengths"][line.slot] = len(block)
        self.glue.read(texts, {line.slot: len(line.tokens) - 1 for line in lines})

    def _rank(self, logits: Tensor, positions: Tensor, given: Mapping[str, Tensor]) -> None:
        count = self.ranking.tensor.shape[-1]
        drafted = torch.arange(positions.shape[1], device=positions.device) < given["lengths"]
        sent = torch.where(drafted, given["tokens"].roll(-1, dims=1), NO_TOKEN)[..., None]
        ids, beliefs = self.choosing.candidates(logits, positions + 1, sent, count)
        self.ranking.tensor.copy_(torch.stack((ids.double(), beliefs.double())))


def candidates(ids: NDArray[Any], beliefs: NDArray[Any]) -> Candidates:
    """Return the candidates after every node, (nodes, count), as many as every node has."""
    count = int((ids != NO_TOKEN).sum(-1).min())
    return Candidates(table(ids[:, :count]), table(beliefs[:, :count]))
