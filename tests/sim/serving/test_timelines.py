"""Continuous batching in small cases, worked by hand: a verify takes 1, a prompt's pass 2."""

from dataclasses import replace

import pytest
from scripted import machine
from timelines_of_requests import PLAIN, Told

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.engine.simulation import Simulation
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.latency.table import Table
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.dsi import Dsi
from ssdsim.methods.speculative import Speculative
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.base import Request
from ssdsim.workloads.closed import Closed


def setting(arrivals, serving, prompt=2, tokens=3, **changes):
    requests = tuple(Request(arrival, prompt, tokens) for arrival in arrivals)
    workload = Told(len(requests), requests)
    setup = Setup(Autoregressive(), Iid(), PLAIN, workload, lookahead=0, serving=serving)
    return replace(setup, **changes)


def served(*requests, **changes):
    return simulate(setting(*requests, **changes))


def moments(run, name):
    return run.sequences[name].tolist()


def test_a_whole_prompt_holds_up_who_is_decoded():
    run = served([0.0, 0.5], Continuous(enable_chunked_prefill=False))
    assert moments(run, "first_token") == [2.0, 4.0]
    assert moments(run, "finish") == [6.0, 6.0]
    assert run.metrics["itl_mean"] == pytest.approx((3 + 1 + 1 + 1) / 4)
    assert run.metrics["tpot_mean"] == pytest.approx((2 + 1) / 2)
    assert run.metrics["queueing_mean"] == pytest.approx(1.5 / 2)


def test_a_piece_of_a_prompt_goes_along_with_a_verify():
    run = served([0.0, 0.5], Continuous())
    assert moments(run, "first_token") == [2.0, 3.0]
    assert moments(run, "finish") == [4.0, 5.0]
    verifies = run.spans[run.spans.kind == "verify"]
    assert verifies.tokens.tolist() == [1 + 2, 2, 1]
    assert verifies.used.tolist() == [1 + 2, 2, 1]


def test_a_prompt_is_cut_where_the_budget_of_a_step_ends():
    run = served([0.0, 0.5], Continuous(max_num_batched_tokens=3), prompt=5)
    spans = run.spans[["kind", "start", "tokens"]].to_numpy().tolist()
    # The first prompt takes two passes; the second has what each pass leaves.
    assert spans[:3] == [["prefill", 0, 3], ["prefill", 2, 3], ["verify", 4, 3]]
    assert moments(run, "first_token") == [4.0, 6.0]
    run = served([0.0], Continuous(long_prefill_token_threshold=2), prompt=5)
    assert run.spans.tokens.tolist()[:3] == [2, 2, 1]


def test_who_finds_no_block_is_preempted_and_reads_everything_again():
    serving = Continuous(block_size=1, num_gpu_blocks=6)
    run = served([0.0, 0.0], serving)
    assert run.sequences.preempted.tolist() == [0, 1]
    assert [[*times] for times in run.sequences.preempted_at] == [[], [3.0]]
    assert [[*times] for times in run.sequences.resumed_at] == [[], [4.0]]
    assert run.info["kv_blocks"] == 6
    assert moments(run, "finish") == [4.0, 7.0]
    prefills = run.spans[run.spans.kind == "prefill"]
    assert prefills.tokens.tolist() == [2 + 2, 4]
    assert prefills.start.tolist() == [0.0, 4.0]
    assert run.metrics["kv_usage_max"] == 1.0
    roomy = served([0.0, 0.0], replace(serving, num_gpu_blocks=8))
    assert moments(roomy, "finish") == [4.0, 4.0]


def test_where_verifies_have_one_shape_what_was_decoded_is_read_again_in_it():
    """As real targets do: two tokens of the second request take two passes of 1 behind one of 2."""
    serving = Continuous(
        enable_chunked_prefill=False, prompt_samples=False, block_size=1, num_gpu_blocks=6
    )
    assert moments(served([0.0, 0.0], serving), "finish") == [5.0, 5.0 + 2 + 1]
    padded = served([0.0, 0.0], serving, machine=replace(PLAIN, padding=64))
    assert moments(padded, "finish") == [5.0, 5.0 + 2 + 2 * 1 + 1]


def test_where_passes_have_one_shape_a_draft_computes_rows_that_nobody_has():
    step, none = {"batch": [1, 2], "seconds": [0.25, 0.5]}, {"seconds": 0.0}
    plain = replace(PLAIN, draft=Table({"step": step, "fill": none, "prefill": none}))
    workload = Told(2, (Request(0.0, 2, 1), Request(0.0, 2, 2)))
    took = []
    for known in (plain, replace(plain, padding=64)):
        run = simulate(Setup(Speculative(), Iid(0.0), known, workload, lookahead=1, batch=2))
        drafted = run.spans[run.spans.kind == "speculate"]
        took.append((drafted.end - drafted.start).tolist())
    assert took == [pytest.approx([0.5, 0.25]), pytest.approx([0.5, 0.5])]


