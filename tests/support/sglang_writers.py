"""Writes rounds as SGLang would have logged them."""

from collections import Counter

from written import json_lines, lines


def sglang_log(log, folder):
    """Lines of as many rounds each, as its every-so-many steps are."""
    intervals = max(1, log.rounds // (40 * log.batch))
    return lines(folder / "sglang.log", map(_decode, log.intervals(-(-log.rounds // intervals))))


def _decode(each):
    return (
        f"[2026-09-25 22:27:16 TP0] Decode batch, #running-req: {each.batch}, #full token: 960, "
        f"full token usage: 0.05, accept len: {each.tau:.2f}, accept rate: "
        f"{each.tau / (each.K + 1):.2f}, cuda graph: True, gen throughput (token/s): "
        f"{each.tokens / each.duration:.2f}, #queue-req: 0"
    )


def sglang_meta_info(log, folder):
    answers = [{"meta_info": _meta(of, log.K)} for of in log.requests]
    return json_lines(folder / "meta.jsonl", answers)


def _meta(accepted, lookahead):
    counts = Counter(accepted)
    return {
        "prompt_tokens": 10,
        "completion_tokens": sum(accepted) + len(accepted),
        "spec_verify_ct": len(accepted),
        "spec_accept_token_num": sum(accepted),
        "spec_draft_token_num": lookahead * len(accepted),
        "spec_accept_histogram": [counts[k] for k in range(lookahead + 1)],
    }


def sglang_metrics(log, folder):
    requests = len(log.requests)
    values = {
        "num_running_reqs": log.batch,
        "spec_accept_length": log.tau,
        "spec_accept_rate": (log.tau - 1) / log.K,
        "generation_tokens_total": log.tokens + requests,
        "num_requests_total": requests,
        "spec_verify_calls_total": log.rounds,
        "inter_token_latency_seconds_sum": sum(log.seconds),
        "inter_token_latency_seconds_count": log.tokens,
    }
    samples = (f'sglang:{name}{{model_name="m"}} {value}' for name, value in values.items())
    return lines(folder / "sglang.prom", samples)
