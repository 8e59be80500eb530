"""SSD that prepares outcomes twice in a round: DUET-SSD (formerly MESA).

The draft prepares at once for what it expects itself. In mid-verify an early layer of the target
says what that takes for likely, and the draft prepares for more. An outcome prepared for by
neither is drafted for after the verify, by the backup.
"""

from dataclasses import dataclass
from operator import attrgetter, or_
from typing import ClassVar, Literal, cast

from numpy.random import Generator, Philox
from simpy import AnyOf, Event

from ssdsim.acceptance.base import Foretold, Source
from ssdsim.acceptance.weaker_draft import WeakerDraftText
from ssdsim.decoding.abilities import OutspokenTarget, PacedDraft
from ssdsim.decoding.protocol import Row, Tree
from ssdsim.decoding.round_costs import Together
from ssdsim.decoding.session import Session, Wait
from ssdsim.decoding.shared_cache import Predictions, SplitTree
from ssdsim.errors import require
from ssdsim.kinds import short_name
from ssdsim.methods.base import Method
from ssdsim.methods.ssd import predicted, redrafted, settled
from ssdsim.outcomes import Outcome, Speculation, depths
from ssdsim.policies.base import Budget, Policy, Predictor
from ssdsim.sampling.held_back import as_sampled
from ssdsim.sampling.settings import Sampling
from ssdsim.sampling.streams import stream

_cached = attrgetter("cached")


