"""Parallel decoding by Jacobi iteration (Santilli et al. 2023, arXiv 2305.10427).

The target guesses a block of b tokens and rereads its own guesses, all of them in one pass, until
they stop changing: that is then what it says token by token. The first guess of a block is padding.
A pass gets the first wrong token right, since it reads a right prefix there, and all the tokens
behind it that had been guessed right after a partly wrong prefix: those are a matter of chance.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal, cast

from ssdsim.acceptance.base import Acceptance, Source
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.trace_row import is_deterministic
from ssdsim.decoding.abilities import SelfDrafting
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.errors import require
from ssdsim.methods.base import Method
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.sampling.settings import Sampling


@dataclass(frozen=True)
class Jacobi(Method):
    """The target alone, guessing blocks of `lookahead` tokens and rereading them.

    What the acceptance source says of drafts is taken for the guesses: its chance of acceptance
    is that of a guess after a partly wrong prefix. Where it has tables of logits
    (`language_model`), the target's own guesses are reread token by token.

    Attributes
    ----------
    block
        It `converges`: a block is read until a pass changes nothing, though never more often than
        it has tokens, and then the next one begins (the paper's GS-Jacobi; with a block as long
        as the text, its plain Jacobi). Or it `moves`: what is right leaves at once, and new
        guesses enter behind.

    """

    block: Literal["converges", "moves"] = "converges"
    uses: ClassVar[frozenset[str]] = frozenset({"lookahead"})
    simulated_only: ClassVar[str] = "real targets do not say what they make of a wrong prefix"

    def stands_for(self, acceptance: Acceptance) -> str:
        """Return which tokens a draft's acceptance is taken for here."""
        reread = isinstance(acceptance, LanguageModel)
        return "" if reread else "the target's guesses behind a wrong token"

    def pass_width(self, lookahead: int, output_tokens: int) -> int:  # noqa: ARG002 - of any text
        """Return the most tokens of a row in a pass: a block's."""
        return max(1, lookahead)

    def check(self, sampling: Sampling, source: Source) -> None:  # noqa: ARG002 - any source will do
        """Refuse sampling by chance: only what is deterministic has a fixed point."""
        fixed = is_deterministic(sampling)
        right = "needs temperature=0 or coupling=gumbel: a sampled block never stops changing"
        require(fixed, "temperature", sampling.temperature, right)

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        yield from (_converge if self.block == "converges" else _move)(session)


def _converge(session: Session) -> Wait:
    target = cast("SelfDrafting", session.target)
    blocks: dict[int, Block] = {}
    while rows := (yield from session.admit()):
        for row in rows:
            blocks.setdefault(row.seq, Block(_length(session, row)))
        guesses = [blocks[row.seq].guess(target, row) for row in rows]
        outcomes = yield target.verify(rows, guesses)
        for row, guessed, outcome in zip(rows, guesses, outcomes, strict=True):
            blocks[row.seq].read(target, row, guessed, outcome)
            if blocks[row.seq].ended:
                blocks.pop(row.seq).deliver(session, row)
        session.retire()


def _move(session: Session) -> Wait:
    target = cast("SelfDrafting", session.target)
    seen: dict[int, int] = {}
    while rows := (yield from session.admit()):
        guesses = [
            target.guess(row, _length(session, row) - 1, seen.get(row.seq, 0)) for row in rows
        ]
        outcomes = yield target.verify(rows, guesses)
        for row, guessed, outcome in zip(rows, guesses, outcomes, strict=True):
            seen[row.seq] = guessed.length - outcome.node
        session.commit(guesses, outcomes)


def _length(session: Session, row: Row) -> int:
    return min(max(1, session.lookahead), row.left)


@dataclass
class Block:
    """Tokens of one row that are being guessed.

    Attributes
    ----------
    length
        How many.
    right
        How many from the first on are known to be right.
    ids
        Those, where there are token ids.
    passes
        How often it was read.
    unchanged
        Whether the last pass said no more than was guessed.

    """

    length: int
    right: int = 0
    ids: list[int] = field(default_factory=list)
    passes: int = 0
    unchanged: bool = False

    @property
    def ended(self) -> bool:
        """Whether it is known to be final: unchanged, or read as often as it has tokens."""
        return self.unchanged or self.passes == self.length

    def guess(self, target: SelfDrafting, row: Row) -> Speculation:
        """Return the guesses to read behind the last token known to be right.

        That token's own place is read again, to see that it does not change any more, so that a
        pass has as many tokens as places may still change; the first pass has the whole block.
        """
        if not self.passes:
            return target.guess(row, self.length - 1, 0)
        return target.guess(row, self.length - self.right, self.length - self.right)

    def read(self, target: SelfDrafting, row: Row, guessed: Speculation, outcome: Outcome) -> None:
        """Take up what a pass made right."""
        self.unchanged = outcome.node == guessed.length
        found = min(outcome.node + 1, self.length - self.right)
        self.passes += 1
        self.right += found
        if found:
            self.ids.extend(target.commit(row, guessed, found))

    def deliver(self, session: Session, row: Row) -> None:
        """End the round."""
        whole = Speculation(chain(self.length - 1), "none")
        session.deliver(row, whole, self.right, self.ids)
