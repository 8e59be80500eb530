"""Scripted draft and target: real passes, with outcomes taken from an acceptance source.

An acceptance source says how a verification ends, as it does in a simulation; what the worker
found is not asked for. Tokens follow: accepted ones are the draft's, the bonus token is the
draft's candidate of the rank that the source says. So texts, caches, hits and misses go as the
source has it, round for round as in a simulation of the same settings, while every pass is real.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from simpy import Event

from ssdreal.lanes.draft import RealDraft
from ssdreal.lanes.speculation_cache import RealTree
from ssdreal.lanes.speculations import Drafted, Text, ahead_of
from ssdreal.lanes.target import RealTarget
from ssdsim.acceptance.base import Foretold, Source
from ssdsim.decoding.protocol import Row
from ssdsim.outcomes import Outcome, Speculation, Speculator, tail
from ssdsim.run.tables import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedSpeculation(Drafted):
    """A speculation of real tokens whose outcome the acceptance source has decided.

    Attributes
    ----------
    said
        The source's own speculation.
    truth
        How its verification ends.

    """

    scripted: Speculation
    truth: Outcome


@dataclass(eq=False, slots=True, kw_only=True)
class ScriptedText(Text):
    """A row's text as the workers see it, and the source's, which it follows."""

    script: Any


@dataclass(eq=False, kw_only=True)
class ScriptedTarget(RealTarget):
    """A target whose verifies take what they take, and end as the source says.

    Attributes
    ----------
    source
        Says how.
    vocabulary
        Token ids there are.

    """

    source: Source
    vocabulary: int

    def admit(self, row: Row) -> None:
        """Give the row a slot, and if it is new its prompt and the source's text."""
        script = self.source.text(row.seq) if row.text is None else row.text.script
        super().admit(row)
        row.text = ScriptedText(row.text.slot, script=script)

    def undrafted(self, row: Row) -> Speculation:
        """Return an empty speculation."""
        return _scripted(row, super().undrafted(row))

    def verify(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:
        """Verify a speculation a row in one pass; the value is a list of outcomes."""
        outcomes = [speculation.truth for speculation in speculations]
        return self.env.process(_instead(super().verify(rows, speculations), outcomes))

    def speak(
        self, rows: Sequence[Row], speculations: Sequence[Speculation], share: float
    ) -> Event:
        """Tell the draft what the source takes for likely, when the worker speaks."""
        if self.spoken is None:
            return super().speak(rows, speculations, share)
        return self.env.process(_instead(self.spoken, list(map(_foretold, rows, speculations))))

    def commit(self, row: Row, speculation: Speculation, delivered: int) -> Sequence[int]:
        """Return the tokens that the row keeps, and let the source's text grow by as many."""
        assert isinstance(speculation, ScriptedSpeculation)
        row.text.outcome = speculation.truth.node, self._bonus(row, speculation)
        ids = super().commit(row, speculation, delivered)
        row.text.script.commit(speculation.scripted, delivered)
        return ids

    def _bonus(self, row: Row, speculation: ScriptedSpeculation) -> int:
        """Return the id of the bonus token: a candidate's where candidates are known, else any.

        Where nothing is drafted it is the target's own, which its worker may have gone on from. If
        the draft went on meanwhile and was right, it is what the draft has there. Otherwise it is
        another: a cache that held it already would be spared some work.
        """
        node, rank = speculation.truth.node, speculation.truth.rank
        has = (ahead_of(row) or speculation.tokens)[node : node + 1]
        if has and speculation.continued:
            return has[0]
        known = row.text.ids[node] if node < len(row.text.ids) else ()
        if known and rank < len(known):
            return int(known[rank])  # the last one's, where it is none of them: rank -1
        return int((has[0] + 1) % self.vocabulary if has else row.text.outcome[1])


@dataclass(eq=False)
class ScriptedDraft(RealDraft):
    """A draft with tokens of its own, whose acceptance the row's source decides."""

    def speculate(self, rows: Sequence[Row], lookahead: int, speculator: Speculator) -> Event:
        """Draft at most `lookahead` tokens a row in series."""
        return self.env.process(_all_scripted(rows, super().speculate(rows, lookahead, speculator)))

    def ahead(self, row: Row, length: int, start: int = 0) -> Speculation:
        """Return `length` tokens that the draft has past the committed ones and `start` more."""
        scripted = tail(row.text.script.ahead(start + length), start)
        return _with(super().ahead(row, length, start), scripted)

    def continued(self, row: Row, speculation: Speculation) -> bool:  # noqa: ARG002 - it is said there
        """Tell whether the draft was right about all of a speculation, and the bonus token."""
        return speculation.continued

    def adopt(
        self,
        rows: Sequence[Row],
        proposals: Sequence[Sequence[int]],
        lookahead: int,
        seconds: float,
    ) -> Event:
        """Take a proposal a row."""
        adopted: Any = super().adopt(rows, proposals, lookahead, seconds).value
        found = [
            _with(real, row.text.script.propose(real.tokens, lookahead))
            for row, real in zip(rows, adopted, strict=True)
        ]
        return self.env.event().succeed(found)

    def fork(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:
        """Find the candidates after every node; what is believed of them, the source has said."""
        return self.env.process(_instead(super().fork(rows, speculations), speculations))

    def prespeculate(
        self, rows: Sequence[Row], predictions: Sequence[frozenset[Outcome]], lookahead: int
    ) -> RealTree:
        """Start to draft `lookahead` tokens for every predicted outcome."""
        for row, predicted in zip(rows, predictions, strict=True):
            most = 1 + max((outcome.rank for outcome in predicted), default=-1)
            row.text.ids = tuple(self._reaching(ids, most) for ids in row.text.ids)
        return ScriptedTree(self, rows, predictions, lookahead)

    @staticmethod
    def take_up(
        row: Row, ahead: list[Span], before: tuple[int, ...], tokens: tuple[int, ...], span: Span
    ) -> None:
        """Give a row what was drafted after the text `before`, unless a verify rejected that."""
        if ahead is row.ahead:
            row.text.drafted = (*before, *tokens)
            row.grow(ahead, span, len(before), len(tokens))

    def _reaching(self, ids: tuple[int, ...], most: int) -> tuple[int, ...]:
        """Return candidates of so many ranks: behind those that are known, any others."""
        others = (token for token in range(self.vocabulary) if token not in ids)
        return (*ids, *islice(others, max(0, most - len(ids))))


class ScriptedTree(RealTree):
    """Branches of a scripted draft."""

    def take(self, row: Row) -> Speculation:
        """Return the branch that the row's outcome chose."""
        return _scripted(row, super().take(row))


def _scripted(row: Row, real: Speculation) -> ScriptedSpeculation:
    """Return a drafted chain with what the row's script says of one of its length."""
    return _with(real, row.text.script.speculate(real.length, real.speculator))


def _with(real: Speculation, scripted: Speculation) -> ScriptedSpeculation:
    assert isinstance(real, Drafted)
    assert scripted.truth is not None, "a source knows how a verification ends"
    assert real.parents == scripted.parents, "what is said must be of what is drafted"
    return ScriptedSpeculation(
        parents=real.parents,
        speculator=real.speculator,
        tokens=real.tokens,
        confidences=scripted.confidences,
        candidates=scripted.candidates,
        truth=scripted.truth,
        continued=scripted.continued,
        chances=scripted.chances,
        place=real.place,
        scripted=scripted,
    )


def _foretold(row: Row, speculation: Speculation) -> Speculation:
    """Return a speculation with what the source makes of it early, if it knows of such a view."""
    script = row.text.script
    if not isinstance(script, Foretold):
        return speculation
    assert isinstance(speculation, ScriptedSpeculation)
    return replace(speculation, early=script.early(speculation.scripted))


def _all_scripted(
    rows: Sequence[Row], answer: Event
) -> Generator[Event, Any, list[ScriptedSpeculation]]:
    drafted = yield answer
    return [_scripted(row, real) for row, real in zip(rows, drafted, strict=True)]


def _instead(answer: Event, value: Any) -> Generator[Event, Any, Any]:
    """Return `value` when the answer is there."""
    yield answer
    return value