@dataclass(frozen=True)
class TwoPhase(Method):
    """The draft prepares outcomes twice: by its own view, then by the target's early one.

    Attributes
    ----------
    exit
        The share of a verify after which the target speaks; in real runs the share of its layers,
        of which it speaks after the nearest one. At the verify's end nobody hears it.
    second
        Which outcomes are prepared for then, those of the first phase left out; its budget is the
        number of roots. null: the policy of the first phase at twice its budget, which hears
        nothing.
    first_depth
        Tokens drafted for an outcome of the first phase: a number, or "exit" for as many as the
        draft has time for before the target speaks. At most `lookahead`.
    second_depth
        Of the second phase: a number, or "verify" for as many as the draft has time for before the
        verify ends. At most `lookahead`.
    on_outcome
        What to do when the outcome arrives before all branches of the phase are drafted: `wait`
        for them, `prune` the losing ones, or `truncate` the winning one.
    redraft
        Which rows the backup drafts when a row of the batch missed: the "missing" ones, or "all".
    loss
        Share of the tokens accepted that a draft loses by being fed early states of the target.

    """

    exit: float = 0.7
    second: Policy | None = None
    first_depth: int | Literal["exit"] = "exit"
    second_depth: int | Literal["verify"] = "verify"
    on_outcome: Literal["wait", "prune", "truncate"] = "wait"
    redraft: Literal["missing", "all"] = "missing"
    loss: float = 0.0
    uses: ClassVar[frozenset[str]] = frozenset(
        {"lookahead", "length", "tree", "verify", "policy", "backup"}
    )
    draft_on: ClassVar[Literal["own"]] = "own"
    timed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        right = "needs a share of the verify in (0, 1]"
        require(0 < self.exit <= 1, "method.exit", self.exit, right)
        for name, word in (("first_depth", "exit"), ("second_depth", "verify")):
            value = getattr(self, name)
            fine = value == word or (isinstance(value, int) and value >= 0)
            require(fine, f"method.{name}", value, f'needs a number >= 0 or "{word}"')
        roots = self.second.budget if self.second else 0
        require(0 <= self.loss <= 1, "method.loss", self.loss, "needs a share in [0, 1]")
        require(roots != "verify", "method.second.budget", roots, "needs a number of roots")

    @property
    def simulated_only(self) -> str:
        """Why no real models can run it here; empty where they can."""
        return "real drafts are fed no early states: needs method.loss=0" if self.loss else ""

    @property
    def stops_branches(self) -> bool:
        """Whether it tells its draft to leave branches unfinished."""
        return self.on_outcome != "wait"

    @property
    def phases(self) -> int:
        """How many times a round it prepares outcomes."""
        return 2

    @property
    def roots(self) -> int:
        """Return how many outcomes of a row the second phase has at most."""
        return cast("int", self.second.budget) if self.second else 0

    @property
    def hears_target(self) -> bool:
        """Whether it goes by what the target says in mid-verify, and not by a known hit rate."""
        return self.second is not None and self.second.hears_target

    def round_seconds(self, draft: float, verify: float) -> float:
        """Return what a round takes after a hit: drafting and verifying go on side by side."""
        return max(draft, verify)

    def check(self, sampling: Sampling, source: Source) -> None:  # noqa: ARG002 - any will do
        """Refuse a source whose target has no early view that the second phase could go by."""
        if self.second is None or not self.second.hears_target:
            return
        right = "must be 0: nobody knows the early view of what such a draft sends"
        require(self.loss == 0, "method.loss", self.loss, right)
        right = "needs an acceptance source that knows an early view of the target "
        right += "(language_model, recorded with exit_ids)"
        require(_foretold(source), "method.second", short_name(type(self.second)), right)

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        second = self._second(session)
        key = int(stream(session.seed, "loss").integers(2**63))
        phases: _Phases | None = None
        while rows := (yield from session.admit()):
            self._weaken(rows, key)
            yield from session.exchange(rows)
            speculations = list(map(_cached, rows))
            if not all(speculations):
                speculations = yield from redrafted(session, rows, self.redraft)
            if session.cutter is not None:
                beside = None if phases is None else phases.again(rows)
                speculations = session.cut(rows, speculations, beside)
            phases = _Phases(self, session, rows, speculations)
            speculations = yield from phases.fork()
            phases.begin(predicted(session, rows, speculations))
            yield from phases.listen(second)
            outcomes = yield phases.verify
            session.commit(speculations, outcomes)
            winners = settled(session, rows, speculations, phases.predictions, outcomes)
            for speculation, outcome in zip(speculations, outcomes, strict=True):
                second.observe(speculation, outcome)
            end = phases.settle(winners) if session.goes_on else None
            if end is not None:
                yield end
            for row in winners:
                row.cached = phases.tree.take(row)

    def _weaken(self, rows: list[Row], key: int) -> None:
        """Let new rows' drafts lose their share of tokens."""
        for row in rows if self.loss else ():
            if not isinstance(row.text, WeakerDraftText):
                errors = Generator(Philox(key=[key, row.seq]))
                row.text = WeakerDraftText(row.text, lambda: self.loss, errors)

    def _second(self, session: Session) -> Predictor:
        if self.second is None:
            return _Doubled(session.policy)
        return self.second.start(session.lookahead, stream(session.seed, "second"))


def _foretold(source: Source) -> bool:
    text = source.text(0)
    return isinstance(text, Foretold) and text.early(text.speculate(1, "primary")) is not None


