"""A CTC encoder's draft for an LLM that recognises speech (Saon et al. 2026). Lossy.

The encoder runs anyway, and its greedy output is a hypothesis of the whole utterance. Where its
frames are certain enough that is final. Otherwise the target reads the hypothesis in one pass and
accepts it by a relaxed threshold, up to the first token that it finds too unlikely; from there on
it decodes token by token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

from ssdsim.acceptance.base import Acceptance, Source
from ssdsim.decoding.abilities import SelfDrafting
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.errors import require
from ssdsim.latency.base import Latency
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.base import Method
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.sampling.settings import Sampling
from ssdsim.sampling.streams import blocks, stream

Coin = Callable[[float], bool]
"""Falls on its head with this chance."""


@dataclass(frozen=True)
class CtcDraft(Method):
    """One draft of a whole utterance from its CTC encoder; the output is lossy.

    An utterance of L tokens is a sequence, and takes T_enc + P(gate fails)·[t_p(L) + P(verify
    fails)·(L - E[prefix])·t_p(1)] seconds. The acceptance source says which tokens of a
    hypothesis are the target's own; `token_mismatches` counts those delivered that are not. A
    prefix of none ends no round. The encoder counts as decoding here, though autoregressive
    decoding needs it too: speedups over that are a little too small.

    Attributes
    ----------
    encoder
        T_enc, seconds of the encoder for the utterances that begin together.
    confident
        Share of the utterances whose frame entropy passes the gate, so that nobody verifies them.
    relaxed
        Chance that a token unlike the target's own passes the threshold all the same.

    """

    encoder: float = 0.05
    confident: float = 0.5
    relaxed: float = 0.5
    draft_on: ClassVar[Literal["target"]] = "target"
    lossless: ClassVar[bool] = False
    simulated_only: ClassVar[str] = "no speech is recognised here"

    def __post_init__(self) -> None:
        require(self.encoder >= 0, "method.encoder", self.encoder, "needs seconds >= 0")
        for name in ("confident", "relaxed"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"method.{name}", value, "needs a share in [0, 1]")

    def stands_for(self, acceptance: Acceptance) -> str:  # noqa: ARG002 - whatever it is
        """Return which tokens a draft's acceptance is taken for here."""
        return "the encoder's tokens"

    def draft_latency(self, machine: Machine) -> Latency:  # noqa: ARG002 - it is no draft model
        """Return the encoder's service times: one pass, whatever the hypothesis."""
        return Constant(verify=0.0, step=0.0, fill=self.encoder)

    def pass_width(self, lookahead: int, output_tokens: int) -> int:  # noqa: ARG002 - drafts all
        """Return the tokens of a whole hypothesis."""
        return output_tokens

    def check(self, sampling: Sampling, source: Source) -> None:
        """Refuse sampling, and texts whose tokens a lossy method would not deliver."""
        right = "needs 0: a hypothesis passes by its likelihood, and nothing is sampled"
        require(sampling.temperature == 0, "temperature", sampling.temperature, right)
        right = "needs an acceptance source without token ids, as it does not deliver the target's"
        require(source.vocabulary is None, "method", "ctc_draft", right)

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        target = cast("SelfDrafting", session.target)
        session.recorder.mismatches = 0
        gate, threshold = (_coin(session.seed, cause) for cause in ("gate", "threshold"))
        heard: set[int] = set()
        while rows := (yield from session.admit()):
            if new := [row for row in rows if row.seq not in heard]:
                heard.update(row.seq for row in new)
                yield from self._listen(session, new, gate)
                continue  # with others in the places of those that are final
            read = [row.cached or target.undrafted(row) for row in rows]
            outcomes = yield target.verify(rows, read)
            self._settle(session, rows, read, outcomes, threshold)

    def _listen(self, session: Session, rows: Sequence[Row], gate: Coin) -> Wait:
        """Let the encoder hear new utterances, and deliver what it is certain of."""
        longest = max(row.left for row in rows)
        hypotheses = yield session.draft.speculate(rows, longest, "primary")
        for row, hypothesis in zip(rows, hypotheses, strict=True):
            # A pass that judges L tokens reads the prompt's last and all of them but their last.
            row.cached = replace(hypothesis, parents=chain(row.left - 1))
            if gate(self.confident):
                _accept(session, row, row.cached, lambda: True)
        session.retire()

    def _settle(
        self,
        session: Session,
        rows: Sequence[Row],
        read: Sequence[Speculation],
        outcomes: Sequence[Outcome],
        threshold: Coin,
    ) -> None:
        target = cast("SelfDrafting", session.target)
        for row, speculation, outcome in zip(rows, read, outcomes, strict=True):
            if row.cached is None:
                session.end(row, speculation, outcome)
                continue
            accepted = _accept(session, row, speculation, lambda: threshold(self.relaxed))
            target.used(accepted)
            row.cached = None
        session.retire()


def _accept(session: Session, row: Row, hypothesis: Speculation, passes: Callable[[], bool]) -> int:
    """Deliver what passes of a hypothesis, all of it drafted, and return how much that is."""
    target = cast("SelfDrafting", session.target)
    accepted, wrong = target.relax(row, hypothesis, passes)
    assert session.recorder.mismatches is not None
    session.recorder.mismatches += wrong
    if accepted:
        assert row.work is not None
        row.work.used += 1  # no bonus token: the last one was drafted too
        session.deliver(row, hypothesis, accepted)
    return accepted


def _coin(seed: int, cause: str) -> Coin:
    luck = blocks(stream(seed, cause).random)
    return lambda chance: next(luck) < chance
