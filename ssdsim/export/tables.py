"""The neutral tables of other tools: rounds of a run, and costs of a machine."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError, require
from ssdsim.latency.machine import Machine

if TYPE_CHECKING:
    from ssdsim.run.trace import Run

BATCHES = (1, 2, 4, 8, 16, 32, 64)
LOOKAHEADS = (0, 1, 2, 3, 5, 7)


def rounds_csv(run: "Run") -> str:
    """Return `commits,category` of every round: drafts accepted, and the kind of its prompt.

    Raises
    ------
    ConfigError
        The run has no rounds with a draft.

    """
    kinds = dict(zip(run.sequences["seq"], run.sequences["kind"], strict=True))
    drafted = run.rounds[run.rounds["drafted"] > 0]
    right = "needs a run that drafted"
    require(len(drafted) > 0, "RUN", str(run.info.get("method")), right)
    most = int(drafted["drafted"].max())
    head = ["commits", "category", *(f"a{j}" for j in range(most))]
    rows = (
        [k, kinds[seq], *[""] * most]
        for seq, k in zip(drafted["seq"], drafted["accepted"], strict=True)
    )
    return _csv([head, *rows])


def costs_csv(setup: Setup) -> str:
    """Return `batch_size,num_draft_tokens,step_seconds`: drafting and verifying in turn."""
    head = ["batch_size", "num_draft_tokens", "step_seconds"]
    return _csv([head, *_costs(setup)])


def _costs(setup: Setup) -> Iterator[list[object]]:
    context = setup.workload.longest_prompt + setup.workload.longest_output // 2
    for b in BATCHES:
        for K in LOOKAHEADS:
            try:
                yield [b, K, f"{_seconds(setup.machine, b, K, context):.6g}"]
            except ConfigError:
                continue  # the machine's times end before


def _seconds(machine: Machine, batch: int, lookahead: int, context: int) -> float:
    step = machine.drafting_colocated.seconds("step", batch, batch, context)
    verify = machine.target.seconds("verify", batch, batch * (lookahead + 1), context)
    return lookahead * step + verify


def _csv(rows: Iterable[Iterable[object]]) -> str:
    return "\n".join(",".join(map(str, row)) for row in rows)
