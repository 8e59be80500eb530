"""Makes sequences of a real run's prompts, and lets them come in time, by the wall clock."""

from collections.abc import Sequence
from math import inf

from simpy import Environment

from ssdreal.executor.workload import Task
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session
from ssdsim.engine.dispatcher import Dispatcher
from ssdsim.routers.round_robin import RoundRobin
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.sampling.streams import stream
from ssdsim.workloads.base import Request, Workload


def rows_of(tasks: Sequence[Task], requests: Sequence[Request]) -> list[Row]:
    """Return a sequence for every prompt, that comes when its request does and is as long."""
    return [
        Row(
            SequenceRecord(
                seq=seq,
                prompt=task.name,
                kind=task.kind,
                prompt_tokens=len(task.tokens),
                output=None,
                tokens=0,
                arrival=request.arrival,
            ),
            left=request.output_tokens,
            context=len(task.tokens),
            ready=0.0,
            step=request.step,
        )
        for seq, (task, request) in enumerate(zip(tasks, requests, strict=False))
    ]


def arriving(
    env: Environment, session: Session, rows: Sequence[Row], workload: Workload
) -> Dispatcher:
    """Return what lets every row come to the session when its time has come."""
    only = RoundRobin().start(1, stream(0, "router"))
    most = workload.most_at_once or inf
    return Dispatcher(env, [session], only, rows, most, workload.thinking)