def test_lookahead_and_states_take_blocks():
    """Of 12 blocks two requests of 2 + 3 tokens fit, with 4 more of drafts or states one."""
    serving = Continuous(block_size=1, num_gpu_blocks=12)
    at_most = {
        "plain": served([0.0] * 3, serving),
        "drafts": served([0.0] * 3, serving, method=Speculative(), lookahead=4),
        "states": served([0.0] * 3, replace(serving, state_blocks=4)),
    }
    peaks = {name: run.state.running.max() for name, run in at_most.items()}
    assert peaks == {"plain": 3, "drafts": 2, "states": 2}
    assert at_most["drafts"].state.blocks.max() <= 12


def test_nothing_runs_between_two_steps_for_as_long_as_the_overhead():
    run = served([0.0], Continuous(overhead=0.5))
    assert moments(run, "finish") == [5.0]
    assert run.spans.start.tolist() == [0.0, 2.5, 4.0]


def test_a_prompt_need_not_deliver_a_token():
    run = served([0.0], Continuous(prompt_samples=False))
    assert moments(run, "first_token") == [3.0]
    assert moments(run, "finish") == [5.0]


def test_a_mixed_pass_costs_what_a_verify_of_all_its_tokens_does():
    grid = {"tokens": [1, 11], "seconds": [1.0, 11.0]}
    target = Table({"verify": grid, "prefill": grid})
    run = served([0.0, 0.5], Continuous(), machine=Machine(target, target))
    lengths = (run.spans.end - run.spans.start).tolist()
    assert lengths == run.spans.tokens.tolist() == [2, 1 + 2, 2, 1]


def test_an_idle_replica_sleeps_until_somebody_comes():
    run = served([1.0, 9.0], Continuous())
    assert moments(run, "admitted") == [1.0, 9.0]
    assert moments(run, "finish") == [5.0, 13.0]


@pytest.mark.parametrize(
    ("serving", "option"),
    [
        (Continuous(num_gpu_blocks=4, block_size=1), "serving.num_gpu_blocks=4"),
        (Continuous(max_num_batched_tokens=4), "serving.max_num_batched_tokens=4"),
        (
            Continuous(max_num_batched_tokens=9, enable_chunked_prefill=False),
            "serving.max_num_batched_tokens=9",
        ),
    ],
)
def test_what_could_never_be_admitted_is_refused(serving, option):
    with pytest.raises(ConfigError, match=option):
        served([0.0], serving, prompt=10, method=Speculative(), lookahead=4)


def test_replicas_have_devices_of_their_own():
    run = served([0.0] * 4, Continuous(), replicas=2, machine=machine(verify=1.0))
    assert run.sequences.replica.tolist() == [0, 1, 0, 1]
    assert set(run.spans.lane) == {"target", "target1"}
    assert [device["name"] for device in run.info["devices"]] == ["target", "target1"]


def test_all_replicas_are_in_tables_whoever_asks_for_them_meanwhile():
    simulation = Simulation(setting([0.0] * 4, Continuous(), replicas=2))
    assert not simulation.result().spans.size
    simulation.run()
    assert set(simulation.result().spans.lane) == {"target", "target1"}


def test_times_that_end_before_the_largest_mixed_pass_are_refused_beforehand():
    short = Table({"verify": {"tokens": [1, 20], "seconds": [1.0, 2.0]}, "prefill": {"seconds": 1}})
    with pytest.raises(ConfigError, match=r"tokens=24: the table covers 1 to 20 for 'verify'"):
        served([0.0] * 2, Continuous(), prompt=11, machine=Machine(short, short))
    served(
        [0.0] * 2, Continuous(max_num_batched_tokens=20), prompt=11, machine=Machine(short, short)
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"method": Dsi(), "lookahead": 2}, "enable_chunked_prefill=True.* 4 targets"),
        ({"machine": replace(PLAIN, padding=16)}, "enable_chunked_prefill=True.*padding=16"),
        ({"workload": Closed(4, 2, 3, steps=2)}, "workload.steps=2"),
    ],
)
def test_what_does_not_mix_is_refused(changes, why):
    with pytest.raises(ConfigError, match=why):
        served([0.0], Continuous(), **changes)
