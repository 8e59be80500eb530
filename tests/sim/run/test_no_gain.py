"""Why SSD gains nothing over SD: every cause is planted once."""

from dataclasses import replace

from scripted import machine
from timelines import run_of

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.engine.baselines import compare
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Link, Machine, Slowdown
from ssdsim.latency.table import Table
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.page.pack import packed
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.no_gain import no_gain
from ssdsim.run.trace import Recorder, open_run
from ssdsim.workloads.closed import Closed

SURE = Iid(alpha=0.7, miss_scale=0.0)
"""The draft's first candidate is always the bonus token."""
SLOW = machine(verify=0.010, step=0.004)
WELL = Setup(
    Ssd(),
    SURE,
    machine(verify=0.010, step=0.002),
    Closed(4, 8, 120),
    UniformFanout(fanout=1),
    lookahead=4,
)


def told(**changes):
    setup = replace(WELL, **changes)
    run = simulate(setup, detailed=True)
    compare(run, setup)
    return no_gain(run)


def test_nothing_is_said_where_there_is_a_gain_or_no_prediction():
    assert told() == ""
    assert told(method=Speculative()) == ""
    assert no_gain(simulate(WELL)) == ""  # compared with nothing
    assert no_gain(run_of(Recorder(), metrics={})) == ""


def test_the_draft_is_the_bottleneck():
    # Eight steps of 4 ms beside a verify of 10 ms: two fit, six are too many.
    said = told(machine=SLOW, lookahead=8)
    assert said.startswith("no gain over SD (0.80 ×): the draft is the bottleneck")
    assert "K=8 is too deep by 6 steps; without that it would make 2.38 × SD" in said


def test_misses_of_one_row_and_of_a_batch():
    never = Iid(alpha=0.7, miss_scale=1.0, miss_exponent=0.0)
    slow = machine(verify=0.010, step=0.0028, glue=0.001)
    said = told(acceptance=never, machine=slow)
    assert "misses: 98 % of the rounds missed (hit rate 0 %), and waited 11.2 ms" in said
    half = Iid(alpha=0.7, miss_scale=0.5, miss_exponent=0.1)
    said = told(acceptance=half, machine=machine(verify=0.010, step=0.0024), batch=4)
    assert "misses stall the batch: in 85 % of the rounds some row missed (hit rate 55 %)" in said
    assert "waited 9.6 ms for redrafts" in said


def test_a_run_that_lies_on_the_disk_says_the_same(tmp_path):
    setup = replace(WELL, acceptance=Iid(alpha=0.7, miss_scale=1.0), machine=SLOW)
    run = simulate(setup, detailed=True)
    compare(run, setup)
    run.info |= {"schema": 1}
    run.save(tmp_path)
    assert "misses: " in no_gain(run)
    assert no_gain(open_run(tmp_path)) == no_gain(run)


def test_the_last_position_is_not_covered():
    said = told(acceptance=Iid(alpha=0.989, miss_scale=0.0), policy=FixedFanout(fanout=(1,) * 4))
    assert "last position is not covered: 100 % of the misses came after all K=4 tokens" in said


def test_too_many_tokens_are_verified():
    passes = {"verify": {"tokens": [1, 100], "seconds": [0.01, 0.2]}}
    passes |= {work: {"seconds": 0.0} for work in ("prefill", "step")}
    slow = Machine(target=Table(passes), draft=Constant(verify=0.0, step=0.0005))
    said = told(acceptance=Iid(alpha=0.3, miss_scale=0.0), machine=slow, batch=4, lookahead=6)
    assert "a verify takes 59 ms at K=6, that of SD 23 ms at K=1" in said


def test_one_device_is_shared():
    # 15 ms of drafting take 30 beside the target, which gets a fourth of its speed meanwhile.
    slowed = machine(verify=0.010, step=0.005, shared=True, slowdown=Slowdown(4.0, 2.0))
    said = told(machine=slowed, lookahead=3)
    assert "one shared device: a verify takes 32.5 ms beside the draft, that of SD 10 ms" in said
    # A device that is shared, and slows nothing down, is no cause.
    assert "the draft is the bottleneck" in told(machine=replace(SLOW, shared=True), lookahead=8)


def test_hits_that_are_not_tokens():
    said = told(machine=machine(verify=0.010, step=0.0004), lookahead=1)
    assert "hits are not tokens: 99 % of the rounds hit, and make 1.68 tokens each" in said


def test_messages_take_longer_than_what_they_spare():
    said = told(machine=machine(verify=0.010, step=0.002, link=Link(latency=0.006)))
    assert "messages: the link takes 12 ms of a round" in said


def test_a_page_says_it_too():
    setup = replace(WELL, machine=SLOW, lookahead=8)
    run = simulate(setup, detailed=True)
    assert packed(run)["no_gain"] == ""
    compare(run, setup)
    assert packed(run)["no_gain"] == no_gain(run) != ""
