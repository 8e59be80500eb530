"""Messages that come twice, late, out of turn or never: the same tokens, or a run that says why."""

from dataclasses import replace
from functools import cache, partial
from itertools import product
from multiprocessing import Pipe

import pytest
from enumerable import random_pair
from inline_crew import HERE, Faults, InlineCrew, decode, outputs, tasks
from invariants import all_holds
from tiny_runs import BACKUPS, GUMBEL, MODELS, SSDS, prompts

from ssdreal.channel.message_parts import Stamp
from ssdreal.channel.messages import Fork, Grow, Stop
from ssdreal.channel.wire import Wire
from ssdreal.executor.execution import Execution
from ssdreal.executor.setup import Setup
from ssdreal.workers.process import Mailbox
from ssdreal.workers.remote import WorkerLost
from ssdsim import load_run
from ssdsim.backups.jit import Jit
from ssdsim.lengths.base import Stopping
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

PAIR = random_pair(4)
TEXTS = prompts(5, PAIR.vocabulary)
TWO = UniformFanout(budget=10, fanout=2)
DECODINGS = [Decoding(0.0), Decoding(1.0, "gumbel"), Decoding(1.0)]
DEATHS = ["sending", "working", "failing"]


def setup_for(method, decoding, policy=TWO, backup=Jit()):
    return Setup(method, Closed(5, output_tokens=14), policy, backup, 3, 2, decoding, seed=2)


def decoded(setup, **faults):
    return decode(setup, PAIR.target, PAIR.draft, TEXTS, **faults)


@cache
def undisturbed(setup):
    return outputs(decoded(setup)[0])


@pytest.mark.parametrize("decoding", DECODINGS, ids=["greedy", "gumbel", "maximal"])
@pytest.mark.parametrize(
    ("target", "draft"),
    [
        (Faults(double=1), Faults(double=1)),
        (Faults(replay=1), Faults(replay=1)),
        (Faults(slow=1), Faults()),
        (Faults(delay=1), Faults()),
        (Faults(), Faults(delay=1)),
        (Faults(), Faults(stop_after=lambda tree: tree % 4)),
        (Faults(double=2, replay=3, delay=2), Faults(double=3, replay=2, delay=5)),
        (
            Faults(double=3, replay=2, slow=4, delay=7),
            Faults(double=2, replay=1, delay=3, stop_after=lambda _: 9),
        ),
    ],
    ids=[
        "doubled",
        "repeated late",
        "slow verifies",
        "late verifies",
        "late drafts",
        "late stops",
        "all",
        "worse",
    ],
)
def test_whatever_happens_to_messages_the_tokens_are_the_same(decoding, target, draft):
    # Each way of decoding takes a third of the ways of SSD: a fault meets them all. Those that
    # truncate cannot be sampled: how long a speculation got decides which tokens are.
    third = slice(2 * (2 - DECODINGS.index(decoding)), None)
    for method in (Speculative(), *SSDS[third][:2]):
        setup = setup_for(method, decoding)
        run, crew = decoded(setup, target_faults=target, draft_faults=draft)
        assert outputs(run) == undisturbed(setup)
        all_holds(setup, run)
        refused = [set(crew.channels[role].refused) for role in ("target", "draft")]
        drafting = {"Speculate"} if method == Speculative() else {"Speculate", "Fork", "Grow"}
        if target.double == target.replay == draft.double == draft.replay == 0:
            assert refused == [set(), set()]
        else:
            assert refused[0] >= {"Verify"}
            assert refused[1] >= drafting


class EnoughError(Exception):
    pass


@pytest.mark.parametrize("decoding", DECODINGS, ids=["greedy", "gumbel", "maximal"])
@pytest.mark.parametrize("late", [Faults(), Faults(delay=1)], ids=["not begun", "unheard"])
def test_what_an_earlier_run_left_behind_changes_nothing(decoding, late):
    def give_up(_):
        raise EnoughError

    setup = setup_for(Ssd(), decoding)
    crew = InlineCrew(PAIR.target, PAIR.draft, draft_faults=late)
    interrupted = Execution(setup, lambda: crew, HERE, tasks(TEXTS), retired=give_up)
    with pytest.raises(EnoughError):
        interrupted.run()
    assert any(channel.commands or channel.answers for channel in crew.channels.values())
    execution = Execution(setup, lambda: crew, HERE, tasks(TEXTS))
    execution.run()
    assert outputs(execution.result()) == undisturbed(setup)
    all_holds(setup, execution.result())