@dataclass(frozen=True)
class _Doubled:
    """A policy at twice its budget; it learns by itself."""

    policy: Predictor

    @property
    def budget(self) -> Budget:
        budget = self.policy.budget
        return 0 if budget == "verify" else 2 * budget

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        return self.policy.predict(speculation, budget) if budget else frozenset()

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Leave that to the first phase."""


class _Phases:
    """The two phases of one round, beside its verify.

    Attributes
    ----------
    verify
        Tells its end.
    predictions, tree
        What is prepared for so far, and the branches.
    begun, growing
        What the phase that was begun last prepares for, and its branches.
    counted
        Branches and depth of each phase, none where it takes what time there is.

    """

    verify: Event
    predictions: Predictions
    tree: Tree
    begun: Predictions
    growing: Tree

    def __init__(
        self, method: TwoPhase, session: Session, rows: list[Row], found: list[Speculation]
    ) -> None:
        self.method, self.session, self.rows, self.speculations = method, session, rows, found
        self.draft = cast("PacedDraft", session.draft)
        target = cast("OutspokenTarget", session.target)
        # Of ragged rows the mean, rounded down: who goes by it is done a little too early.
        mean = sum(max(depths(speculation.parents)) for speculation in found) // len(found)
        self.speaks = target.spoken_seconds(rows, mean, method.exit)
        self.ends = session.env.now + target.verify_seconds(rows, mean)
        self.verify = target.verify(rows, found)
        self.counted = [(0, 0), (0, 0)]

    def again(self, rows: list[Row]) -> Together:
        """Return what another round takes, of rows with as many branches each as these have."""
        were = len(self.rows)
        phases = [(count * len(rows) // were, depth) for count, depth in self.counted]
        return self.session.costs.phases(rows, phases, self.method.exit)

    def fork(self) -> Wait:
        """Let the draft find the candidates, and the target be heard; return the speculations."""
        forked = self.draft.fork(self.rows, self.speculations)
        if forked is not None:
            self.speculations = yield forked
        target = cast("OutspokenTarget", self.session.target)
        self.spoken = target.speak(self.rows, self.speculations, self.method.exit)
        return self.speculations

    def begin(self, predictions: Predictions) -> None:
        """Prepare for what the draft expects itself."""
        self._prepare(predictions, self._depth(0, self.speaks, predictions))
        self.predictions, self.tree = self.begun, self.growing
        self._count()

    def listen(self, policy: Predictor) -> Wait:
        """Prepare for what the target takes for likely, unless its verdict is there before that."""
        yield AnyOf(self.session.env, [self.spoken, self.verify])
        end = None if self.verify.processed else self.growing.wait(())
        if end is not None:
            yield AnyOf(self.session.env, [end, self.verify])
        if not self.verify.processed:
            self._go_on(policy)

    def _go_on(self, policy: Predictor) -> None:
        budget = cast("int", policy.budget)
        heard: list[Speculation] = self.spoken.value or []
        known = (as_sampled(speculation, self.session.sampling) for speculation in heard)
        found = [policy.predict(speculation, budget) for speculation in known]
        more = [new - known for new, known in zip(found, self.predictions, strict=True)]
        self._prepare(more, self._depth(1, self.ends - self.session.env.now, more))
        places = {row.seq: place for place, row in enumerate(self.rows)}
        shares = [self.predictions, self.begun]
        self.tree = SplitTree([self.tree, self.growing], shares, places)
        self.predictions = list(map(or_, *shares))
        self._count()

    def settle(self, winners: list[Row]) -> Event | None:
        """Return what tells that all branches are settled; a phase before the last one's are."""
        won = {row.seq for row, of in zip(self.rows, self.begun, strict=True) if row.outcome in of}
        settled = getattr(self.growing, self.method.on_outcome)
        end: Event | None = settled([row for row in winners if row.seq in won])
        return end

    def _count(self) -> None:
        for row, prepared in zip(self.rows, self.predictions, strict=True):
            row.predicted = len(prepared)

    def _depth(self, phase: int, seconds: float, predictions: Predictions) -> int:
        """Return how deep a phase is: as asked, or as many steps as fit into so many seconds."""
        asked = (self.method.first_depth, self.method.second_depth)[phase]
        branches, most = sum(map(len, predictions)), self.session.lookahead
        if not isinstance(asked, int):
            return self.draft.steps_within(seconds, self.rows, branches, most)
        self.counted[phase] = branches, min(asked, most)
        return min(asked, most)

    def _prepare(self, predictions: Predictions, depth: int) -> None:
        """Begin to draft for outcomes; for none, where nothing would be drafted for them."""
        self.begun = predictions if depth else [frozenset[Outcome]() for _ in predictions]
        self.growing = self.session.prespeculate(self.rows, self.begun, depth)
