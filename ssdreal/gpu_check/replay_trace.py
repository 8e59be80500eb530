"""Records what a verify and a draft step consist of, kernel by kernel, with torch's profiler.

`python -m ssdreal.gpu_check.replay_trace DEVICE FOLDER OPTION=VALUE ...` loads the pair of a run,
captures its passes as that run would, and writes for each model a Chrome trace of a few commands
and a table of kernels, as soon as that model is done.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ssdreal.channel.message_parts import Block, Line, Stamp
from ssdreal.channel.messages import Begin, Prefill, Speculate, Verify
from ssdreal.command.config import register
from ssdreal.gpu_check.compiles import planned
from ssdreal.gpu_check.decoding import options
from ssdsim.lengths.base import Stopping
from ssdsim.system.atomic_files import write_text

STEPS = 10
"""That are recorded; as many come before, to warm up."""

Commands = Callable[[], None]
"""Does so many steps."""


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
    for role, method, steps in (
        ("target", "autoregressive", verifies),
        ("draft", "speculative", speculates),
    ):
        run = planned(options(method, words))
        server = _server(role, device, run)
        prompt = tuple(at % server.model.vocabulary for at in range(run.longest))
        line = Line(0, 0, 0, prompt)
        server.prefill(Prefill(Stamp(1, 2), (line,)))
        _record(steps(server, prompt, run.setup), device, folder, role)
        del server  # before the other one is loaded


def verifies(server: Any, text: tuple[int, ...], _: Any) -> Commands:
    """Return what appends tokens of the target's own, one a step."""

    def work() -> None:
        nonlocal text
        for _ in range(STEPS):
            line = Line(0, 0, 0, text)
            ((_, token),) = server.verify(Verify(Stamp(1, 3), (line,), (Block(()),))).outcomes
            text = (*text, token)

    return work


def speculates(server: Any, text: tuple[int, ...], setup: Any) -> Commands:
    """Return what drafts chains of K tokens behind the same text, one a step."""

    def work() -> None:
        for _ in range(STEPS):
            stopping = Stopping(setup.lookahead)
            server.speculate(Speculate(Stamp(1, 3), (Line(0, 0, 0, text),), stopping))

    return work


def _server(role: str, device: str, run: Any) -> Any:
    """Load one model, and have its passes captured."""
    from ssdreal.static.draft_server import StaticDraftServer
    from ssdreal.static.server import CAPTURES
    from ssdreal.static.target_server import StaticSelfServer
    from ssdreal.workers.loading import load

    kind: Any = {"target": StaticSelfServer, "draft": StaticDraftServer}[role]
    name = getattr(run.pair, role)
    capturing = CAPTURES["eager" if device == "cpu" else "graph"]
    server = kind(load(name, run.dtype, device, run.pair.target), capturing)
    setup = run.setup
    branches, candidates = setup.branches()
    server.begin(
        Begin(
            Stamp(1, 1),
            slots=setup.slots,
            width=setup.pass_width,
            capacity=setup.capacity(role, run.longest),
            branches=branches,
            lookahead=setup.drafted,
            candidates=candidates,
            decoding=setup.decoding,
            seed=setup.seed,
        )
    )
    return server


def _record(work: Commands, device: str, folder: Path, role: str) -> None:
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
