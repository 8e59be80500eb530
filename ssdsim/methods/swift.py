"""SWIFT (Xia et al. 2024, arXiv 2410.06916): self-speculative decoding that searches its layers.

Once there is some text, every round begins with a proposal of layers to leave out: the draft that
it makes is run over the last tokens of the text, in one pass on the critical path, and is kept if
it matches more of them than any before. So acceptance rises during a run, and the search ends.

How acceptance follows the layers is a model: the acceptance source is the draft with the best
layers left out, and with others it loses a share of tokens more. For random proposals that share is
spread evenly between half and one and a half times that of the layers to begin with; for guided
(Bayesian) proposals evenly between none and the present one. A score is a binomial count, so a
lucky one may mislead.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

from numpy.random import Generator, Philox

from ssdsim.acceptance.weaker_draft import WeakerDraftText
from ssdsim.decoding.abilities import SearchingDraft
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.errors import require
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.sampling.streams import stream


@dataclass(frozen=True)
class Swift(SelfSpeculative):
    """Self-speculative decoding with the layers to leave out searched while serving.

    The authors stop a draft at a confidence under .8 and 25 tokens: `length=controller
    length.step=0 lookahead=25`.

    Attributes
    ----------
    kept
        Share of a pass's seconds that the layers kept take; half of them are left out here.
    loss
        Share of tokens that the layers left out first (uniformly spread ones) lose against the
        best.
    match
        Share of the text's tokens that the draft with the best layers matches.
    begin
        Tokens of a sequence before there is enough text to score a proposal.
    window
        Tokens that a proposal is scored on.
    guided
        Every so manieth proposal comes from Bayesian optimisation.
    enough, patience, most
        The search ends at a score over `enough`, after `patience` proposals without gain, or
        after `most` in all.

    """

    kept: float = 0.5
    skipped_attention: None = field(default=None, init=False)
    skipped_mlp: None = field(default=None, init=False)
    loss: float = 0.2
    match: float = 0.9
    begin: int = 50
    window: int = 32
    guided: int = 25
    enough: float = 0.93
    patience: int = 300
    most: int = 1000
    uses: ClassVar[frozenset[str]] = frozenset({"lookahead", "length"})
    simulated_only: ClassVar[str] = "no real draft searches for its layers while it serves"

    def __post_init__(self) -> None:
        super().__post_init__()
        right = "needs a share in [0, .5]: random layers lose up to half as much again"
        require(0 <= self.loss <= 0.5, "method.loss", self.loss, right)
        for name in ("match", "enough"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"method.{name}", value, "needs a share in [0, 1]")
        for name in ("begin", "window", "guided", "patience", "most"):
            require(getattr(self, name) >= 1, f"method.{name}", getattr(self, name), "needs >= 1")

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        draft, target = cast("SearchingDraft", session.draft), session.target
        search = Search(self, stream(session.seed, "search"))
        while rows := (yield from session.admit()):
            search.follow(rows)
            if search.wants(rows[0]):
                yield draft.search(rows[0], self.window)
                search.propose()
            if session.lookahead:
                speculations = yield draft.speculate(rows, session.lookahead, "primary")
            else:
                speculations = [target.undrafted(row) for row in rows]
            outcomes = yield target.verify(rows, speculations)
            session.commit(speculations, outcomes)


@dataclass
class Search:
    """The search for layers to leave out.

    Attributes
    ----------
    loss
        Share of tokens that those left out now lose.
    best
        The best score so far.
    tried, idle
        Proposals in all, and since the last gain.

    """

    config: Swift
    rng: Generator
    loss: float = field(init=False)
    best: float = field(init=False)
    tried: int = 0
    idle: int = 0

    def __post_init__(self) -> None:
        self.loss = self.config.loss
        self.key = int(self.rng.integers(2**63))
        self.best = self._score(self.loss)

    def follow(self, rows: list[Row]) -> None:
        """Let new rows' drafts err as the layers left out say."""
        for row in rows:
            if not isinstance(row.text, WeakerDraftText):
                errors = Generator(Philox(key=[self.key, row.seq]))
                row.text = WeakerDraftText(row.text, lambda: self.loss, errors)

    def wants(self, row: Row) -> bool:
        """Return whether a proposal is due, to be scored on this row's text."""
        return row.record.tokens >= self.config.begin and not self.over

    @property
    def over(self) -> bool:
        """Whether the search has ended."""
        config = self.config
        done = self.tried >= config.most or self.idle >= config.patience
        return done or self.best > config.enough

    def propose(self) -> None:
        """Draw layers to leave out and their score, and keep them if it is the best."""
        self.tried += 1
        guided = self.tried % self.config.guided == 0
        uniform = self.rng.random()
        loss = uniform * self.loss if guided else (0.5 + uniform) * self.config.loss
        score = self._score(loss)
        self.idle = 0 if score > self.best else self.idle + 1
        if score > self.best:
            self.best, self.loss = score, loss

    def _score(self, loss: float) -> float:
        window = self.config.window
        return float(self.rng.binomial(window, self.config.match * (1 - loss)) / window)
