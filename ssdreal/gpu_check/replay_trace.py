"""Records what a verify and a draft step consist of, kernel by kernel, with torch's profiler.

`python -m ssdreal.gpu_check.replay_trace DEVICE FOLDER OPTION=VALUE ...` loads the pair of a run,
captures its passes as that run would, and writes for each model a Chrome trace of a few commands
and a table of kernels, as soon as that model is done.
"""

import json
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from ssdreal.channel.message_parts import Block, Line, Stamp
from ssdreal.channel.messages import Begin, Prefill, Speculate, Verify
from ssdreal.command.config import register
from ssdreal.executor.setup import Setup
from ssdreal.gpu_check.compiles import Planned, planned
from ssdreal.gpu_check.decoding import options
from ssdreal.models.captured_work import Work
from ssdreal.models.catalog import shared_vocabulary
from ssdreal.places.places import Role
from ssdsim.lengths.base import Stopping
from ssdsim.system.atomic_files import write_text

STEPS = 10
"""That are recorded; as many come before, to warm up."""

Ask = Callable[..., Any]
"""From a kind of command, and what it says, to the answer."""


def record(device: str, folder: Path, words: list[str]) -> None:
    """Record the target's verify of no drafted token, and the draft's chains.

    Parameters
    ----------
    device
        As torch names it.
    folder
        Where traces and tables go.
    words
        Options as `python -m ssdreal` takes them.

    """
    register()
    folder.mkdir(parents=True, exist_ok=True)
    for role, (method, steps) in RECORDED.items():
        run = planned(options(method, words))
        server = _loaded(role, device, run)
        ask = _asking(server)
        ask(Begin, **_shape(role, run))
        text = tuple(at % server.model.vocabulary for at in range(run.longest))
        ask(Prefill, lines=(Line(0, 0, 0, text),), prompts=(len(text),))
        _record(steps(ask, text, run.setup), device, folder, role)
        del ask, server  # before the other one is loaded


def verifies(ask: Ask, text: tuple[int, ...], _: Setup) -> Work:
    """Return what appends tokens of the target's own, one a step."""

    def work() -> None:
        nonlocal text
        for _ in range(STEPS):
            found = ask(Verify, lines=(Line(0, 0, 0, text),), blocks=(Block(()),))
            text = (*text, found.outcomes[0][1])

    return work


def speculates(ask: Ask, text: tuple[int, ...], setup: Setup) -> Work:
    """Return what drafts chains of K tokens behind the same text, one a step."""

    def work() -> None:
        for _ in range(STEPS):
            ask(Speculate, lines=(Line(0, 0, 0, text),), stopping=Stopping(setup.lookahead))

    return work


RECORDED: dict[Role, tuple[str, Callable[[Ask, tuple[int, ...], Setup], Work]]] = {
    "target": ("autoregressive", verifies),
    "draft": ("speculative", speculates),
}
"""By role: the method whose passes are captured, and what is done with them."""


def _asking(server: Any) -> Ask:
    """Return what has a server carry out a command, and returns its answer."""
    numbers = count(1)

    def ask(kind: Any, **fields: Any) -> Any:
        return server.answer(kind(Stamp(1, next(numbers)), **fields)).value

    return ask


def _loaded(role: str, device: str, run: Planned) -> Any:
    from ssdreal.static.draft_server import StaticDraftServer
    from ssdreal.static.server import CAPTURES
    from ssdreal.static.target_server import StaticSelfServer
    from ssdreal.workers.loading import load

    kind: Any = {"target": StaticSelfServer, "draft": StaticDraftServer}[role]
    name, vocabulary = getattr(run.pair, role), shared_vocabulary(*run.pair.models)
    capturing = CAPTURES["eager" if device == "cpu" else "graph"]
    model = load(name, run.dtype, device, run.pair.target, vocabulary=vocabulary)
    return kind(model, capturing)


def _shape(role: Role, run: Planned) -> dict[str, Any]:
    """Return what a worker gets ready for in such a run."""
    setup = run.setup
    branches, candidates = setup.branches()
    return {
        "slots": setup.slots,
        "width": setup.pass_width,
        "capacity": setup.capacity(role, run.longest),
        "branches": branches,
        "lookahead": setup.drafted,
        "candidates": candidates,
        "decoding": setup.decoding,
        "seed": setup.seed,
    }


def _record(work: Work, device: str, folder: Path, role: str) -> None:
    from torch.profiler import ProfilerActivity, profile

    work()
    kinds = [ProfilerActivity.CPU]
    if device != "cpu":
        kinds.append(ProfilerActivity.CUDA)
    with profile(activities=kinds) as found:
        work()
    found.export_chrome_trace(str(folder / f"{role}.json.gz"))
    write_text(folder / f"{role}_kernels.json", json.dumps(_kernels(found), indent=1) + "\n")


def _kernels(found: Any) -> list[dict[str, Any]]:
    """Return calls and microseconds a step of everything that ran, the longest first."""
    rows = [
        {
            "name": one.key,
            "calls_a_step": one.count / STEPS,
            "device_us_a_step": one.self_device_time_total / STEPS,
            "host_us_a_step": one.self_cpu_time_total / STEPS,
        }
        for one in found.key_averages()
    ]
    return sorted(rows, key=lambda row: (row["device_us_a_step"], row["host_us_a_step"]))[::-1]


def main(device: str, folder: str, *words: str) -> None:
    """Record both models."""
    record(device, Path(folder), list(words))


if __name__ == "__main__":
    main(*sys.argv[1:])
