"""A pool of draft devices as a station: who waits for one, how long, and how busy they are."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scripted import machine
from served import requests_hold
from test_draft_pool import SHARED
from timelines_of_requests import Told
from variants import fits, methods

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.engine.simulation import Simulation, evaluate
from ssdsim.latency.constant import Constant
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.run.report import figures
from ssdsim.run.station import POOL
from ssdsim.serving.continuous import Continuous
from ssdsim.theory.queueing import shared_draft, shared_draft_wait
from ssdsim.workloads.base import Request
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.lengths import Geometric
from ssdsim.workloads.poisson import Poisson

POOLED = [one for one in methods() if fits(replace(SHARED, method=one, draft_pool=1))]
NAMES = ("arrivals_per_s", "waiting_mean", "running_mean", "utilization", "wait_mean")


def changes(run):
    state = run.state[run.state.replica == POOL]
    return state[["time", "waiting", "running"]].to_numpy().tolist()


def told(run, names=NAMES):
    return [run.metrics[f"draft_pool_{name}"] for name in names]


def test_three_targets_ask_one_draft_at_once():
    """A verify takes 3, a draft 1. Who is served last waits 2; the second round nobody waits."""
    run = simulate(replace(SHARED, workload=Closed(3, 0, 2), replicas=3, draft_pool=1))
    assert changes(run) == [
        *([0, 2, 1], [1, 1, 1], [2, 0, 1], [3, 0, 0]),
        *([4, 0, 1], [7, 0, 0]),  # the first target asks at 4, the next at 5 and 6
    ]
    # The last verify ends at 10; 2 + 1 seconds were waited by six pieces of one second.
    assert told(run) == pytest.approx([0.6, 0.3, 0.6, 0.6, 0.5])
    assert told(run, ["wait_p50", "wait_p99", "service_mean"]) == pytest.approx([0, 1.95, 1])


def test_two_devices_and_requests_that_come_in_time():
    """Three come at 0, 0 and 0.5; the third is drafted for when the first device is free, at 1."""
    requests = tuple(Request(at, 0, 1) for at in (0.0, 0.0, 0.5))
    three = replace(SHARED, workload=Told(3, requests), replicas=3, draft_pool=2)
    run = simulate(three)
    assert changes(run) == [[0, 0, 2], [0.5, 1, 2], [1, 0, 1], [2, 0, 0]]
    assert told(run) == pytest.approx([3 / 5, 0.5 / 5, 3 / 5, 3 / 10, 0.5 / 3])
    assert run.sequences.finish.tolist() == [4.0, 4.0, 5.0]
    # That the draft is waited for is no matter of the requests' own queue.
    assert run.metrics["waiting_mean"] == 0
    assert run.metrics["running_mean"] == pytest.approx((4 + 4 + 4.5) / 5)


def test_a_tree_is_a_piece_of_work_and_the_last_ones_are_in_vain():
    """A tree takes 4: the second target's waits for the first one's, beyond the end of the run."""
    draft = Constant(verify=0.0, step=1.0, tree=4.0)
    setup = replace(SHARED, method=Ssd(), machine=replace(SHARED.machine, draft=draft))
    run = simulate(replace(setup, workload=Closed(2, 0, 1), replicas=2, draft_pool=1))
    # Drafts 0-1 and 1-2, verifies 1-4 and 2-5, trees asked for at 1 and 2: 2-6 and 6-10.
    assert changes(run) == [[0, 1, 1]]  # as many wait and are done at 1 and 2, and at the end
    assert told(run) == pytest.approx([4 / 5, 5 / 5, 5 / 5, 1.0, (0 + 1 + 1 + 4) / 4])


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("targets", [1, 3, 5, 9])
def test_without_chance_the_queue_is_known(targets, devices):
    """Who finds a draft idle waits for nothing; where all are busy, M - c - Z c / D wait."""
    many = replace(SHARED, workload=Closed(targets, 0, 300), replicas=targets, draft_pool=devices)
    run = evaluate(many)
    rounds = shared_draft(targets, 3.0, 1.0, devices)
    wait = shared_draft_wait(targets, 3.0, 1.0, rounds)
    known = [rounds, rounds * wait, rounds, rounds / devices, wait]
    assert told(run) == pytest.approx(known, rel=0.02, abs=0.02)


@dataclass
class Ledger:
    """Watches what a pool is asked for, and when it promises to begin."""

    pool: object
    pieces: list = field(default_factory=list)

    def __post_init__(self):
        self.asked, self.pool.take = self.pool.take, self._take

    def _take(self, now, delay, work):
        device, begin = self.asked(now, delay, work)
        self.pieces.append((now + delay, begin, begin + work, device))
        return device, begin


@st.composite
def setups(draw):
    method = draw(st.sampled_from(POOLED))
    tokens = draw(st.integers(1, 12))
    come = Poisson(
        draw(st.integers(1, 12)),
        rate=draw(st.floats(0.05, 5)),
        prompt_tokens=draw(st.sampled_from([0, 3, Geometric(9.0)])),
        output_tokens=draw(st.sampled_from([tokens, Geometric(6.0)])),
    )
    serving = Continuous(
        max_num_seqs=draw(st.integers(1, 4)),
        block_size=4,
        num_gpu_blocks=draw(st.sampled_from([None, 30])),
    )
    setup = Setup(
        method,
        Iid(alpha=draw(st.floats(0, 1))),
        machine(prefill=draw(st.sampled_from([0.0, 0.4]))),
        draw(st.sampled_from([come, Closed(draw(st.integers(1, 9)), 5, tokens, 0.5)])),
        batch=draw(st.integers(1, 3)),
        lookahead=draw(st.integers(0, 3)),
        seed=draw(st.integers(0, 99)),
        replicas=draw(st.integers(1, 5)),
        draft_pool=draw(st.integers(1, 3)),
    )
    return draw(st.sampled_from([setup, replace(setup, serving=serving)]))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(setups())
def test_what_is_noted_is_what_was_asked_for(setup):
    assume(fits(setup))
    simulation = Simulation(setup)
    ledger = Ledger(simulation.pool)
    simulation.run()
    run, end = simulation.result(), simulation.env.now
    if not ledger.pieces:
        assert changes(run) == []
        return
    requests_hold(setup, run, shared=True)
    asked, begin, over = np.array([piece[:3] for piece in ledger.pieces]).T
    waited = (np.minimum(begin, end) - asked).sum()
    assert run.metrics["draft_pool_waiting_mean"] * end == pytest.approx(waited, abs=1e-9)
    worked = np.maximum(np.minimum(over, end) - begin, 0).sum()
    assert run.metrics["draft_pool_running_mean"] * end == pytest.approx(worked, abs=1e-9)
    assert run.metrics["draft_pool_wait_mean"] == pytest.approx((begin - asked).mean(), abs=1e-9)
    assert (np.diff(begin) >= 0).all()  # who asks first is served first
    for time, waiting, running in changes(run):
        later = np.nextafter(time, np.inf)
        assert waiting <= ((asked <= time) & (begin >= time)).sum()
        assert waiting >= ((asked < later) & (begin > later)).sum()
        assert running >= ((begin < later) & (over > later)).sum()


@pytest.mark.parametrize("method", [Speculative("own"), Ssd()], ids=str)
def test_a_pool_tells_the_same_again_and_where_nothing_is_kept(method):
    setup = replace(SHARED, method=method, workload=Closed(9, 3, 20), replicas=3, draft_pool=1)
    setup = replace(setup, acceptance=Iid())
    run = simulate(setup)
    assert run.tables == simulate(setup).tables
    assert told(run) == told(evaluate(setup)) == told(simulate(setup, spooled=True))
    shown = dict(figures(run.metrics))
    assert {"draft devices in use, %", "  waiting for one, mean", "  how long, ms"} <= {*shown}


def test_without_a_pool_there_is_no_such_station():
    run = simulate(replace(SHARED, workload=Closed(3, 0, 2), replicas=3))
    assert not any(name.startswith("draft_pool") for name in run.metrics)
    assert (run.state.replica >= 0).all()
