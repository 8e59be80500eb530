"""Lets the prompts of a real run come in the course of time, by the wall clock."""

from collections.abc import Sequence

from simpy import Environment

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session
from ssdsim.engine.dispatcher import Dispatcher
from ssdsim.routers.round_robin import RoundRobin
from ssdsim.sampling.streams import stream


def come_in_time(env: Environment, session: Session, rows: Sequence[Row]) -> None:
    """Let every row come to the session when its time has come."""
    only = RoundRobin().start(1, stream(0, "router"))
    Dispatcher(env, [session], only, rows).start()
