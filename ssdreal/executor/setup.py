"""The settings of a real run, apart from models and devices, and what follows from them."""

from dataclasses import dataclass, field
from math import ceil

from ssdreal.channel.message_parts import Exit
from ssdreal.channel.probability_pages import Pages
from ssdreal.executor.self_drafting import left_out
from ssdreal.executor.supported_methods import check_method
from ssdreal.executor.supported_serving import check_serving
from ssdreal.executor.workload import FEW
from ssdreal.models.sublayers import Sublayers
from ssdreal.places.places import Role
from ssdsim.acceptance.base import Acceptance, Source
from ssdsim.backups.base import Backup
from ssdsim.backups.jit import Jit
from ssdsim.drafters.base import Drafter
from ssdsim.drafters.model import Model
from ssdsim.engine.limits import check_drafting, check_lookahead, check_workload
from ssdsim.engine.preflight import check_drafter, check_hearing, check_shape
from ssdsim.errors import require
from ssdsim.lengths.base import Length
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.base import Chosen, Method
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.base import Policy, StaticPolicy
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Decoding
from ssdsim.sampling.streams import stream
from ssdsim.serving.base import Load, Serving
from ssdsim.serving.slots import Slots
from ssdsim.trees.base import TokenTree, halving, parents_of
from ssdsim.trees.chain import Chain
from ssdsim.workloads.base import Workload
from ssdsim.workloads.closed import Closed

CHUNK = 64
"""Capacities are multiples of it, so that kernels meet even shapes."""

CANDIDATES = 32
MOST_BRANCHES = 64
"""Branches a row that there is room for where the budget is whatever fits beside the verify."""


@dataclass(frozen=True)
class Setup(Chosen):
    """Everything a run depends on, but for the models and where they are.

    Attributes
    ----------
    method, policy, backup
        How to decode.
    workload
        What there is to decode, and when it comes: the same object as a simulation's.
    lookahead
        K, tokens drafted a round.
    batch
        Sequences decoded at a time, where `serving` says no other number.
    decoding
        How tokens are sampled.
    seed
        Of all noise and of every random stream.
    width
        Tokens of a row in every pass of the target; None: what the method needs, K + 1 or 1.
    length
        How many of these K tokens to draft, and when to stop.
    tree
        What is drafted in a round: a chain, or a token tree of `lookahead` levels.
    acceptance
        Where the outcomes of a scripted run come from; None: from the models.
    drafter
        Who drafts: the draft model, or a lookup in the text.
    stop_at_end
        Whether a token that ends the text ends the sequence.
    serving
        Which of the waiting prompts are decoded together: the same object as a simulation's.

    """

    method: Method
    workload: Closed | Workload = FEW  # closed, where a file does not say which
    policy: Policy = field(default_factory=UniformFanout)
    backup: Backup = field(default_factory=Jit)
    lookahead: int = 4
    batch: int = 1
    decoding: Decoding = Decoding()
    seed: int = 0
    width: int | None = None
    length: Length = field(default_factory=Fixed)
    tree: TokenTree = field(default_factory=Chain)
    acceptance: Acceptance | None = field(default=None, hash=False)  # it may hold tables
    drafter: Drafter = field(default_factory=Model)
    stop_at_end: bool = False
    serving: Serving = field(default_factory=Slots)

    def __post_init__(self) -> None:
        check_lookahead(self.lookahead)
        require(self.batch >= 1, "batch", self.batch, "needs a number >= 1")
        require(self.seed >= 0, "seed", self.seed, "needs a number >= 0")
        workload = self.workload
        check_workload(workload.prompts, workload.longest_prompt, workload.longest_output)
        check_drafting(self.tree, self.lookahead, self.slots)
        check_method(self.method, self.decoding)
        check_drafter(self)
        check_hearing(self.method, self.policy)
        check_shape(self)
        check_serving(self.serving)

    @property
    def drafted(self) -> int:
        """Tokens, or levels of a tree, drafted a round."""
        return self.lookahead if "lookahead" in self.method.uses else 0

    @property
    def skipped(self) -> Sublayers | None:
        """What the target leaves out where it drafts for itself; None where it does not."""
        return left_out(self.method)

    @property
    def pass_width(self) -> int:
        """Tokens of a row in every pass of the target."""
        return self.width or self.tree.nodes(self.drafted) + 1

    @property
    def shown(self) -> int:
        """Draft's distributions a branch that the target asks for; 0 where it needs none."""
        needed = self.decoding.needs_probabilities and self.tree.sampled and not self.lookup
        return sum(self.tree.passes(self.drafted)) if needed else 0

    @property
    def serves(self) -> bool:
        """Whether it is about requests that queue, not about prompts that are all there."""
        return self.workload.open or self.serving != Slots()

    @property
    def load(self) -> Load:
        """What the models are asked for, as far as serving depends on it."""
        return Load(self.batch, self.pass_width, None, self.draft_on)

    @property
    def slots(self) -> int:
        """Sequences decoded at a time."""
        return min(self.serving.slots(self.load), self.workload.prompts)

    @property
    def exit(self) -> Exit | None:
        """When the target speaks in mid-verify, and how much of it; None: never."""
        if self.method.exit >= 1:
            return None
        return Exit(self.method.exit, self.branches()[1] if self.method.hears_target else 0)

    def pages(self, rows: int) -> Pages | None:
        """Return the shared probabilities of a draft with so many head rows; None: not needed."""
        if not self.shown:
            return None
        return Pages(self.slots, self.branches()[0], self.shown, rows, trees=self.method.phases)

    def source(self) -> Source | None:
        """Return what tells the outcomes of a scripted run, as a simulation of it would have it."""
        if self.acceptance is None:
            return None
        return self.acceptance.open(self.decoding, stream(self.seed, "acceptance"))

    def capacity(self, role: Role, longest: int) -> int:
        """Return the cache entries that a row needs; `longest` is the longest prompt, in tokens."""
        text = longest + self.workload.longest_output + self.pass_width
        continued = sum(self.tree.passes(self.drafted))
        tree = self.branches()[0] * continued + 1 if role == "draft" else 0
        return CHUNK * ceil((text + tree) / CHUNK)

    def branches(self) -> tuple[int, int]:
        """Return the most branches of a row, and how many candidates a node must have."""
        if "policy" not in self.method.uses:
            return 1, CANDIDATES
        predictor = self.policy.start(self.lookahead, stream(self.seed, "coverage"))
        budget = MOST_BRANCHES if predictor.budget == "verify" else predictor.budget
        if not self.method.roots:
            budget *= self.method.phases  # of its own order it takes what comes next
        shapes = [parents_of(self.tree.grow(K, halving)) for K in range(self.lookahead + 1)]
        static = isinstance(self.policy, StaticPolicy)  # others may come to use all they may spend
        found = [
            predictor.predict(Speculation(parents, "primary", truth=Outcome(0, 0)), budget)
            for parents in (shapes if static else shapes[-1:])
        ]
        most = max(1, self.method.roots, 0 if static else budget, *map(len, found))
        ranks = (outcome.rank for predicted in found for outcome in predicted)
        return most, max(CANDIDATES, 1 + max(ranks, default=0))
