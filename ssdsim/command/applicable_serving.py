"""Which options of serving, routers and workloads have an effect beside the others."""

from collections.abc import Iterator
from math import inf

from ssdsim.engine.setup import Setup
from ssdsim.routers.prefix_aware import PrefixAware
from ssdsim.serving.base import Load, Serving
from ssdsim.serving.continuous import Continuous
from ssdsim.serving.memory import draft_memory
from ssdsim.workloads.base import Workload
from ssdsim.workloads.closed import closed

Rule = tuple[str, bool, str]
"""An option (with all below it), whether it has an effect beside the others, and if not, why."""


def sharing_rules(setup: Setup) -> Iterator[Rule]:
    """Tell which options of routers, and of prompts that begin alike, have an effect."""
    yield "router", setup.replicas > 1, "replicas=1 leaves no choice"
    named = any(request.prefix for request in setup.workload.requests(setup.seed))
    why = "no blocks of prompts are known: a trace with hash_ids names them"
    why += " or workload.prefix_share makes them up"
    yield "router.slack", named or not isinstance(setup.router, PrefixAware), why
    serving = setup.serving
    ends = serving.blocks(setup.load) < inf
    yield "serving.enable_prefix_caching", named or ends or not serving.shares, why
    told = serving.shares or (setup.replicas > 1 and isinstance(setup.router, PrefixAware))
    why = "neither serving.enable_prefix_caching nor router=prefix_aware asks how prompts begin"
    yield "workload.prefix_share", told, why
    unshared = "serving.enable_prefix_caching=false shares no blocks"
    yield "workload.prefix_tokens", serving.shares, unshared


def serving_rules(serving: Serving, load: Load) -> Iterator[Rule]:
    """Tell which options of serving, and of what it replaces, have an effect."""
    if not isinstance(serving, Continuous):
        return
    yield "batch", False, "serving.max_num_seqs says how many run at a time"
    why = "without chunked prefill a prompt is computed as a whole"
    chunked = serving.enable_chunked_prefill
    yield "serving.long_prefill_token_threshold", chunked, why
    given = serving.num_gpu_blocks is not None
    yield "serving.memory", not given, "serving.num_gpu_blocks says how many blocks there are"
    ends = serving.blocks(load) < inf
    unlimited = "neither serving.num_gpu_blocks nor serving.memory nor shapes limit the memory"
    yield "serving.block_size", ends or serving.shares, unlimited
    for option in ("state_blocks", "gpu_memory_utilization"):
        yield f"serving.{option}", ends, unlimited
    apart = "the draft has no devices of its own"
    yield "serving.draft_memory", load.apart, apart
    given = given and serving.draft_memory is None and draft_memory(load) is None
    why = "serving.num_gpu_blocks says how many blocks there are"
    yield "serving.gpu_memory_utilization", not given, why


def workload_rules(workload: Workload, slots: int) -> Iterator[Rule]:
    """Tell which options of a workload change what comes, with so many decoded at a time."""
    several = slots > 1 or closed(workload).steps == 1
    yield "workload.steps", several, "one sequence at a time waits for the one before in any case"
    lengths = (getattr(workload, name, 0) for name in ("prompt_tokens", "output_tokens"))
    drawn = not any(isinstance(each, int) for each in lengths)
    yield "workload.correlation", drawn, "prompts or outputs are all as long"
    waits = workload.most_at_once is not None
    yield "workload.think_time", waits, "workload.concurrency=null: no client waits for an answer"
    for option in ("workload.busy", "workload.quiet"):
        bursts = getattr(workload, "quiet_rate", 0.0) < 1
        yield option, bursts, "as many come when it is quiet"
