"""Continuous batching as inference engines do it: requests join and leave between steps.

Options are named as vLLM names them.
"""

from dataclasses import dataclass
from math import inf

from ssdsim.decoding.session import Admission
from ssdsim.errors import require
from ssdsim.serving.base import Load, Serving
from ssdsim.serving.kv_blocks import BlockPool
from ssdsim.serving.memory import DeviceMemory, known_memory
from ssdsim.serving.prefill_instances import Disaggregated
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
    long_prefill_token_threshold
        The most tokens of a prompt in a step; 0: as many as the budget leaves.
    block_size
        Tokens of a block of the KV cache.
    num_gpu_blocks
        Blocks that there are. null: as `memory` says, or else as the models' shapes and the devices
        of `latency=roofline` say, and where there are none of these, without end.
    memory
        What the devices and the models take.
    gpu_memory_utilization
        The share of the devices' memory that weights and KV cache may take.
    state_blocks
        Blocks of one recurrent state. A request of a recurrent or hybrid model has one for each of
        the K + 1 positions of a verify, beside the blocks of its tokens.
    overhead
        Seconds between one step's end and the next one's begin, in which nothing runs.
    prompt_samples
        Whether the pass that completes a prompt delivers a token, as that of an engine does. Else
        the first round brings the first tokens, as elsewhere in this project.

    """

    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    block_size: int = 16
    num_gpu_blocks: int | None = None
    memory: DeviceMemory | None = None
    gpu_memory_utilization: float = 0.9
    state_blocks: int = 0
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
        memory = self.memory or known_memory(load.machine, load.draft_on)
        if self.num_gpu_blocks is not None:
            return self.num_gpu_blocks
        if memory is None:
            return inf
        return memory.blocks(self.block_size, self.gpu_memory_utilization)

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
        option, value = self._limit
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
        )

    def _kv(self, load: Load) -> BlockPool:
        return BlockPool(self.blocks(load), self.block_size, self.state_blocks * load.width)

    @property
    def _limit(self) -> tuple[str, object]:
        """The option that says how many blocks there are, and its value."""
        if self.num_gpu_blocks is not None:
            return "serving.num_gpu_blocks", self.num_gpu_blocks
        return "serving.gpu_memory_utilization", self.gpu_memory_utilization
