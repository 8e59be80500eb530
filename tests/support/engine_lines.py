"""Counters and lines as vLLM writes them."""

LOAD = (
    "INFO 09-25 22:27:16 [loggers.py:315] Engine 00{}: Avg prompt throughput: 0.0 tokens/s, Avg "
    "generation throughput: 240.0 tokens/s, Running: {} reqs, Waiting: 0 reqs, GPU KV cache usage: "
    "10.0%, Prefix cache hit rate: 0.0%\n"
)
SPECULATION = (
    "INFO 09-25 22:27:16 [metrics.py:120] SpecDecoding metrics: Mean acceptance length: 2.40, "
    "Accepted throughput: 140.00 tokens/s, Drafted throughput: 200.00 tokens/s, Accepted: 1400 "
    "tokens, Drafted: 2000 tokens, Per-position acceptance rate: {}, Avg Draft "
    "acceptance rate: 70.0%\n"
)
ITERATION = (
    "INFO 09-25 22:27:16 [core.py:359] Iteration(7): {} context requests, {} context tokens, "
    "{} generation requests, {} generation tokens, iteration elapsed time: {} ms\n"
)
V0 = (
    "INFO 10-16 19:05:47 metrics.py:367] Speculative metrics: Draft acceptance rate: 0.642, "
    "System efficiency: 0.598, Number of speculative tokens: 3, Number of accepted tokens: "
    "{}, Number of draft tokens: {}, Number of emitted tokens: {:.0f}.\n"
)


def counters(drafts, accepted=(), prefix="vllm:", end="_total", labels='engine="0"', **others):
    lines = [
        f"{prefix}spec_decode_num_drafts{end}{{{labels}}} {drafts}",
        f"{prefix}spec_decode_num_draft_tokens{end}{{{labels}}} {2 * drafts}",
        f"{prefix}spec_decode_num_accepted_tokens{end}{{{labels}}} {sum(accepted)}",
    ]
    lines += [
        f'{prefix}spec_decode_num_accepted_tokens_per_pos{end}{{{labels},position="{j}"}} {n}'
        for j, n in enumerate(accepted)
    ]
    lines += [f"{prefix}{name}{{{labels}}} {value}" for name, value in others.items()]
    return "\n".join(lines) + "\n"
