"""Scripted runs: real passes, and round for round what a simulation of the same settings does."""

from dataclasses import replace
from itertools import pairwise, product

import pytest
import shapes
from inline_crew import Faults, decode
from invariants import all_holds
from scripted import Scripted, machine

from ssdreal.executor.scripted import prompts
from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdsim import simulate
from ssdsim.acceptance.hazard import Hazard, HazardTable
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.recorded import Recorded
from ssdsim.backups.jit import Jit
from ssdsim.backups.random import Random
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_residual import ExitResidual
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.geometric_fanout import GeometricFanout
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.random_outcomes import RandomOutcomes
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Decoding
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.closed import Closed

DECIDED = ["seq", "round", "drafted", "speculator", "hit", "accepted", "predicted", "rank"]
LOGGED = HazardTable(
    temperature=0.0,
    accepted_on_hit=(0.3, 0.2, 0.1, 0.4),
    length_on_miss=2.0,
    hit_rate=0.7,
    fanout=2,
    miss_fanouts=(1, 4, 16),
    miss_on_hit=(0.5, 0.2, 0.1),
    miss_on_miss=(0.8, 0.5, 0.3),
)
HAZARD = Hazard({"greedy": LOGGED})
SAMPLED = Decoding(temperature=1.0)


@pytest.fixture(scope="module")
def run_of():
    """Return a function that decodes a setup as `python -m ssdreal` would."""
    pair = shapes.loaded()

    def run(setup, **faults):
        tasks = prompts(setup, shapes.SMALL["vocab_size"])
        return decode(setup, *pair, [task.tokens for task in tasks], **faults)

    return run


def asked(method, acceptance=HAZARD, batch=1, **more):
    workload = Closed(prompts=4, output_tokens=30, prompt_tokens=9)
    policy = {"policy": TopkOutcomes(budget=6)} | more
    return Setup(method, workload, batch=batch, seed=5, acceptance=acceptance, **policy)


def simulated(setup):
    """Return the same run, simulated."""
    return simulate(simulated_twin(setup, setup.acceptance, machine()))


def decided(run):
    """Return the rounds without their times and token ids."""
    return run.rounds[DECIDED].astype(object).where(run.rounds[DECIDED].notna(), None)


def follows(setup, run):
    """Check a run against its simulation, and that its work was real."""
    expected = simulated(setup)
    assert decided(run).equals(decided(expected))
    assert run.info["source"] == "scripted"
    all_holds(setup, run)
    assert (run.spans.end > run.spans.start).all() or isinstance(setup.backup, Random)
    own = ["tokens", "acceptance_length", "hit_rate", "acceptance_length_on_miss"]
    assert {name: run.metrics[name] for name in own} == {
        name: expected.metrics[name] for name in own
    }


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    ("policy", "backup"),
    [
        *product([TopkOutcomes(budget=6), GeometricFanout(budget=6)], [Jit(), Random()]),
        (RandomOutcomes(budget=60, candidates=40), Jit()),  # some of ranks that nobody knows
        (Oracle(), Jit()),
    ],
    ids=str,
)
def test_ssd_goes_as_simulated(policy, backup, batch, run_of):
    setup = asked(Ssd(), batch=batch, policy=policy, backup=backup)
    run, _ = run_of(setup)
    follows(setup, run)
    hits = run.rounds.hit.dropna()
    assert hits.any()
    assert isinstance(policy, Oracle) or not hits.all()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    "method",
    [Autoregressive(), Speculative(), Speculative("own"), Pearl(), Ssd(redraft="all")],
    ids=str,
)
def test_methods_go_as_simulated(method, batch, run_of):
    setup = asked(method, batch=batch)
    follows(setup, run_of(setup)[0])


@pytest.mark.parametrize("method", [Ssd(), Pearl(), Speculative()], ids=str)
def test_sources_of_all_kinds_are_followed(method, run_of, exact_trace):
    for source in (Iid(alpha=0.6), LanguageModel(vocabulary=16), Recorded(exact_trace)):
        setup = asked(method, source, backup=Random())  # whose tokens some sources look at
        follows(setup, run_of(setup)[0])


@pytest.mark.parametrize(("batch", "second"), [(1, ExitTarget(6)), (3, ExitResidual(6))], ids=str)
def test_what_a_target_says_early_is_the_source_s(batch, second, run_of):
    """The worker's pass says when it speaks, and the source what: as it does in a simulation."""
    source = LanguageModel(vocabulary=16, order=2, exit_distance=0.2)
    method = TwoPhase(0.3, second, first_depth=4, second_depth=4)
    warm = {"policy": UniformFanout(fanout=1), "lookahead": 4, "decoding": SAMPLED}
    setup = asked(method, source, batch, **warm)
    run, crew = run_of(setup)
    follows(setup, run)
    assert crew.channels["target"].told
    assert run.rounds.predicted.max() > 5, "more than the first phase's"
    far = simulated(replace(setup, acceptance=replace(source, exit_distance=0.5)))
    assert list(far.rounds.accepted) == list(run.rounds.accepted)
    assert far.metrics["hit_rate"] < run.metrics["hit_rate"]


def test_sampling_is_real_and_its_outcomes_are_not(run_of):
    source = Iid(alpha=0.7)
    for coupling in ("maximal", "gumbel"):
        setup = asked(Ssd(), source, decoding=replace(SAMPLED, coupling=coupling))
        follows(setup, run_of(setup)[0])


def test_other_seeds_and_sources_go_otherwise(run_of):
    """A control: what is compared above does differ where it should."""
    setup = asked(Ssd())
    found = decided(run_of(setup)[0])
    for other in (replace(setup, seed=6), replace(setup, acceptance=Iid(alpha=0.5))):
        assert not found.equals(decided(simulated(other)))


