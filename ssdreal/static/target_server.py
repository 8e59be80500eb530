"""The target's worker on a GPU: a verify is one captured pass that also accepts or rejects.

Where nothing is left to chance the target's own tokens come back; where it is, how many tokens are
accepted, and what follows them. A target that decodes alone feeds its tokens itself: several passes
are asked for at once, and copied from once.
"""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter_ns

import torch
from torch import Tensor

from ssdreal.channel.message_parts import Block as Chain
from ssdreal.channel.message_parts import Candidates, Line
from ssdreal.channel.messages import Begin, Decode, Decoded, Kinds, Paces, Spoken, Verified, Verify
from ssdreal.serving.sampling import NotFinite
from ssdreal.serving.self_server import SelfServer
from ssdreal.serving.server import median_seconds
from ssdreal.serving.target_server import TargetServer
from ssdreal.static.block_in_two import BlockInTwo
from ssdreal.static.capture import Output
from ssdreal.static.chain_steps import STEPS
from ssdreal.static.draft_server import candidates
from ssdreal.static.drafter import DeviceDrafter
from ssdreal.static.passes import Block, Use
from ssdreal.static.sampling_rules import NO_TOKEN
from ssdreal.static.server import StaticServer
from ssdreal.static.verifier import DeviceVerifier, Drafted


