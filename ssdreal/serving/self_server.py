"""The worker of a target that drafts for itself, skipping sublayers, from its own KV cache.

The draft finds keys and values of the text where the target left them, so it reads no prompt. Its
own lie from the last committed token on, and a verify begins there: it computes them anew with all
layers, and no token of the target ever sees one of the draft's.
"""

from msgspec.structs import replace

from ssdreal.channel.messages import Begin, Chains, Command, Done, Failed, Paces, Speculate
from ssdreal.serving.draft_server import DraftServer
from ssdreal.serving.sampling import NotFinite
from ssdreal.serving.target_server import TargetServer


class SelfServer(TargetServer):
    """Verifies, and drafts where a run says what to leave out of the model."""

    def prepare(self, command: Begin) -> None:
        """Make the verifier, and the drafter if one is wanted."""
        super().prepare(command)
        if command.skipped is None:
            return
        self.drafting = DraftServer(self.model.without(command.skipped))
        self.drafting.reader, self.drafting.pages = self.reader, self.pages
        self.drafting.shape, self.drafting.tree = command, self.tree
        self.drafting.prepare(command)

    def answer(self, command: Command) -> Done | Failed | None:
        """Carry a command out; what the draft cannot do is no reason for the target to end."""
        try:
            return super().answer(command)
        except NotFinite as error:
            if not isinstance(command, Speculate):
                raise
            return Failed(command.stamp, str(error))

    def speculate(self, command: Speculate) -> Chains:
        """Return a chain a row."""
        texts = {line.slot: line.tokens for line in command.lines}
        with self.reader.reading_as(self.drafting.model, texts):
            return self.drafting.speculate(command)

    def warm_up(self, command: Begin) -> Paces:
        """Return the seconds of a verify, and of the draft's passes."""
        found = super().warm_up(command)
        if command.skipped is None:
            return found
        with self.reader.reading_as(self.drafting.model, {}):
            return replace(found, kinds=found.kinds | self.drafting.warm_up(command).kinds)
