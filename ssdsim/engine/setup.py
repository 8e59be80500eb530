"""`Setup`: all settings that a simulated run depends on."""

from dataclasses import dataclass, field

from ssdsim.acceptance.base import Acceptance
from ssdsim.backups.base import Backup
from ssdsim.backups.jit import Jit
from ssdsim.cuts.all import All
from ssdsim.cuts.base import Cut
from ssdsim.drafters.base import Drafter
from ssdsim.drafters.model import Model
from ssdsim.engine.limits import check_drafting, check_lanes, check_lookahead, check_workload
from ssdsim.errors import require
from ssdsim.latency.base import Latency, block_of
from ssdsim.latency.machine import Machine
from ssdsim.latency.skipped import Skipped
from ssdsim.lengths.base import Length
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.base import Chosen, Method
from ssdsim.policies.base import Policy
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.routers.base import Router
from ssdsim.routers.round_robin import RoundRobin
from ssdsim.sampling.settings import Sampling
from ssdsim.serving.base import Load, Serving
from ssdsim.serving.slots import Slots
from ssdsim.trees.base import TokenTree
from ssdsim.trees.chain import Chain
from ssdsim.workloads.base import Workload
from ssdsim.workloads.closed import Closed


@dataclass(frozen=True)
class Setup(Chosen):
    """Everything a run depends on.

    Attributes
    ----------
    method, policy, backup
        What is simulated.
    acceptance, machine, workload
        Where outcomes come from, how long everything takes, and what there is to decode.
    lookahead
        K, tokens drafted a round (of a tree: levels).
    batch
        Sequences decoded at a time, where `serving` says no other number.
    sampling
        Temperature, coupling and Saguaro sampling.
    seed
        Of every random stream.
    length
        How many of these K tokens to draft, and when to stop.
    tree
        What is drafted in a round: a chain, or a token tree of `lookahead` levels.
    drafter
        Who drafts it: the draft model, or a lookup in the text.
    verify
        How much of it is verified.
    serving
        Which of the waiting requests are decoded together.
    replicas
        Copies of target and draft, each on devices of its own and with its own queue.
    router
        Which of them a request goes to.
    draft_pool
        Draft devices that all replicas share, who queue for them; 0: each has drafts of its own.

    """

    method: Method
    acceptance: Acceptance
    machine: Machine
    workload: Closed | Workload = Closed()  # closed, where a file does not say which
    policy: Policy = field(default_factory=UniformFanout)
    backup: Backup = field(default_factory=Jit)
    lookahead: int = 7
    batch: int = 1
    sampling: Sampling = Sampling()
    seed: int = 0
    length: Length = field(default_factory=Fixed)
    tree: TokenTree = field(default_factory=Chain)
    drafter: Drafter = field(default_factory=Model)
    verify: Cut = field(default_factory=All)
    serving: Serving = field(default_factory=Slots)
    replicas: int = 1
    router: Router = field(default_factory=RoundRobin)
    draft_pool: int = 0

    def __post_init__(self) -> None:
        check_lookahead(self.lookahead)
        require(self.batch >= 1, "batch", self.batch, "needs a number >= 1")
        require(self.seed >= 0, "seed", self.seed, "needs a number >= 0")
        workload = self.workload
        check_workload(workload.prompts, workload.longest_prompt, workload.longest_output)
        check_drafting(self.tree, self.lookahead, min(self.slots, self.workload.prompts))
        for name in ("servers", "drafts"):
            check_lanes(f"method.{name}", getattr(self.method, name))
        check_lanes("replicas", self.replicas)
        check_lanes("draft_pool", self.draft_pool, least=0)

    @property
    def reads_drafts(self) -> bool:
        """Whether anything looks at tokens, confidences or candidates of a speculation."""
        policy = "policy" in self.method.uses and self.policy.reads_drafts
        signals = {self.control.needs, self.cut.needs} - {None}
        return self.method.reads_drafts or policy or bool(signals)

    @property
    def serves(self) -> bool:
        """Whether it is about requests that queue, not about prompts that are all there."""
        queues = self.workload.open or self.serving != Slots()
        return queues or self.replicas > 1 or self.draft_pool > 0

    @property
    def load(self) -> Load:
        """What a replica is asked for."""
        nodes = self.tree.nodes(self.lookahead)
        width = self.method.pass_width(nodes, self.workload.longest_output)
        sharers = self.replicas if self.draft_pool else 1
        return Load(self.batch, width, self.machine, self.draft_on, sharers)

    @property
    def slots(self) -> int:
        """The most sequences that are decoded at a time."""
        return self.serving.slots(self.load)

    @property
    def cut(self) -> Cut:
        """The verification cut, where the method has use for one."""
        return self.verify if "verify" in self.method.uses else All()

    @property
    def sent(self) -> Sampling:
        """How the tokens that the draft sends are sampled: as in greedy decoding, if not at all."""
        return self.sampling if self.tree.sampled else Sampling()

    @property
    def block(self) -> int:
        """Tokens of a chain that a drafting pass makes; layers of the target make one."""
        skipped = isinstance(self.draft_latency, Skipped)
        return 1 if self.lookup or skipped else block_of(self.machine.draft)

    @property
    def draft_latency(self) -> Latency:
        """Service times of the draft where the method runs it."""
        return self.method.draft_latency(self.machine)
