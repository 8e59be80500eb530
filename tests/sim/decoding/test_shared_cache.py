"""Several drafts that split the speculation cache."""

from dataclasses import replace

import pytest
from scripted import decode, machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.decoding.shared_cache import deal
from ssdsim.engine.exact_expectation import expect
from ssdsim.errors import ConfigError
from ssdsim.latency.jitter import Lognormal
from ssdsim.latency.machine import Link, Power, Slowdown
from ssdsim.latency.table import Table
from ssdsim.methods.ssd import Ssd
from ssdsim.outcomes import Outcome
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.workloads.closed import Closed

TWO = UniformFanout(fanout=2)
PASSES = {
    "step": {"seconds": 0.1},
    "fill": {"seconds": 0.0},
    "glue": {"seconds": 0.1},
    "tree": {"tokens": [1, 101], "seconds": [0.1, 10.1]},  # 0.1 a branch
    "prefill": {"seconds": 0.0},
}
PER_BRANCH = replace(machine(), draft=Table(PASSES))


def near(values):
    return pytest.approx(values, abs=1e-9)


def prespeculated(run):
    spans = run.spans[run.spans.kind == "prespeculate"]
    columns = ["lane", "branches", "tokens", "used", "start", "end"]
    return [tuple(row) for row in spans[columns].itertuples(index=False)]


def test_outcomes_are_dealt_out_in_turn_over_all_rows():
    predictions = [
        frozenset({Outcome(0, 0), Outcome(0, 1), Outcome(1, 0)}),
        frozenset(),
        frozenset({Outcome(1, 0), Outcome(1, 1)}),
    ]
    shares = deal(predictions, 2)
    assert [[len(hand) for hand in share] for share in shares] == [[2, 0, 1], [1, 0, 1]]
    for row, predicted in enumerate(predictions):
        first, second = shares[0][row], shares[1][row]
        assert first | second == predicted
        assert not first & second


def test_each_draft_grows_its_share_beside_the_verify():
    # Three positions of fan-out 2: six outcomes, steps of .6 alone and of .3 in halves.
    script = ((2, 1), (2, 0), (2, 0))
    one, two = (
        decode(Ssd(drafts=drafts), script, lookahead=2, policy=TWO, machine=PER_BRANCH)
        for drafts in (1, 2)
    )
    # Alone a tree takes .1 + 2 · .6, longer than a verify; together .1 + 2 · .3.
    assert list(one.rounds.end)[:2] == near([1.2, 1.2 + 0.3 + 1.0])
    assert list(two.rounds.end)[:2] == near([1.2, 2.2])
    assert list(two.rounds.hit) == [None, True, True]
    # (2, 1) is the last of the six, dealt to the second draft; (2, 0) to the first.
    found = prespeculated(two)
    assert [span[:4] for span in found[:4]] == [
        ("draft", 3, 6, 0),
        ("draft1", 3, 6, 2),
        ("draft", 3, 6, 2),
        ("draft1", 3, 6, 0),
    ]
    assert [span[4] for span in found[:4]] == near([0.2, 0.2, 1.2, 1.2])
    assert [span[5] for span in found[:4]] == near([0.9, 0.9, 1.9, 1.9])


@pytest.mark.parametrize("on_outcome", ["wait", "prune", "truncate"])
def test_splitting_changes_times_alone_where_branches_cost_nothing(on_outcome):
    setup = Setup(
        Ssd(on_outcome),
        LanguageModel(vocabulary=8),
        machine(step=0.6, glue=0.1, link=Link(latency=0.05)),
        Closed(5, 4, 60),
        TopkOutcomes(budget=7),
        lookahead=3,
        batch=3,
    )
    more = replace(setup, method=Ssd(on_outcome, drafts=3))
    first, second = (simulate(s) for s in (setup, more))
    if on_outcome == "wait":
        assert first.tables["rounds"] == second.tables["rounds"]
    assert first.tables["sequences"]["output"] == second.tables["sequences"]["output"]
    lanes = set(second.spans.lane)
    assert {"draft", "draft1", "draft2"} <= lanes


def test_as_many_drafts_as_outcomes_leave_some_idle():
    script = ((3, 7), (0, 99), (2, 31))
    found = decode(Ssd(drafts=3), script, lookahead=3, policy=Oracle())
    assert list(found.rounds.hit) == [None, True, True]
    assert {lane for lane, *_ in prespeculated(found)} == {"draft"}


def test_a_budget_of_a_verify_is_a_verify_of_every_draft():
    budgets = {"policy": TopkOutcomes(budget="verify", ranks=9), "machine": PER_BRANCH}
    one, three = (
        decode(Ssd(drafts=drafts), ((2, 0),) * 4, lookahead=2, **budgets) for drafts in (1, 3)
    )
    # (1 - .1) / 2 steps of .1 a branch: four branches each.
    assert set(one.rounds.predicted) == {4}
    assert set(three.rounds.predicted) == {12}


def test_every_device_counts():
    watts = {"target_power": Power(300.0, 50.0), "draft_power": Power(200.0, 40.0)}
    found = decode(Ssd(drafts=3), ((3, 0),) * 3, lookahead=3, policy=TWO, machine=machine(**watts))
    assert [(d["name"], d["lanes"], d["count"]) for d in found.info["devices"]] == [
        ("target", ["target"], 1),
        ("draft", ["draft"], 1),
        ("draft1", ["draft1"], 1),
        ("draft2", ["draft2"], 1),
    ]
    metrics = found.metrics
    assert metrics["tokens_per_s_per_device"] == pytest.approx(metrics["tokens_per_s"] / 4)
    elapsed, busy = found.rounds.end.max(), {}
    for lane, spans in found.spans.groupby("lane"):
        busy[lane] = (spans.end - spans.start).sum()
    drafts = ("draft", "draft1", "draft2")
    joules = 300 * busy["target"] + 50 * (elapsed - busy["target"])
    joules += sum(200 * busy[lane] + 40 * (elapsed - busy[lane]) for lane in drafts)
    assert metrics["energy_j"] == pytest.approx(joules)


def test_all_drafts_read_the_prompt_and_slow_the_target():
    slow = machine(prefill=0.4, slowdown=Slowdown(target=2.0, draft=3.0))
    found = decode(Ssd(drafts=2), ((3, 0), (3, 0)), lookahead=3, policy=TWO, machine=slow)
    prefills = found.spans[found.spans.kind == "prefill"]
    assert set(prefills.lane) == {"target", "draft", "draft1"}
    first = found.spans[found.spans.kind == "prespeculate"].iloc[:2]
    assert list(first.end - first.start) == near([3 * 0.6] * 2)


def test_the_drafts_jitter_apart():
    jittered = machine(draft_jitter=Lognormal(0.3))
    found = decode(Ssd(drafts=2), ((3, 0),) * 3, lookahead=3, policy=TWO, machine=jittered)
    spans = found.spans[found.spans.kind == "prespeculate"]
    first, second = (spans[spans.lane == lane] for lane in ("draft", "draft1"))
    differ = (first.end - first.start).to_numpy() != (second.end - second.start).to_numpy()
    assert differ.all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"method.drafts=0: needs a number >= 1"):
        Ssd(drafts=0)
    setup = Setup(Ssd(drafts=2), Iid(), machine(), Closed(1, 4, 5), policy=TWO)
    with pytest.raises(ConfigError, match=r"method.drafts: the exact expectation"):
        expect(setup)