class StaticTargetServer(StaticServer, TargetServer):
    """Verifies; every pass of a run has the same shape."""

    def made(self) -> tuple[str, ...]:
        """Return the names of what is made for each run."""
        own = "deciding", "weights", "block", "found", "recent", "onward", "ranking", "heard"
        return (*super().made(), *own)

    def prepare(self, command: Begin) -> None:
        """Capture all passes but a token tree's: each of those has a shape of its own."""
        super().prepare(command)
        if self.tree is not None:
            return
        slots, width, device = command.slots, command.width, self.lane.device
        self.rows = self.noise(command, max(width, STEPS))
        ids = None if command.draft_ids is None else torch.tensor(command.draft_ids, device=device)
        self.deciding = DeviceVerifier(command.decoding, command.seed, ids, self.rows, device)
        row = (slots, 1)
        self.recent = Output(self.lane, (slots, STEPS))
        if command.decoding.needs_probabilities:
            columns = self.model.vocabulary if ids is None else len(ids)
            self.weights = torch.ones((slots, width - 1, columns), device=device)
            self.found = Output(self.lane, (slots, 2))
            shapes = {"sequences": row, "lengths": (slots,), "certain": (slots,)}
            self.block = self._block(command, self._decide, **shapes)
        else:
            self.found = Output(self.lane, (slots, width))
            self.block = self._block(command, self._own)
        if not command.lookahead:
            self.onward = self.lane.capture(self._go_on)

    def verify(self, command: Verify) -> Verified:
        """Return how many tokens of every row are accepted, and the one that follows."""
        if self.tree is not None:
            return super().verify(command)
        lines, blocks = command.lines, command.blocks
        self._read_blocks(lines, blocks, self.block.width)
        if self.early is not None:
            self.tell(Spoken(command.stamp, tuple(self._views(command)), perf_counter_ns()))
        found = self.found.fetch().astype(int).tolist()
        maximal = self.shape.decoding.needs_probabilities
        outcomes = (
            found[line.slot] if maximal else _followed(found[line.slot], block.tokens)
            for line, block in zip(lines, blocks, strict=True)
        )
        return Verified(tuple((accepted, there(token)) for accepted, token in outcomes))

    def decode(self, command: Decode) -> Decoded:
        """Return the target's own tokens, each fed to the next pass on the device."""
        assert self.watch is not None, "there is one once a run has begun"
        lines, count = command.lines, command.tokens
        self._read_blocks(lines, [Chain(())] * len(lines), count)
        self.watch.lap()
        for _ in range(count - 1):
            self.onward()
            self.watch.lap()
        found, ends = self.recent.fetch(), self.watch.ends()
        recent = found[:, -count:].astype(int).tolist()
        rows = tuple(tuple(map(there, recent[line.slot])) for line in lines)
        for line, tokens in zip(lines, rows, strict=True):
            self.reader.texts[line.slot] += tokens[:-1]
        return Decoded(rows, tuple(ends))

    def warm_up(self, command: Begin) -> Paces:
        """Return the seconds of a verify over the run's tokens."""
        if self.tree is not None:
            return super().warm_up(command)

        def verify() -> None:
            self.block.replay()
            self.found.fetch()

        def speak() -> None:
            self.block.replay()
            self.heard.taken()

        tokens, together = command.slots * command.width, 1 if command.lookahead else STEPS
        works = {"verify": verify} | ({} if self.early is None else {"exit": speak})
        found: Kinds = {kind: ((tokens, median_seconds(work)),) for kind, work in works.items()}
        return Paces(found, together=together, speaks_after=self.speaks_after)

    def _block(self, command: Begin, use: Use, **shapes: tuple[int, ...]) -> Block:
        """Return the pass of a verify; in two parts, where the target speaks in between."""
        if self.early is None:
            return Block(self.reader, command.width, use, **shapes)
        ids, rows, device = self.model.ids, self.rows, self.lane.device
        self.ranking = DeviceDrafter(command.decoding, command.seed, ids, rows, device)
        count = min(self.early.tokens, self.reader.logits.tensor.shape[-1])
        self.heard = Output(self.lane, (2, command.slots, command.width, count))
        reader, hear, heard = self.reader, self._hear, self.heard
        return BlockInTwo(reader, command.width, use, hear, heard, self.early.layer, **shapes)

    def _hear(self, logits: Tensor, positions: Tensor, _: Mapping[str, Tensor]) -> None:
        """Keep what early logits take for likely after every token."""
        count = self.heard.tensor.shape[-1]
        if count:
            none = positions.new_empty((*positions.shape, 0))
            ids, beliefs = self.ranking.candidates(logits, positions + 1, none, count)
            self.heard.tensor.copy_(torch.stack((ids.double(), beliefs.double())))

    def _views(self, command: Verify) -> Iterator[Candidates]:
        """Yield what is likely after every node of each row, as soon as that is known."""
        ids, beliefs = self.heard.taken()
        for line, block in zip(command.lines, command.blocks, strict=True):
            here = line.slot, slice(len(block.tokens) + 1)
            yield candidates(ids[here].astype(int), beliefs[here])

    def _read_blocks(self, lines: Sequence[Line], blocks: Sequence[Chain], positions: int) -> None:
        """Begin a pass over blocks; noise is wanted for so many positions from each on."""
        if self.shape.decoding.needs_probabilities:
            for line, block in zip(lines, blocks, strict=True):
                self._bring(line.slot, line.seq, block)
        if self.rows is not None:
            self.rows.need({line.slot: (line.seq, len(line.tokens), positions) for line in lines})
        texts = {
            line.slot: (*line.tokens, *block.tokens)
            for line, block in zip(lines, blocks, strict=True)
        }
        self.block.read(texts, {line.slot: len(line.tokens) - 1 for line in lines})

    def _bring(self, slot: int, seq: int, block: Chain) -> None:
        """Have what a chain was sampled from where the pass looks for it."""
        numbers, length = self.block.inputs.numbers, len(block.tokens)
        numbers["sequences"][slot], numbers["lengths"][slot] = seq, length
        numbers["certain"][slot] = block.place is None
        if block.place is not None and self.pages is not None:
            rows = torch.as_tensor(self.pages.read(block.place, length))
            self.weights[slot, :length].copy_(rows, non_blocking=True)

    def _own(self, logits: Tensor, positions: Tensor, _: Mapping[str, Tensor]) -> None:
        tokens = self.deciding.own(logits, positions + 1)
        self.found.tensor.copy_(tokens)
        self._note(tokens[:, 0])

    def _decide(self, logits: Tensor, positions: Tensor, given: Mapping[str, Tensor]) -> None:
        drafted = Drafted(given["tokens"][:, 1:], given["lengths"], given["certain"], self.weights)
        found = self.deciding.verify(logits, given["sequences"], positions + 1, drafted)
        self.found.tensor.copy_(torch.stack(found, dim=-1))
        self._note(found[1])

    def _note(self, tokens: Tensor) -> None:
        """Keep the tokens (slots,) that follow the texts behind those of the passes before."""
        if self.shape.lookahead:
            return  # nobody asks for them
        before = self.recent.tensor[:, 1:]
        self.recent.tensor.copy_(torch.cat((before, tokens[:, None].double()), dim=1))

    def _go_on(self) -> None:
        """Read the newest token of every slot, and choose one after it."""
        given, newest = self.block.inputs.tensors, self.recent.tensor[:, -1:]
        given["tokens"][:, :1] = newest.long().clamp(min=0)
        given["begin"] += 1
        self.block.work()


class StaticSelfServer(SelfServer, StaticTargetServer):
    """Verifies so, and drafts for itself where a run says what to leave out of the model.

    These drafts run pass by pass, as on a host.
    """

    def made(self) -> tuple[str, ...]:
        """Return the names of what is made for each run."""
        return (*super().made(), "drafting")


def there(token: int) -> int:
    """Return a token, if there was a distribution that it came from."""
    if token == NO_TOKEN:
        raise NotFinite
    return token


def _followed(own: list[int], tokens: tuple[int, ...]) -> tuple[int, int]:
    """Return how many of the tokens are the target's own, and its own one after them."""
    accepted = next((k for k, token in enumerate(tokens) if own[k] != token), len(tokens))
    return accepted, own[accepted]
