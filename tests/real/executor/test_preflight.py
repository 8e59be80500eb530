"""What fits and what does not, to the token and to the byte."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from real_commands import Inline, at_work

from ssdreal.executor import preflight
from ssdreal.executor.baselines import compare
from ssdreal.executor.pair import Pair
from ssdreal.executor.preflight import check_pair, check_room, context, reach
from ssdreal.executor.request import Request
from ssdreal.executor.setup import Setup
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import Description
from ssdreal.places.topology import Cpu
from ssdreal.workers.hiring import Hiring
from ssdreal.workers.remote import Remote
from ssdsim.errors import ConfigError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.random_outcomes import RandomOutcomes
from ssdsim.sampling.settings import Decoding
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

PAIR = Pair("tiny_target", "tiny_draft")
MODELS = check_pair(PAIR, "bfloat16")


def task(length, name="prompt"):
    return Task(name, "test", [5 + at % 50 for at in range(length)])


def request(**changes):
    setup = Setup(Ssd(), Closed(prompts=2, output_tokens=6), lookahead=3, batch=2)
    return Request(replace(setup, **changes), PAIR, Cpu())


def longest(asked):
    """Return the longest prompt that the check lets pass."""
    return context(MODELS) - asked.setup.workload.output_tokens - reach(asked.setup.lookahead)


# The context


@pytest.mark.parametrize("method", [Ssd(), Speculative(), Autoregressive()])
@pytest.mark.parametrize(("lookahead", "output"), [(0, 6), (1, 1), (3, 6), (7, 1)])
def test_the_last_token_that_fits_can_be_decoded(method, lookahead, output):
    """So nothing looks beyond the context: trees, junk in a row, and baselines included."""
    workload = Closed(prompts=2, output_tokens=output)
    asked = request(method=method, lookahead=lookahead, workload=workload)
    tasks = [task(longest(asked)), task(9, "short")]
    check_room(asked, MODELS, tasks)
    sitting = Sitting(PAIR, "bfloat16", context=context(MODELS), hire=Inline)
    with at_work(Inline):
        places = asked.topology.places(method.draft_on)
        running = sitting.execution(asked.setup, places, tasks)
        running.run()
        run = running.result()
        runs = compare(run, asked.setup, sitting, asked.topology, tasks)
    assert running.lost is None
    assert run.sequences.tokens.tolist() == [output, output]
    assert run.metrics["token_mismatches"] == 0
    assert runs["sd"].info["config"]["lookahead"] <= max(lookahead, 1)


@pytest.mark.parametrize("lookahead", [1, 3])
def test_one_token_more_does_not_fit(lookahead):
    asked = request(lookahead=lookahead)
    length = longest(asked) + 1
    with pytest.raises(ConfigError) as error:
        check_room(asked, MODELS, [task(length)])
    assert str(error.value) == (
        f"workload.output_tokens=6: beside the {length} tokens of prompt 'prompt' the context "
        "has room for 5"
    )


@pytest.mark.parametrize("length", [0, 512, 600])
def test_a_prompt_must_fit_and_have_tokens(length):
    with pytest.raises(ConfigError, match=f"prompts='prompt': has {length} tokens"):
        check_room(request(), [replace(model, context=512) for model in MODELS], [task(length)])


def test_a_prompt_has_no_ids_that_the_target_lacks():
    foreign = replace(task(3, "foreign"), tokens=[1, MODELS[0].vocabulary, 2])
    right = f"^prompts='foreign': its tokenizer gives ids up to {MODELS[0].vocabulary}, the target"
    with pytest.raises(ConfigError, match=right):
        check_room(request(), MODELS, [foreign])


def test_what_fits_with_no_prompt_needs_no_prompt_to_be_refused():
    most = context(MODELS) - reach(3) - 1
    check_room(request(workload=Closed(output_tokens=most)), MODELS)
    with pytest.raises(ConfigError, match=f"has room for {most}"):
        check_room(request(workload=Closed(output_tokens=most + 1)), MODELS)
    with pytest.raises(ConfigError, match="lookahead=99999: "):
        check_room(request(lookahead=99999), MODELS)


def test_a_policy_must_fit_the_lookahead():
    check_room(request(policy=FixedFanout(fanout=(1, 1, 1, 1))), MODELS)
    with pytest.raises(ConfigError, match=r"policy\.fanout=.*lookahead \+ 1 = 4"):
        check_room(request(policy=FixedFanout(fanout=(1,) * 5)), MODELS)


def test_a_target_speaks_amid_trees_on_a_host_alone():
    asked = request(method=TwoPhase(0.5), tree=Widths((2, 1)))
    check_room(asked, MODELS)
    places = asked.topology.places(None)
    device = replace(places, target=replace(places.target, device="cuda:0"))
    gpu = SimpleNamespace(places=lambda _: device)
    check_room(replace(asked, topology=gpu, setup=request().setup), MODELS)
    with pytest.raises(ConfigError, match=r"^tree='widths': .*: on a GPU a target"):
        check_room(replace(asked, topology=gpu), MODELS)


# Memory

BYTES = {"bytes": 1 << 30, "device_bytes": 1 << 29}
LARGE = Description("large", 1000, 800, 4096, **BYTES, layers=2, kv_heads=4, head_dim=64)
ENTRY = 2 * 2 * 4 * 64 * 2  # keys and values, layers, heads, entries, bytes


def needed(monkeypatch, asked, loaded=False):
    """Return the fewest free bytes with which a request passes."""
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high) // 2
        monkeypatch.setattr(preflight, "_free_memory", lambda free=middle: free)
        try:
            check_room(asked, (LARGE, LARGE), [task(100)], loaded)
        except ConfigError:
            low = middle + 1
        else:
            high = middle
    return low


def test_memory_is_weights_and_caches_and_pages(monkeypatch):
    setup = Setup(Speculative(), Closed(prompts=8, output_tokens=20), lookahead=3, batch=1)
    one = needed(monkeypatch, Request(setup, PAIR, Cpu()))
    four = needed(monkeypatch, Request(replace(setup, batch=4), PAIR, Cpu()))
    assert four - one == 3 * ENTRY * (128 + 128)  # 100 + 20 + 4 entries of either model
    processes = 2 * preflight.PROCESS_BYTES
    assert one == 2 * LARGE.bytes + processes + ENTRY * (128 + 128)
    assert needed(monkeypatch, Request(setup, PAIR, Cpu()), loaded=True) == ENTRY * 256
    warm = replace(setup, decoding=Decoding(temperature=1.0))
    pages = 3 * 3 * 800 * 4  # three pages, K tokens of one branch, the head of float32
    assert needed(monkeypatch, Request(warm, PAIR, Cpu())) == one + pages


def test_the_line_names_what_is_too_large(monkeypatch):
    monkeypatch.setattr(preflight, "_free_memory", lambda: 1 << 10)
    with pytest.raises(ConfigError, match=r"pair='tiny_target, tiny_draft': needs about .* MB"):
        check_room(request(), MODELS)
    with pytest.raises(ConfigError, match=r"batch=9: needs about .* MB of memory, 0 MB are free"):
        check_room(request(batch=9, workload=Closed(9, output_tokens=300)), MODELS, loaded=True)


def test_a_container_may_have_less_memory_than_its_machine(tmp_path):
    left = preflight._left_in_container
    assert left(tmp_path) > 1 << 60
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("600\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 50\n")
    assert left(tmp_path) > 1 << 60
    (tmp_path / "memory.max").write_text("1000\n")
    assert left(tmp_path) == 450


# Room for branches


@pytest.mark.parametrize(
    ("policy", "branches"),
    [
        (FixedFanout(fanout=(4, 3, 1)), 8),  # its budget of 1024 is never spent
        (FixedFanout(fanout=(4, 3, 1), budget=2), 2),
        (FixedFanout(fanout=()), 1),
        (RandomOutcomes(budget=40), 40),
    ],
)
def test_there_is_room_for_as_many_branches_as_a_policy_may_ask_for(policy, branches):
    assert Setup(Ssd(), policy=policy, lookahead=3).branches()[0] == branches


# Sittings


class Counted(Inline):
    crews = ()

    def __enter__(self):
        Counted.crews += (self,)
        return self


@pytest.fixture
def sitting(monkeypatch):
    monkeypatch.setattr(Counted, "crews", ())
    with at_work(Counted):
        yield Sitting(PAIR, "float32", hire=Counted)


def measure(sitting, setup, tasks):
    return sitting.measure(setup, Cpu().places("target"), tasks)


def test_what_was_measured_is_not_measured_again(sitting):
    setup = Setup(Autoregressive(), Closed(2, output_tokens=4))
    tasks = [task(9), task(12)]
    first = measure(sitting, setup, tasks)
    assert measure(sitting, setup, tasks) is first
    # A method is not measured again for what it never asks for.
    assert measure(sitting, replace(setup, policy=RandomOutcomes(), lookahead=9), tasks) is first
    assert measure(sitting, replace(setup, batch=2), tasks) is not first
    assert measure(sitting, setup, [task(9), task(13)]) is not first
    assert len(Counted.crews) == 1


@pytest.mark.parametrize("role", ["target", "draft"])
def test_a_lost_worker_is_replaced(role, sitting):
    setup, tasks = Setup(Speculative(), Closed(1, output_tokens=4)), [task(9)]
    measure(sitting, setup, tasks)
    assert sitting.at_work
    remote: Remote = getattr(sitting.crew, role)
    remote.lost = "it died between two runs"
    assert not sitting.at_work
    assert measure(sitting, replace(setup, lookahead=2), tasks).info["draft_lost"] is None
    assert len(Counted.crews) == 2


def test_workers_are_hired_when_a_run_begins(sitting):
    running = sitting.execution(
        Setup(Ssd(), Closed(1, output_tokens=4)), Cpu().places("own"), [task(9)]
    )
    empty = running.result()
    assert not Counted.crews
    assert not empty.info["complete"]
    assert empty.sequences.tokens.tolist() == [0]
    running.run()
    assert Counted.crews[0].hirings == (
        Hiring("target", "tiny_target", "tiny_target", "float32", "cpu", vocabulary=64),
        Hiring("draft", "tiny_draft", "tiny_target", "float32", "cpu", vocabulary=64),
    )
