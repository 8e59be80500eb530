"""Real processes on a GPU write what the target alone does; the same tests hold on the host.

`pytest -m gpu tests/real/executor/test_on_gpu.py` runs those of a GPU. Passes of one shape are
compared bit by bit; where shapes differ, as with a token tree's mask, near ties may fall otherwise.
"""

from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from chisquare import goodness

from ssdreal.executor.pair import read_pair
from ssdreal.executor.setup import Setup
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.teacher_forcing import flips
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import describe
from ssdreal.places.topology import _gpus, topology
from ssdreal.serving.reader import Reader
from ssdreal.workers.loading import load
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.sampling.distributions import view
from ssdsim.sampling.settings import Decoding
from ssdsim.trees.chain import Chain
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

K = 3
GREEDY, GUMBEL, MAXIMAL = Decoding(), Decoding(1.0, "gumbel"), Decoding(1.0)
SPEAKING = TwoPhase(0.5, ExitTarget(6))
METHODS = [Speculative(), Speculative("own"), Ssd(), Ssd("prune", "all"), Pearl(), SPEAKING]
TIE = {"tiny": 1e-3, "smollm2": 0.3}
"""In logits: what passes of different shapes make of the same text, float32 and bfloat16."""

LATE = 1e-3
"""Seconds that a device's clock may be off from the host's."""


@dataclass(frozen=True)
class Where:
    """Where models run, and how a GPU computes their passes."""

    topology: str
    split: float | None = None
    passes: str = "graph"


GPU = (pytest.mark.gpu, pytest.mark.skipif(_gpus() == 0, reason="there is no GPU"))
HOST = pytest.param(Where("cpu"), id="cpu")
WHOLE, SPLIT, APART = (
    pytest.param(where, id=name, marks=GPU)
    for name, where in {
        "one_gpu": Where("one_gpu"),
        "split": Where("one_gpu", 0.6),
        "two_processes": Where("one_gpu_two_processes"),
    }.items()
)
EVERYWHERE = pytest.mark.parametrize("where", [HOST, WHOLE, SPLIT, APART])


class Bench:
    """Models in real processes, loaded once for all tests."""

    def __init__(self, exits):
        self.exits, self.sittings = exits, {}

    def run(self, where, setup, pair="tiny"):
        """Decode this many of the prompts."""
        running = self.execution(where, setup, pair)
        running.run()
        assert running.lost is None
        run = running.result()
        assert run.info["complete"]
        assert list(run.sequences.tokens) == [setup.workload.output_tokens] * len(running.tasks)
        return run

    def execution(self, where, setup, pair="tiny"):
        sitting = self._sitting(pair, where)
        places = topology(where.topology, where.split).places(setup.method.draft_on)
        tasks = prompts(read_pair(pair).target, setup.workload.prompts)
        return sitting.execution(setup, places, tasks)

    def _sitting(self, pair, where):
        # The host computes in one way only; a second crew would take a while to start.
        key = pair, where.topology, "" if where.topology == "cpu" else where.passes
        if key not in self.sittings:
            dtype = "float32" if pair == "tiny" else "bfloat16"
            sitting = Sitting(read_pair(pair), dtype, passes=where.passes)
            self.sittings[key] = self.exits.enter_context(closing(sitting))
        return self.sittings[key]


@pytest.fixture(scope="module")
def bench():
    with ExitStack() as exits:
        yield Bench(exits)


def prompts(target, count):
    """Return prompts of several lengths; the first ones are as long as the third again."""
    rng, vocabulary = np.random.default_rng(0), describe(target).vocabulary
    texts = [rng.integers(vocabulary, size=4 + 5 * (at % 3)).tolist() for at in range(count)]
    return [Task(str(at), "ids", text) for at, text in enumerate(texts)]


def texts(run):
    return [tuple(output.tolist()) for output in run.sequences.output]


def asked(method, decoding=GREEDY, batch=1, count=4, tokens=24, **more):
    return Setup(
        method,
        Closed(count, output_tokens=tokens),
        lookahead=K,
        batch=batch,
        decoding=decoding,
        seed=3,
        **more,
    )


def own(setup):
    """Return the target alone, in passes of the same shape."""
    return replace(setup, method=Autoregressive(), width=setup.pass_width, tree=Chain())


def writes_the_target_s_own(bench, where, decoding, batch, pair="tiny", methods=METHODS, **more):
    for method in methods:
        setup = asked(method, decoding, batch, **more)
        assert texts(bench.run(where, setup, pair)) == texts(bench.run(where, own(setup), pair))


