"""Speculative Streaming: passes that are larger, and drafts that take no time."""

import pytest
from scripted import decode, machine, rounds

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.latency.table import Table
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.streaming import Streaming
from ssdsim.workloads.closed import Closed

PASSES = {"tokens": [1, 5, 165], "seconds": [1.0, 1.2, 17.2]}
WIDE = Machine(
    target=Table({"verify": PASSES, "prefill": {"seconds": 0.0}}), draft=machine(step=0.3).draft
)


def run(method, machine=WIDE, **more):
    settings = {"lookahead": 4, "batch": 1, "workload": Closed(4, 8, 100)}
    return simulate(Setup(method, Iid(alpha=0.7), machine, **settings | more))


def test_a_pass_verifies_what_the_one_before_drafted():
    found = decode(Streaming(streams=3), ((2, 0), (0, 1)), lookahead=2)
    assert rounds(found, "drafted", "accepted", "speculator", "start", "end") == [
        (2, 2, "primary", 0, 1),
        (2, 0, "primary", 1, 2),
    ]
    assert list(found.spans.kind) == ["verify"] * 2
    assert list(found.spans.tokens) == [3 + 3] * 2
    assert list(found.spans.used) == [3, 1]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("streams", [0, 4, 40])
def test_speedup_is_tokens_a_pass_times_its_cost(streams, batch):
    plain = run(Autoregressive())
    found = run(Streaming(streams), batch=1)
    tau = found.metrics["acceptance_length"]
    cost = WIDE.target.seconds("verify", 1, 5 + streams, 0)
    speedup = found.metrics["tokens_per_s"] / plain.metrics["tokens_per_s"]
    assert speedup == pytest.approx(tau * 1.0 / cost, rel=1e-12)
    together = run(Streaming(streams), batch=batch, workload=Closed(3, 8, 100))
    widths = set(together.spans.tokens / together.spans.batch)
    assert widths == {5 + streams}


def test_without_streams_it_is_speculation_with_a_free_draft():
    free = machine(step=0.0)
    first, second = (run(method, free) for method in (Streaming(streams=0), Speculative()))
    assert first.tables["rounds"] == second.tables["rounds"]


def test_padded_passes_have_room_for_the_streams():
    found = run(Streaming(streams=6), Machine(WIDE.target, WIDE.draft, padding=512))
    seconds = found.spans.end - found.spans.start
    assert seconds.to_numpy() == pytest.approx(WIDE.target.seconds("verify", 1, 11, 0))


def test_fewer_than_no_streams_are_refused():
    with pytest.raises(ConfigError, match=r"method.streams=-1: needs tokens >= 0"):
        Streaming(streams=-1)
