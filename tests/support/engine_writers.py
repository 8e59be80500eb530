"""Writes a simulated run as each engine would have logged it, to be imported again."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Logged:
    """A run of ordinary speculation with `batch` slots and K drafts a round, all slots busy."""

    run: object
    K: int
    batch: int = 1

    @cached_property
    def rounds(self):
        return self.run.rounds.sort_values(["seq", "round"])

    @cached_property
    def requests(self):
        """What each request accepted, round by round."""
        return [of["accepted"].tolist() for _, of in self.rounds.groupby("seq")]

    @property
    def accepted(self):
        return [k for request in self.requests for k in request]

    @property
    def seconds(self):
        """Of every round."""
        return (self.rounds["end"] - self.rounds["start"]).tolist()

    @property
    def round_seconds(self):
        return sum(self.seconds) / len(self.seconds)

    @property
    def positions(self):
        n = len(self.accepted)
        return [sum(k >= j for k in self.accepted) / n for j in range(1, self.K + 1)]

    @property
    def tau(self):
        return 1 + sum(self.accepted) / len(self.accepted)


def vllm_metrics(log, folder):
    def scrape(factor):
        n, names = factor * len(log.accepted), {"engine": 0, "model_name": "m"}
        labels = ",".join(f'{name}="{value}"' for name, value in names.items())
        counters = {
            "spec_decode_num_drafts_total": n,
            "spec_decode_num_draft_tokens_total": n * log.K,
            "spec_decode_num_accepted_tokens_total": factor * sum(log.accepted),
            "inter_token_latency_seconds_sum": factor * sum(log.seconds),
            "inter_token_latency_seconds_count": n,
            "num_requests_running": log.batch,
        }
        lines = [f"vllm:{name}{{{labels}}} {float(value)}" for name, value in counters.items()]
        for j, p in enumerate(log.positions):
            name = "vllm:spec_decode_num_accepted_tokens_per_pos_total"
            lines.append(f'{name}{{{labels},position="{j}"}} {p * n}')
        return "\n".join(lines) + "\n"

    paths = [folder / "t0.prom", folder / "t60.prom"]
    for factor, path in zip((0.5, 1.5), paths, strict=True):
        path.write_text(scrape(factor))
    return paths


def vllm_server_log(log, folder):
    lines, every = [], 200
    for at in range(0, len(log.accepted), every):
        part = Logged(log.run, log.K, log.batch)
        accepted, seconds = log.accepted[at : at + every], log.seconds[at : at + every]
        n, taken = len(accepted), sum(seconds) / log.batch
        rates = ", ".join(f"{sum(k >= j for k in accepted) / n:.3f}" for j in range(1, part.K + 1))
        lines += [
            (
                f"(APIServer pid=8) INFO 09-25 22:27:16 [loggers.py:315] Engine 000: Avg prompt "
                f"throughput: 0.0 tokens/s, Avg generation throughput: {sum(accepted) + n:.1f} "
                f"tokens/s, Running: {log.batch} reqs, Waiting: 0 reqs, GPU KV cache usage: 1.0%, "
                "Prefix cache hit rate: 0.0%"
            ),
            (
                f"(APIServer pid=8) INFO 09-25 22:27:16 [metrics.py:120] SpecDecoding metrics: "
                f"Mean acceptance length: {1 + sum(accepted) / n:.2f}, Accepted throughput: "
                f"{sum(accepted) / taken:.2f} tokens/s, Drafted throughput: "
                f"{n * log.K / taken:.2f} tokens/s, Accepted: {sum(accepted)} "
                f"tokens, Drafted: {n * log.K} tokens, "
                f"Per-position acceptance rate: {rates}, Avg Draft acceptance rate: "
                f"{100 * sum(accepted) / n / log.K:.1f}%"
            ),
        ]
    (folder / "server.log").write_text("\n".join(lines) + "\n")
    return [folder / "server.log"]


def vllm_bench_serve(log, folder):
    seconds = iter(log.seconds)
    itls = [[next(seconds) for _ in request] for request in log.requests]
    record = {
        "duration": sum(log.seconds) / log.batch,
        "completed": len(itls),
        "failed": 0,
        "input_lens": [10] * len(itls),
        "output_lens": [1 + sum(request) + len(request) for request in log.requests],
        "ttfts": [0.0] * len(itls),
        "itls": itls,
        "spec_decode_num_drafts": len(log.accepted),
        "spec_decode_draft_tokens": len(log.accepted) * log.K,
        "spec_decode_accepted_tokens": sum(log.accepted),
        "spec_decode_acceptance_length": log.tau,
        "spec_decode_per_position_acceptance_rates": log.positions,
    }
    return _json(folder / "bench.json", [record])


def vllm_response_metrics(log, folder):
    return _json(
        folder / "answers.jsonl",
        [
            {
                "usage": {"prompt_tokens": 10, "completion_tokens": sum(of) + len(of)},
                "metrics": {
                    "generation_time_ms": 1000 * log.round_seconds * len(of),
                    "speculative_decoding": {
                        "num_spec_steps": len(of),
                        "num_draft_tokens": log.K * len(of),
                        "num_spec_tokens": log.K,
                        "per_step_accepted": of,
                        "per_step_drafted": [log.K] * len(of),
                    },
                },
            }
            for of in log.requests
        ],
    )


def sglang_log(log, folder):
    lines, every = [], 40 * log.batch
    for at in range(0, len(log.accepted), every):
        accepted, seconds = log.accepted[at : at + every], log.seconds[at : at + every]
        tokens, taken = sum(accepted) + len(accepted), sum(seconds) / log.batch
        length = tokens / len(accepted)
        lines.append(
            f"[2026-09-25 22:27:16 TP0] Decode batch, #running-req: {log.batch}, #full token: 960, "
            f"full token usage: 0.05, accept len: {length:.2f}, accept rate: "
            f"{length / (log.K + 1):.2f}, cuda graph: True, gen throughput (token/s): "
            f"{tokens / taken:.2f}, #queue-req: 0"
        )
    (folder / "sglang.log").write_text("\n".join(lines) + "\n")
    return [folder / "sglang.log"]


def sglang_meta_info(log, folder):
    return _json(folder / "meta.jsonl", [{"meta_info": _meta(of, log.K)} for of in log.requests])


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
    tokens, requests = sum(log.accepted) + len(log.accepted), len(log.requests)
    values = {
        "num_running_reqs": log.batch,
        "spec_accept_length": log.tau,
        "spec_accept_rate": (log.tau - 1) / log.K,
        "generation_tokens_total": tokens + requests,
        "num_requests_total": requests,
        "spec_verify_calls_total": len(log.accepted),
        "inter_token_latency_seconds_sum": sum(log.seconds),
        "inter_token_latency_seconds_count": tokens,
    }
    lines = [f'sglang:{name}{{model_name="m"}} {value}' for name, value in values.items()]
    (folder / "sglang.prom").write_text("\n".join(lines) + "\n")
    return [folder / "sglang.prom"]


def trtllm_iter_stats(log, folder):
    return _json(
        folder / "iterations.jsonl",
        [
            {
                "iter": at,
                "iterLatencyMS": 1000 * seconds,
                "numActiveRequests": 1,
                "inflightBatchingStats": {"numGenRequests": 1, "numCtxTokens": 0},
                "specDecodingStats": {
                    "numDraftTokens": log.K,
                    "numAcceptedTokens": k,
                    "numRequestsWithDraftTokens": 1,
                    "acceptanceLength": k + 1,
                    "iterLatencyMS": 100 * seconds,
                },
            }
            for at, (k, seconds) in enumerate(zip(log.accepted, log.seconds, strict=True))
        ],
    )


def llama_cpp_timings(log, folder):
    return _json(
        folder / "timings.jsonl",
        [
            {
                "timings": {
                    "prompt_n": 10,
                    "prompt_ms": 5.0,
                    "predicted_n": sum(of) + len(of),
                    "predicted_ms": 1000 * log.round_seconds * len(of),
                    "draft_n": log.K * len(of),
                    "draft_n_accepted": sum(of),
                }
            }
            for of in log.requests
        ],
    )


def llama_cpp_log(log, folder):
    lines = []
    for task, of in enumerate(log.requests):
        n, accepted = len(of), sum(of)
        rates = ", ".join(f"{sum(k >= j for k in of) / n:.3f}" for j in range(1, log.K + 1))
        slot = f"0.16.519.187 I slot print_timing: id  0 | task {task} | "
        lines += [
            f"{slot}prompt eval time =     5.00 ms /    10 tokens (    0.50 ms per token)",
            (
                f"{slot}       eval time = {1000 * log.round_seconds * n:10.2f} ms / "
                f"{accepted + n:5d} tokens (    8.88 ms per token,   112.66 tokens per second)"
            ),
            (
                f"{slot}draft acceptance = {accepted / n / log.K:.5f} ({accepted:5d} accepted / "
                f"{n * log.K:5d} generated), mean acceptance length = {1 + accepted / n:5.2f}, "
                f"acceptance rate per position = ({rates})"
            ),
        ]
    (folder / "llama.log").write_text("\n".join(lines) + "\n")
    return [folder / "llama.log"]


def ssd_engine_log(log, folder):
    """A run of the engine without its cache: plain speculation."""
    lines = [
        f"[metrics] Avg Tokens per step (incl recovery): {log.tau:.2f}",
        f"[metrics] Avg target time per full step (ms): {1000 * log.round_seconds:.2f}",
        f"Model: m, Mode: Speculative(k={log.K}) + JIT, Total: 1tok, Time: 1s",
    ]
    (folder / "ssd.log").write_text("\n".join(lines) + "\n")
    return [folder / "ssd.log"]


def spec_bench(log, folder):
    return _json(
        folder / "spec_bench.jsonl",
        [
            {
                "choices": [
                    {
                        "turns": ["..."],
                        "decoding_steps": [len(of)],
                        "new_tokens": [sum(of) + len(of)],
                        "wall_time": [log.round_seconds * len(of)],
                        "accept_lengths": [k + 1 for k in of],
                    }
                ]
            }
            for of in log.requests
        ],
    )


def accepted_lengths(log, folder):
    rows = [{"accepted": of, "drafted": [log.K] * len(of)} for of in log.requests]
    return _json(folder / "lengths.jsonl", rows)


def trace_rounds(log, folder):
    head = ",".join(["commits", "category", *(f"a{j}" for j in range(log.K))])
    rows = [f"{k},chat" + ",0.5" * log.K for k in log.accepted]
    (folder / "rounds.csv").write_text("\n".join([head, *rows]) + "\n")
    return [folder / "rounds.csv"]


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


def _json(path, records):
    path.write_text("\n".join(map(json.dumps, records)) + "\n")
    return [path]


def prompt_logprobs(texts, path):
    """Write the draft's scores of texts: (prompt ids, output ids, ranks from 1) of each."""
    with path.open("w") as file:
        for prompt, output, ranks in texts:
            listed = [None] * len(prompt)
            for token, rank in zip(output, ranks, strict=True):
                entry = {str(token): {"logprob": -0.1 * rank, "rank": int(rank)}}
                listed.append(entry)
            answer = {
                "choices": [
                    {"prompt_logprobs": listed, "prompt_token_ids": [*prompt, *output]},
                ],
                "output_from": len(prompt),
            }
            file.write(json.dumps(answer) + "\n")
    return path
