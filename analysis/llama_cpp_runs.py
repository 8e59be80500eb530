"""Measures a llama.cpp server for analysis/llama_cpp.py: service times, and the runs to predict.

`python analysis/llama_cpp_runs.py` writes analysis/llama_cpp.json in 15 minutes on two cores that
have nothing else to do. It needs the server (`make llama`). With a number of threads it measures
those runs alone, and keeps the others.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ssdreal.executor.prompt_files import read_prompts, tokenized
from ssdreal.llama_cpp.completion import Completion
from ssdreal.llama_cpp.gguf_draft import write_gguf
from ssdreal.llama_cpp.service_times import decode, measure
from ssdreal.llama_cpp.settings import DraftModel, PromptLookup, Settings
from ssdreal.models.gguf_weights import gguf
from ssdsim.system.atomic_files import write_text

FILE = Path(__file__).with_name("llama_cpp.json")
TOKENS, PROMPTS, NGRAM, MOST = 129, 8, 3, 8
CURVES = {
    "half": [0.5] * MOST,
    "seven tenths": [0.7] * MOST,
    "nine tenths": [0.9] * MOST,
    "falling": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
    "rising": [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
}
"""P(a drafted token is accepted | all before it are), by its position."""


@dataclass(frozen=True)
class Case:
    """One configuration: threads, forced acceptances (None: lookups, greedy) and lookahead."""

    threads: int
    curve: str | None
    lookahead: int


def cases() -> Iterator[Case]:
    """Yield all of them: K from 1 to 8 under every curve, a part of them on two threads."""
    for at, curve in enumerate(CURVES):
        yield from (Case(1, curve, K) for K in range(1, MOST + 1) if (K + at) % 2 == 0)
        yield from (Case(2, curve, K) for K in range(1, MOST + 1) if (K + at) % 4 == 1)
    yield from (Case(threads, None, K) for threads, K in product((1, 2), (3, 5, 8)))


def rates(curve: str, lookahead: int) -> list[float]:
    """Return P(the first j + 1 drafted tokens are accepted), j = 0..K-1."""
    return [prod(CURVES[curve][: at + 1]) for at in range(lookahead)]


def settings(case: Case, target: Path, draft: Path) -> Settings:
    """Return how the server is started."""
    plain = Settings(target, threads=case.threads)
    if case.curve is None:
        return replace(plain, drafter=PromptLookup(NGRAM, case.lookahead))
    forced = rates(case.curve, case.lookahead)
    return replace(plain, drafter=DraftModel(draft, case.lookahead), forced=forced)


def counted(completions: Sequence[Completion]) -> dict[str, Any]:
    """Return what some completions come to."""
    lengths = [(one.drafted, one.accepted) for c in completions for one in c.logged]
    return {
        "tokens": sum(len(c.tokens) - 1 for c in completions),
        "rounds": sum(c.rounds for c in completions),
        "seconds": sum(c.seconds for c in completions),
        "lengths": sorted({(*pair, lengths.count(pair)) for pair in lengths}),
    }


def kept(threads: Sequence[int]) -> dict[str, Any]:
    """Return what is known of other numbers of threads."""
    if not FILE.exists():
        return {"times": {}, "runs": []}
    found = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        "times": found["times"],
        "runs": [run for run in found["runs"] if run["threads"] not in threads],
    }


def main(threads: Sequence[int] = (1, 2), tokens: int = TOKENS, count: int = PROMPTS) -> None:
    """Measure on so many threads, one number after the other; service times before all else."""
    target, tasks = gguf(), tokenized(read_prompts(None, count), "smollm2_135m")
    prompts = [[*map(int, task.tokens)] for task in tasks]
    with TemporaryDirectory() as folder:
        draft = Path(folder, "draft.gguf")
        write_gguf("smollm2_135m_draft", target, draft)
        texts = decode(Settings(target), prompts, tokens)
        outputs = [text.tokens for text in texts]
        found = {"prompts": prompts, "outputs": outputs, **kept(threads)}
        for number in threads:
            found["times"] |= service_times(number, target, draft, prompts, tokens)
            for case in (case for case in cases() if case.threads == number):
                asked = settings(case, target, draft)
                seed = 1000 * (1 + len(found["runs"]))
                done = decode(asked, prompts, tokens, seed)
                found["runs"].append({**asdict(case), **counted(done)})
                sys.stdout.write(f"{found['runs'][-1]}\n")
                write_text(FILE, json.dumps(found) + "\n")  # nothing measured is lost


def service_times(
    threads: int, target: Path, draft: Path, prompts: list[list[int]], tokens: int
) -> dict[str, Any]:
    """Return them for drafts and for lookups, on so many threads."""
    drafters = {"model": DraftModel(draft, MOST), "lookup": PromptLookup(NGRAM, MOST)}
    return {
        f"{name}, {threads}": asdict(
            measure(Settings(target, drafter, threads=threads), prompts, tokens)
        )
        for name, drafter in drafters.items()
    }


if __name__ == "__main__":
    main([*map(int, sys.argv[1:])] or (1, 2))