def test_tokens_are_the_draft_s_and_its_candidates(run_of):
    """Three accepted and rank 2, then none and rank 0, then four and rank 1: worked by hand."""
    source = Scripted((((3, 2), (0, 0), (4, 1)),))
    workload = Closed(prompts=1, output_tokens=10, prompt_tokens=9)
    setup = Setup(Ssd(), workload, TopkOutcomes(budget=200), lookahead=4, acceptance=source)
    run, crew = run_of(setup)
    (output,) = run.sequences.output
    forks = [answer for command, answer in crew.channels["draft"].log if hasattr(command, "blocks")]
    ids = [answer.rows[0].ids for answer in forks if hasattr(answer.rows[0], "ids")]
    blocks = [
        command.blocks[0].tokens
        for command, _ in crew.channels["target"].log
        if type(command).__name__ == "Verify"
    ]
    (first, second, third) = blocks
    assert list(output) == [
        *(*first[:3], ids[0][3][2]),
        ids[1][0][0],
        *(*third, ids[2][4][1]),
    ]
    assert output[4] != second[0]  # what is rejected is nobody's token
    assert list(run.rounds.hit[1:]) == [True, True]
    assert list(run.rounds.token) == [output[3], output[4], output[9]]


def test_what_the_draft_was_right_about_is_not_drafted_again(run_of):
    """A draft that is always right runs ahead of every verify: all that it computes is used."""
    setup = asked(Pearl(), Iid(alpha=1.0), lookahead=3)
    run, crew = run_of(setup)
    follows(setup, run)
    asked_for = [c for c, _ in crew.channels["draft"].log if type(c).__name__ == "Speculate"]
    texts = [(command.lines[0].seq, command.lines[0].tokens) for command in asked_for]
    for (seq, before), (same, after) in pairwise(texts):
        if seq == same:  # each goes on where the last one ended
            assert after[: len(before)] == before
            assert len(after) == len(before) + 3
    assert len(texts) > 12


def test_free_running_workers_follow_their_script(run_of):
    """AMUSD's rounds depend on times: its acceptance does not."""
    for batch in (1, 3):
        setup = asked(Amusd(), Iid(alpha=0.8), batch=batch)
        run, _ = run_of(setup)
        all_holds(setup, run)
        assert run.info["source"] == "scripted"
    sure = asked(Amusd(), Iid(alpha=1.0))
    run, _ = run_of(sure)
    assert (run.rounds.accepted == run.rounds.drafted).all()
    never = asked(Amusd(), Iid(alpha=0.0))
    run, _ = run_of(never)
    assert not run.rounds.accepted.any()


@pytest.mark.parametrize("method", [Ssd(), Speculative(), Pearl(), Amusd()], ids=str)
@pytest.mark.parametrize("dies", ["sending", "working"])
def test_a_lost_draft_ends_no_scripted_run(method, dies, run_of):
    for after in (2, 5, 9):
        setup = asked(method, batch=2)
        run, crew = run_of(setup, draft_faults=Faults(dies_after=after, dies=dies))
        assert crew.draft.lost
        all_holds(setup, run)


@pytest.mark.parametrize("on_outcome", ["prune", "truncate"])
def test_trees_may_be_stopped(on_outcome, run_of):
    setup = asked(Ssd(on_outcome))
    run, _ = run_of(setup)
    all_holds(setup, run)
    if on_outcome == "prune":  # which changes times alone
        assert decided(run).equals(decided(simulated(setup)))


def test_phases_may_be_stopped(run_of):
    """A draft that begins everything late is cut short by outcomes that come first."""
    drafted = {}
    for how in ("wait", "prune", "truncate"):
        method = TwoPhase(0.3, Oracle(), first_depth=4, second_depth=4, on_outcome=how)
        setup = asked(method, policy=UniformFanout(fanout=2), lookahead=4)
        run, _ = run_of(setup, draft_faults=Faults(slow=1))
        all_holds(setup, run)
        drafted[how] = run.spans[run.spans.kind == "prespeculate"].tokens.sum()
    assert drafted["wait"] > max(drafted["prune"], drafted["truncate"])


def test_prompts_are_random_and_as_long_as_asked(exact_trace):
    setup = asked(Ssd())
    tasks = prompts(setup, 96)
    assert [len(task.tokens) for task in tasks] == [9] * 4
    assert {task.kind for task in tasks} == {"random ids"}
    assert len({tuple(task.tokens) for task in tasks}) == 4
    assert all(0 <= token < 96 for task in tasks for token in task.tokens)
    assert prompts(setup, 96) == tasks != prompts(replace(setup, seed=6), 96)
    recorded = replace(setup, acceptance=Recorded(exact_trace))
    source = recorded.source()
    lengths = [source.prompt_tokens(seq) for seq in range(4)]
    assert [len(task.tokens) for task in prompts(recorded, 96)] == lengths != [9] * 4


@pytest.mark.parametrize("method", [Autoregressive(), Speculative(), Ssd(), Pearl()], ids=str)
def test_who_has_to_make_room_is_who_does_in_the_simulation(method, run_of):
    """The same scheduler decides, so where all prompts wait from the start nothing may differ."""
    narrow = {"max_num_seqs": 3, "block_size": 4, "num_gpu_blocks": 20}
    serving = Continuous(enable_chunked_prefill=False, prompt_samples=False, **narrow)
    setup = asked(method, backup=Random(), serving=serving)
    run, _ = run_of(setup)
    expected = simulated(setup)
    assert decided(run).equals(decided(expected))
    assert run.sequences.preempted.tolist() == expected.sequences.preempted.tolist()
    assert run.metrics["preemptions"]
    states = [found.state[["waiting", "running", "blocks"]] for found in (run, expected)]
    assert states[0].equals(states[1])
