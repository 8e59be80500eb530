"""The table of best lookaheads: against closed forms, the expectation and simulated runs."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from scripted import machine

from ssdsim import Setup, expect, theory
from ssdsim.acceptance.iid import Iid
from ssdsim.latency.table import Table
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.tune.lookahead_table import best_lookaheads, lookahead_table
from ssdsim.workloads.closed import Closed

SETUP = Setup(Ssd(), Iid(alpha=0.7), machine(step=0.15), policy=UniformFanout(fanout=4))


def grid(batch=(1, 64), tokens=(1, 4000), context=(0, 4000), price=0.03):
    """Return a target whose verify takes 1, and more by tokens and context."""
    slow = [[1 + price * t + c / 4000 for c in context] for t in tokens]
    axes = {"batch": [*batch], "tokens": [*tokens], "context": [*context]}
    return Table({"verify": {**axes, "seconds": [slow] * 2}, "prefill": {"seconds": 9.0}})


@pytest.mark.parametrize("step", [0.05, 0.2, 0.8])
def test_ordinary_speculation_has_the_closed_forms_best_lookahead(step):
    setup = replace(SETUP, machine=machine(step=step))
    found = best_lookaheads(setup, [1], [100]).at("SD", 1, 100)
    best = theory.best_lookahead(0.7, step)
    assert found.lookahead == best
    assert found.speedup == pytest.approx(theory.speculative_speedup(0.7, best, step))
    assert found.exact
    assert (best == 0) == (step == 0.8)


def test_no_other_lookahead_is_better_by_the_expectation():
    setup = replace(SETUP, machine=replace(SETUP.machine, target=grid()))
    found = best_lookaheads(setup, [1, 8, 64], [128, 2048], range(1, 9))
    assert not found.left_out
    chosen = {}
    for best in found.best:
        method = Speculative() if best.method == "SD" else setup.method
        tried = replace(setup, batch=best.batch, method=method)
        speeds = [
            expect(replace(tried, method=Autoregressive()), best.context).tokens_per_s,
            *(expect(replace(tried, lookahead=K), best.context).tokens_per_s for K in range(1, 9)),
        ]
        assert best.tokens_per_s == pytest.approx(max(speeds))
        assert best.tokens_per_s == pytest.approx(speeds[best.lookahead])
        assert best.speedup == pytest.approx(max(speeds) / speeds[0])
        chosen[best.method, best.batch, best.context] = best.lookahead
    assert chosen["SD", 1, 128] > chosen["SD", 8, 128] > chosen["SD", 64, 128] == 0


def test_what_the_times_do_not_cover_is_left_out_and_counted():
    setup = replace(SETUP, machine=replace(SETUP.machine, target=grid(batch=(1, 4), tokens=(1, 8))))
    found = best_lookaheads(setup, [1, 4, 8], [128], range(1, 9))
    assert {best.batch for best in found.best} == {1, 4}
    assert max(best.lookahead for best in found.best if best.batch == 4) <= 1
    where = "latency.target, verify: {} for 'verify'"
    assert found.left_out == {
        where.format("tokens: the table covers 1 to 8"): 2 * (1 + 7),  # K = 8, and K from 2 on
        where.format("batch: the table covers 1 to 4"): 1,
    }


def test_a_policy_that_learns_is_simulated_with_the_same_luck():
    setup = replace(SETUP, policy=TopkOutcomes(budget=12), workload=Closed(output_tokens=40))
    first = best_lookaheads(setup, [1, 2], [128], range(1, 9))
    assert first == best_lookaheads(setup, [1, 2], [128], range(1, 9))
    assert [best.exact for best in first.best] == [True, False] * 2
    static = best_lookaheads(SETUP, [1, 2], [128], range(1, 9))
    for batch in (1, 2):
        simulated, exact = (found.at("SSD", batch, 128) for found in (first, static))
        assert abs(simulated.lookahead - exact.lookahead) <= 2
        assert simulated.speedup == pytest.approx(exact.speedup, rel=0.15)


def test_slots_left_empty_at_the_end_do_not_count():
    setup = replace(SETUP, policy=TopkOutcomes(budget=1), machine=machine(step=0.0))
    found = best_lookaheads(setup, [16], [128], [1]).at("SSD", 16, 128)
    # Each round takes a verify; a row delivers 1.7 tokens in it.
    assert found.tokens_per_s == pytest.approx(16 * 1.7, rel=0.03)


def test_the_printed_table():
    found = best_lookaheads(replace(SETUP, policy=TopkOutcomes()), [1, 2], [128, 512], [2, 3])
    printed = StringIO()
    Console(file=printed, width=80).print(lookahead_table(found, "profile=test"))
    text = printed.getvalue()
    assert "profile=test" in text
    assert "~K=" in text
    assert "~ simulated, the others exact" in text
    assert len([line for line in text.splitlines() if line.strip().startswith(("1 ", "2 "))]) == 2
