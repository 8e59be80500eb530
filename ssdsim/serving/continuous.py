"""Continuous batching as inference engines do it: requests join and leave between steps.

Options are named as vLLM names them.
"""

from dataclasses import dataclass
from math import inf

from ssdsim.decoding.session import Admission
from ssdsim.errors import require
from ssdsim.serving.base import Load, Serving
from ssdsim.serving.kv_blocks import BlockPool
from ssdsim.serving.memory import DeviceMemory, draft_memory, target_memory
from ssdsim.serving.prefill_instances import Disaggregated
from ssdsim.serving.prefix_caching import PrefixCache
from ssdsim.serving.scheduler import StepScheduler

COUNTS = ("max_num_seqs", "max_num_batched_tokens", "block_size")


@dataclass(frozen=True)
class Continuous(Serving):
    """Requests join and leave between steps, within a budget of tokens and of memory.

    Attributes
    ----------
    max_num_seqs
        The most requests that run at a time.
    max_num_batched_tokens
        The most tokens of a step: K + 1 for each running request, and prompts with what is left.
    enable_chunked_prefill
        Whether prompts are computed piece by piece in the passes that verify; else each is computed
        as a whole, with others as far as the budget goes, in a pass that holds up all others.
    enable_prefix_caching
        Whether full blocks of a prompt that somebody before began with are shared, and not computed
        again, as long as they are in memory. What prompts share a trace's `hash_ids` tell; a
        request that is preempted finds its own again.
    long_prefill_token_threshold
        The most tokens of a prompt in a step; 0: as many as the budget leaves.
    block_size
        Tokens of a block of the KV cache.
    num_gpu_blocks
        Blocks that there are. null: as `memory` says, or else as the models' shapes and the devices
        of `latency=roofline` say, and where there are none of these, without end.
    memory, draft_memory
        What there is on the target's devices, and on those of a draft that has its own. A request
        has its tokens in both caches, so that the smaller one says how many blocks there are.
    gpu_memory_utilization
        The share of the devices' memory that weights and KV cache may take.
    state_blocks
        Blocks of one recurrent state. A request of a recurrent or hybrid model has one for each of
        the K + 1 positions of a verify, beside the blocks of its tokens.
    async_scheduling
        Whether a step is scheduled when the one before begins, as vLLM does since version 0.14: who
        comes in the course of a step is computed in the step after the next, and what becomes free
        at a step's end is for those of the step after the next too.
    overhead
        Seconds between one step's end and the next one's begin, in which nothing runs.
    prompt_samples
        Whether the pass that completes a prompt delivers a token, as that of an engine does. Else
        the first round brings the first tokens, as elsewhere in this project.

    """

    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    enable_chunked_prefill: bool = True
    enable_prefix_caching: bool = False
    long_prefill_token_threshold: int = 0
    block_size: int = 16
    num_gpu_blocks: int | None = None
    memory: DeviceMemory | None = None
    draft_memory: DeviceMemory | None = None
    gpu_memory_utilization: float = 0.9
    state_blocks: int = 0
    async_scheduling: bool = False
    overhead: float = 0.0
    prompt_samples: bool = True
    disaggregated: Disaggregated | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in COUNTS:
            value = getattr(self, name)
            require(value >= 1, f"serving.{name}", value, "needs a number >= 1")
        for name in ("state_blocks", "long_prefill_token_threshold"):
            value = getattr(self, name)
            require(value >= 0, f"serving.{name}", value, "needs a number >= 0")
        require(self.overhead >= 0, "serving.overhead", self.overhead, "needs seconds >= 0")
        share, blocks = self.gpu_memory_utilization, self.num_gpu_blocks
        right = "needs a share in (0, 1]"
        require(0 < share <= 1, "serving.gpu_memory_utilization", share, right)
        self._check_sharing()
        right = "needs a number >= 1, or null"
        require(blocks is None or blocks >= 1, "serving.num_gpu_blocks", blocks, right)

    @property
    def budget(self) -> float:
        """The most tokens of a pass."""
        return self.max_num_batched_tokens

    @property
    def mixes(self) -> bool:
        """Whether prompts are computed in the passes that verify."""
        return self.enable_chunked_prefill

    @property
    def shares(self) -> bool:
        """Whether prompts find blocks that somebody else computed."""
        return self.enable_prefix_caching

    @property
    def stage(self) -> Disaggregated | None:
        """What computes prompts elsewhere; None where replicas do."""
        return self.disaggregated

    @property
    def limited_by(self) -> str:
        """The option that says how many requests run at a time."""
        return "serving.max_num_seqs"

    def slots(self, load: Load) -> int:
        """Return the most requests that run at a time, for whom the tokens of a step suffice."""
        return min(self.max_num_seqs, self.max_num_batched_tokens // load.width)

    def blocks(self, load: Load) -> float:
        """Return the blocks of the KV cache; without end where nobody knows the memory."""
        return min(self._target_blocks(load), self._draft_blocks(load))

    def check(self, load: Load, prompt: int, longest: int) -> None:
        """Refuse a budget under a row's tokens, and requests longer than budget or memory."""
        budget, width = self.max_num_batched_tokens, load.width
        right = f"needs at least {width}, the tokens of a request's verify"
        require(budget >= width, "serving.max_num_batched_tokens", budget, right)
        kv = self._kv(load)
        most = longest if kv.limited else prompt  # who is preempted reads all its tokens again
        right = f"needs at least {most} without chunked prefill, to read the longest text at once"
        whole = self.enable_chunked_prefill or most <= budget
        require(whole, "serving.max_num_batched_tokens", budget, right)
        tokens = longest + load.width - 1
        right = f"needs at least {kv.needed(tokens)}: a request of {tokens} tokens, drafts included"
        option, value = self._limit(load)
        require(kv.needed(tokens) <= kv.total, option, value, right)

    def start(self, load: Load) -> Admission:
        """Return the scheduler of one replica."""
        return StepScheduler(
            kv=self._kv(load),
            limit=self.slots(load),
            budget=self.max_num_batched_tokens,
            chunk=self.long_prefill_token_threshold or self.max_num_batched_tokens,
            width=load.width,
            chunked=self.enable_chunked_prefill,
            overhead=self.overhead,
            samples=self.prompt_samples,
            ahead=self.async_scheduling,
        )

    def _check_sharing(self) -> None:
        """Refuse to share what is not in blocks that are computed here."""
        wrong = {
            f"state_blocks={self.state_blocks}, states have no beginning": self.state_blocks > 0,
            "disaggregated computes prompts elsewhere": self.disaggregated is not None,
        }
        for why, holds in wrong.items():
            fine = not (self.enable_prefix_caching and holds)
            require(fine, "serving.enable_prefix_caching", True, f"needs false: {why}")

    def _kv(self, load: Load) -> BlockPool:
        kind = PrefixCache if self.enable_prefix_caching else BlockPool
        return kind(self.blocks(load), self.block_size, self.state_blocks * load.width)

    def _target_blocks(self, load: Load) -> float:
        if self.num_gpu_blocks is not None:
            return self.num_gpu_blocks
        return self._blocks_of(self.memory or target_memory(load))

    def _draft_blocks(self, load: Load) -> float:
        """Return the blocks of a replica's requests that a draft elsewhere has room for."""
        given = self.draft_memory if load.apart else None
        return self._blocks_of(given or draft_memory(load), load.sharers)

    def _blocks_of(self, memory: DeviceMemory | None, sharers: int = 1) -> float:
        if memory is None:
            return inf
        return memory.blocks(self.block_size, self.gpu_memory_utilization) // sharers

    def _limit(self, load: Load) -> tuple[str, object]:
        """Return the option that says how many blocks there are, and its value."""
        if self._draft_blocks(load) < self._target_blocks(load):
            name = "draft_memory" if self.draft_memory else "gpu_memory_utilization"
            return f"serving.{name}", getattr(self, name)
        if self.num_gpu_blocks is not None:
            return "serving.num_gpu_blocks", self.num_gpu_blocks
        return "serving.gpu_memory_utilization", self.gpu_memory_utilization
