"""Writes a simulated run as each engine or tool would have logged it, to be imported again."""

from llama_cpp_writers import llama_cpp_log, llama_cpp_timings
from sglang_writers import sglang_log, sglang_meta_info, sglang_metrics
from vllm_writers import vllm_bench_serve, vllm_metrics, vllm_response_metrics, vllm_server_log
from written import json_lines, lines


def trtllm_iter_stats(log, folder):
    """As one request after the other, an iteration a round."""
    each = enumerate(zip(log.accepted, log.seconds, strict=True))
    records = [_iteration(at, log.K, k, seconds) for at, (k, seconds) in each]
    return json_lines(folder / "iterations.jsonl", records)


def _iteration(at, lookahead, accepted, seconds):
    speculation = {
        "numDraftTokens": lookahead,
        "numAcceptedTokens": accepted,
        "numRequestsWithDraftTokens": 1,
        "acceptanceLength": accepted + 1,
        "iterLatencyMS": 100 * seconds,
    }
    return {
        "iter": at,
        "iterLatencyMS": 1000 * seconds,
        "numActiveRequests": 1,
        "inflightBatchingStats": {"numGenRequests": 1, "numCtxTokens": 0},
        "specDecodingStats": speculation,
    }


def ssd_engine_log(log, folder):
    """A run of the engine without its cache: plain speculation."""
    said = [
        f"[metrics] Avg Tokens per step (incl recovery): {log.tau:.2f}",
        f"[metrics] Avg target time per full step (ms): {1000 * log.round_seconds:.2f}",
        f"Model: m, Mode: Speculative(k={log.K}) + JIT, Total: 1tok, Time: 1s",
    ]
    return lines(folder / "ssd.log", said)


def spec_bench(log, folder):
    answers = [{"choices": [_turn(log, of)]} for of in log.requests]
    return json_lines(folder / "spec_bench.jsonl", answers)


def _turn(log, accepted):
    return {
        "turns": ["..."],
        "decoding_steps": [len(accepted)],
        "new_tokens": [sum(accepted) + len(accepted)],
        "wall_time": [log.round_seconds * len(accepted)],
        "accept_lengths": [k + 1 for k in accepted],
    }


def accepted_lengths(log, folder):
    rows = [{"accepted": of, "drafted": [log.K] * len(of)} for of in log.requests]
    return json_lines(folder / "lengths.jsonl", rows)


def trace_rounds(log, folder):
    head = ",".join(["commits", "category", *(f"a{j}" for j in range(log.K))])
    rows = [f"{k},chat" + ",0.5" * log.K for k in log.accepted]
    return lines(folder / "rounds.csv", [head, *rows])


WRITERS = {
    each.__name__: each
    for each in (
        vllm_metrics,
        vllm_server_log,
        vllm_bench_serve,
        vllm_response_metrics,
        sglang_log,
        sglang_meta_info,
        sglang_metrics,
        trtllm_iter_stats,
        llama_cpp_timings,
        llama_cpp_log,
        ssd_engine_log,
        spec_bench,
        accepted_lengths,
        trace_rounds,
    )
}
TELL_NOTHING_OF_ROUNDS = {"measured_cost", "prompt_logprobs"}
WITHOUT_TIMES = {"sglang_meta_info", "accepted_lengths", "trace_rounds"}


def prompt_logprobs(texts, path):
    """Write the draft's scores of texts: (prompt ids, output ids, ranks from 1) of each."""
    return json_lines(path, (_scores(*text) for text in texts))[0]


def _scores(prompt, output, ranks):
    scored = [
        {str(token): {"logprob": -0.1 * rank, "rank": int(rank)}}
        for token, rank in zip(output, ranks, strict=True)
    ]
    choice = {
        "prompt_logprobs": [None] * len(prompt) + scored,
        "prompt_token_ids": [*prompt, *output],
    }
    return {"choices": [choice], "output_from": len(prompt)}