def test_stops_overtake_the_commands_before_them():
    near, far = Pipe()
    mailbox, other = Mailbox(Wire(near)), Wire(far)
    grow = Grow(Stamp(1, 3), (), (), (), Stopping(2), 0)
    fork = Fork(Stamp(1, 4), (), ())
    stop = Stop(1, 3, (None,), False)
    other.send(grow)
    assert mailbox.next() == grow
    assert mailbox.stop(1, 3) is None
    other.send(fork)
    other.send(stop)
    assert mailbox.stop(1, 2) is None
    assert mailbox.stop(1, 3) == stop
    assert mailbox.stop(1, 3) is None
    assert mailbox.next() == fork
    far.close()
    with pytest.raises(EOFError):
        mailbox.next()


def survives(setup, pair, texts, faults):
    """Run with a draft that dies; return the run and whether it did die."""
    crew = InlineCrew(*pair, draft_faults=faults)
    execution = Execution(setup, lambda: crew, HERE, tasks(texts))
    rounds_before = []
    crew.draft.on_lost = lambda _: rounds_before.append(len(execution.recorder.rounds))
    execution.run()
    run = execution.result()
    assert run.info["complete"]
    all_holds(setup, run)
    if not rounds_before:
        assert run.info["draft_lost"] is None
        return run, False
    assert (
        run.info["draft_lost"]
        == {
            "sending": "its channel is closed (Broken pipe)",
            "working": "it died in a test",
            "failing": "it failed in a test",
        }[faults.dies]
    )
    # Something may have been predicted in the rounds under way, but in none that began later.
    assert not run.rounds.predicted.iloc[rounds_before[0] + setup.slots :].any()
    return run, True


@pytest.mark.slow
@pytest.mark.parametrize("decoding", DECODINGS[:2], ids=["greedy", "gumbel"])
@pytest.mark.parametrize("dies", DEATHS)
def test_a_run_survives_its_draft(decoding, dies):
    died = 0
    for after in range(41):
        policy = (TopkOutcomes("verify"), TWO, TopkOutcomes(9))[after % 3]
        setup = setup_for(
            SSDS[after % 6], decoding, policy, BACKUPS[(after // 2 + 3) % len(BACKUPS)]
        )
        run, lost = survives(
            setup, (PAIR.target, PAIR.draft), TEXTS, Faults(dies_after=after, dies=dies)
        )
        assert outputs(run) == undisturbed(setup_for(Autoregressive(), decoding))
        died += lost
    assert died > 30


@pytest.mark.parametrize("dies", DEATHS)
def test_ordinary_speculation_survives_its_draft_too(dies):
    for after, method in product(range(0, 12, 2), (Speculative(), Speculative("own"))):
        setup = setup_for(method, DECODINGS[1])
        run, lost = survives(
            setup, (PAIR.target, PAIR.draft), TEXTS, Faults(dies_after=after, dies=dies)
        )
        assert outputs(run) == undisturbed(setup_for(Autoregressive(), DECODINGS[1]))
        assert lost


@pytest.mark.parametrize("decoding", [DECODINGS[0], GUMBEL[2]], ids=["greedy", "gumbel"])
def test_at_the_same_shape_of_pass_it_gives_the_same_tokens(decoding):
    pair, texts = [MODELS(name, "bfloat16") for name in ("tiny_target", "tiny_draft")], prompts()
    setup = Setup(
        Ssd("prune"), Closed(3, output_tokens=20), TWO, lookahead=3, batch=2, decoding=decoding
    )
    alone, _ = decode(replace(setup, method=Autoregressive(), width=4), *pair, texts)
    for after in range(0, 41, 8):
        faults = Faults(dies_after=after, dies=DEATHS[after // 8 % 3])
        run, _ = survives(setup, pair, texts, faults)
        assert outputs(run) == outputs(alone)


@pytest.mark.parametrize("dies", DEATHS)
def test_a_run_without_its_target_leaves_what_there_is(dies, tmp_path):
    for after in range(9):
        setup = setup_for(Ssd(), DECODINGS[0])
        faults = Faults(dies_after=after, dies=dies)
        hire = partial(InlineCrew, PAIR.target, PAIR.draft, target_faults=faults)
        execution = Execution(setup, hire, HERE, tasks(TEXTS))
        with pytest.raises(WorkerLost, match="the target worker is gone: it"):
            execution.run()
        run = execution.result()
        run.save(tmp_path / str(after))
        found = load_run(tmp_path / str(after))
        assert found.info["complete"] is False
        assert found.info["draft_lost"] is None
        assert found.tables == run.tables
        assert set(found.sequences.reason) <= {"cut", "length"}
        for text, whole in zip(found.sequences.output, undisturbed(setup), strict=True):
            assert tuple(() if text is None else text) == whole[: 0 if text is None else len(text)]
    assert len(found.rounds)
