"""Writes rounds as llama.cpp's server would have logged them."""

from logged_rounds import Logged
from written import json_lines, lines


def llama_cpp_timings(log, folder):
    answers = [{"timings": _timings(log, of)} for of in log.requests]
    return json_lines(folder / "timings.jsonl", answers)


def _timings(log, accepted):
    return {
        "prompt_n": 10,
        "prompt_ms": 5.0,
        "predicted_n": sum(accepted) + len(accepted),
        "predicted_ms": 1000 * log.round_seconds * len(accepted),
        "draft_n": log.K * len(accepted),
        "draft_n_accepted": sum(accepted),
    }


def llama_cpp_log(log, folder):
    requests = enumerate(log.requests)
    return lines(folder / "llama.log", (line for each in requests for line in _request(log, *each)))


def _request(log, task, accepted):
    slot = f"0.16.519.187 I slot print_timing: id  0 | task {task} | "
    of = Logged([accepted], [log.round_seconds] * len(accepted), log.K)
    ratio, taken = sum(accepted) / of.drafted, 1000 * sum(of.seconds)
    yield f"{slot}prompt eval time =     5.00 ms /    10 tokens (    0.50 ms per token)"
    yield (
        f"{slot}       eval time = {taken:10.2f} ms / {of.tokens:5d} tokens (    8.88 ms per token,"
        "   112.66 tokens per second)"
    )
    yield (
        f"{slot}draft acceptance = {ratio:.5f} ({sum(accepted):5d} accepted / {of.drafted:5d} "
        f"generated), mean acceptance length = {of.tau:5.2f}, "
        f"acceptance rate per position = ({of.rates})"
    )
