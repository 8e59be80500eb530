"""Writes rounds as vLLM would have logged them."""

from written import json_lines, lines


def vllm_metrics(log, folder):
    """Two scrapes, the first taken after as many rounds as there are in half of them."""
    return [
        path
        for factor, name in ((0.5, "t0.prom"), (1.5, "t60.prom"))
        for path in lines(folder / name, _scrape(log, factor))
    ]


def _scrape(log, factor):
    labels, counted = 'engine="0",model_name="m"', factor * log.rounds
    values = {
        "spec_decode_num_drafts_total": counted,
        "spec_decode_num_draft_tokens_total": factor * log.drafted,
        "spec_decode_num_accepted_tokens_total": factor * sum(log.accepted),
        "inter_token_latency_seconds_sum": factor * sum(log.seconds),
        "inter_token_latency_seconds_count": counted,
        "num_requests_running": log.batch,
    }
    yield from (f"vllm:{name}{{{labels}}} {float(value)}" for name, value in values.items())
    for j, share in enumerate(log.positions):
        name = "vllm:spec_decode_num_accepted_tokens_per_pos_total"
        yield f'{name}{{{labels},position="{j}"}} {share * counted}'


def vllm_server_log(log, folder):
    return lines(folder / "server.log", _intervals(log))


def _intervals(log):
    process = "(APIServer pid=8) INFO 09-25 22:27:16"
    for each in log.intervals(200):
        yield (
            f"{process} [loggers.py:315] Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg "
            f"generation throughput: {each.tokens:.1f} tokens/s, Running: {log.batch} reqs, "
            "Waiting: 0 reqs, GPU KV cache usage: 1.0%, Prefix cache hit rate: 0.0%"
        )
        accepted = sum(each.accepted)
        yield (
            f"{process} [metrics.py:120] SpecDecoding metrics: Mean acceptance length: "
            f"{each.tau:.2f}, Accepted throughput: {accepted / each.duration:.2f} tokens/s, "
            f"Drafted throughput: {each.drafted / each.duration:.2f} tokens/s, "
            f"Accepted: {accepted} tokens, Drafted: {each.drafted} tokens, Per-position acceptance "
            f"rate: {each.rates}, Avg Draft acceptance rate: {100 * accepted / each.drafted:.1f}%"
        )


def vllm_bench_serve(log, folder):
    seconds = iter(log.seconds)
    itls = [[next(seconds) for _ in request] for request in log.requests]
    record = {
        "duration": log.duration,
        "completed": len(itls),
        "failed": 0,
        "input_lens": [10] * len(itls),
        "output_lens": [1 + sum(request) + len(request) for request in log.requests],
        "ttfts": [0.0] * len(itls),
        "itls": itls,
        "spec_decode_num_drafts": log.rounds,
        "spec_decode_draft_tokens": log.drafted,
        "spec_decode_accepted_tokens": sum(log.accepted),
        "spec_decode_acceptance_length": log.tau,
        "spec_decode_per_position_acceptance_rates": log.positions,
    }
    return json_lines(folder / "bench.json", [record])


def vllm_response_metrics(log, folder):
    return json_lines(folder / "answers.jsonl", [_answer(log, of) for of in log.requests])


def _answer(log, accepted):
    n = len(accepted)
    speculation = {
        "num_spec_steps": n,
        "num_draft_tokens": log.K * n,
        "num_spec_tokens": log.K,
        "per_step_accepted": accepted,
        "per_step_drafted": [log.K] * n,
    }
    seconds = log.round_seconds * n
    return {
        "usage": {"prompt_tokens": 10, "completion_tokens": sum(accepted) + n},
        "metrics": {"generation_time_ms": 1000 * seconds, "speculative_decoding": speculation},
    }