@EVERYWHERE
@pytest.mark.parametrize(("decoding", "batch"), [(GREEDY, 1), (GUMBEL, 3)], ids=["1", "3"])
def test_the_text_is_the_target_s_own(bench, where, decoding, batch):
    writes_the_target_s_own(bench, where, decoding, batch)


@pytest.mark.parametrize(
    "where", [pytest.param(Where("cpu"), id="cpu", marks=pytest.mark.slow), WHOLE, SPLIT]
)
@pytest.mark.parametrize(("decoding", "batch"), [(GREEDY, 1), (GUMBEL, 3)], ids=["1", "3"])
def test_so_it_is_with_the_default_pair(bench, where, decoding, batch):
    methods = [Speculative(), Ssd()]
    writes_the_target_s_own(bench, where, decoding, batch, "smollm2", methods, tokens=16)


@pytest.mark.parametrize("where", [HOST, WHOLE])
@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL, MAXIMAL], ids=str)
def test_graphs_write_what_operations_one_by_one_do(bench, where, decoding):
    setup = asked(Ssd(), decoding, batch=2)
    eager = replace(where, passes="eager")
    assert texts(bench.run(where, setup)) == texts(bench.run(eager, setup))


@EVERYWHERE
def test_what_is_drawn_is_what_the_target_believes(bench, where):
    """Chi-square of first tokens against the target's own distribution, at another one too."""
    model, (task,) = load("tiny_target", "float32"), prompts("tiny_target", 1)
    reader = Reader(model, 1, 64, fixed=False)
    (logits,) = reader.read({0: (task.tokens, len(task.tokens) - 1)})[0]
    counts = Counter()
    for seed in range(2):
        # Only every third prompt has the first one's length, so all are made to be the first.
        setup = replace(asked(Ssd(), MAXIMAL, 8, count=100, tokens=2), seed=seed)
        running = bench.execution(where, setup)
        running.tasks[:] = [task] * 100
        running.run()
        counts += Counter(text[0] for text in texts(running.result()))
    for temperature, fits in ((1.0, True), (2.0, False)):
        p = dict(enumerate(view(logits, temperature, None, 0, 1.0).probabilities.tolist()))
        assert (goodness(counts, p) > 1e-3) is fits


@EVERYWHERE
@pytest.mark.parametrize("method", [Speculative(), Ssd()], ids=["speculative", "ssd"])
def test_token_trees_differ_at_near_ties_alone(bench, where, method):
    setup = asked(method, batch=2, tree=Widths((2, 2, 1)))
    found = texts(bench.run(where, setup))
    assert flips(bench.execution(where, own(setup)), found).lead < TIE["tiny"]
    shifted = [(*text[1:], text[0]) for text in found]
    assert flips(bench.execution(where, own(setup)), shifted).lead > 10 * TIE["tiny"]


@EVERYWHERE
@pytest.mark.parametrize("method", [Speculative("own"), Ssd()], ids=["speculative", "ssd"])
def test_times_are_in_order_and_inside_their_rounds(bench, where, method):
    run = bench.run(where, asked(method, count=2))
    spans, rounds = run.spans, run.rounds.set_index(["seq", "round"])
    assert (spans.end > spans.start).all()
    for _, lane in spans.groupby("lane"):
        ordered = lane.sort_values("start")
        assert (ordered.start.to_numpy()[1:] >= ordered.end.to_numpy()[:-1] - 1e-6).all()
    inside = spans[spans.kind.isin(["verify", "speculate"])]
    assert {"target", "draft"} <= set(inside.lane)
    for span in inside.itertuples():
        its = rounds.loc[span.seq, span.round]
        assert its.start - LATE <= span.start <= span.end <= its.end + LATE
    verifies = spans[spans.kind == "verify"]
    assert len(verifies) == len(rounds)
    assert run.metrics["idle"] < 1


@pytest.mark.parametrize("where", [HOST, WHOLE, SPLIT, APART])
def test_a_run_says_what_it_had(bench, where):
    run = bench.run(where, asked(Ssd(), count=1))
    given = [one for device in run.info["devices"] for one in device.get("given", {}).values()]
    if where.topology == "cpu":
        assert given == []
        return
    counts = [one["multiprocessors"] for one in given]
    there = torch.cuda.get_device_properties(0).multi_processor_count
    split = where.split is not None and not any(one["whole"] for one in given)
    assert sum(counts) == there if split else set(counts) == {there}
