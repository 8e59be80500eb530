"""Trees that shrink as the live batch grows: `length=concurrency` shares nodes out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.acceptance.iid import Iid
from ssdsim.engine.simulation import Simulation
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.latency.roofline import Roofline
from ssdsim.lengths.concurrency import Concurrency
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.trees.base import halving
from ssdsim.trees.chain import Chain
from ssdsim.trees.confident import Confident
from ssdsim.trees.listed import Listed
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

TREE = Confident(beam=4, children=3, most=20)


@given(st.integers(0, 999), st.integers(1, 5), st.integers(0, 20))
def test_a_narrow_beam_finds_the_best_few_nodes_all_the_same(seed, depth, more):
    known, rng = {}, np.random.default_rng(seed)

    def after(path):
        if path not in known:
            known[path] = sorted(rng.dirichlet([0.5] * 6), reverse=True)
        return known[path]

    wide, nodes = Confident(beam=99, children=6, most=60), depth + more
    cut = wide.at_most(nodes)
    assert cut == Confident(min(99, nodes), min(6, nodes), min(60, nodes))
    assert cut.grow(depth, after) == Confident(99, 6, nodes).grow(depth, after)
    assert len(cut.grow(depth, after)) <= nodes


def test_a_chain_is_as_long_as_it_is_deep():
    assert Chain().at_most(3) == Chain()


@pytest.mark.parametrize("tree", [Widths((2, 1)), Listed()])
def test_a_tree_that_does_not_know_its_best_nodes_is_refused(tree):
    setup = Setup(
        Speculative(), Iid(), machine(), lookahead=5, tree=tree, length=Concurrency(peak=64)
    )
    with pytest.raises(ConfigError, match=f"tree='{type(tree).__name__.lower()}': does not shrink"):
        Simulation(setup)


@pytest.mark.parametrize(
    ("rows", "depth", "nodes"),
    [(1, 4, 20), (2, 4, 20), (4, 4, 15), (8, 3, 7), (16, 2, 3), (32, 1, 1), (33, 0, 0)],
)
def test_nodes_and_depth_of_a_row(rows, depth, nodes):
    # C_peak = 64: N = 64, 32, 16, 8, 4, 2 tokens a row, one of them the bonus token's.
    control = Concurrency(peak=64).start(4)
    assert control.limit(rows, len) == depth
    tree = control.within(TREE)
    assert tree.nodes(depth) == nodes
    assert len(tree.grow(depth, halving)) == nodes


def test_a_verify_computes_as_many_nodes_as_the_batch_leaves_room_for():
    run = simulate(
        Setup(
            Speculative(), Iid(), machine(), Closed(16, 0, 200, output_spread=0.7), lookahead=4,
            batch=16, length=Concurrency(64), tree=TREE,
        )
    )  # fmt: skip
    verifies = run.spans[run.spans.kind == "verify"]
    assert set(verifies.batch) >= {1, 4, 16}
    for batch, tokens in zip(verifies.batch, verifies.tokens, strict=True):
        assert tokens == batch * (1 + TREE.at_most(64 // batch - 1).nodes(_depth(batch)))
        assert tokens <= 64
    drafted = run.spans[run.spans.kind == "speculate"]
    assert all(drafted.tokens.to_numpy() == (verifies.tokens - verifies.batch).to_numpy())


def _depth(batch):
    return min(4, int(np.log2(64 / batch)))


def test_drafting_fewer_nodes_takes_less():
    # The lone row of a batch of 4 drafts what there is room for among 4 rows: 15 nodes of a beam
    # of 4. Among 16 rows there are 3 nodes at two levels, a pass over one node and one over two.
    seconds = {}
    for batch in (4, 16):
        run = simulate(
            Setup(
                Speculative(), Iid(), machine(step=0.25, tree=0.5), Closed(batch, 0, 2),
                lookahead=4, batch=batch, length=Concurrency(64), tree=TREE,
            )
        )  # fmt: skip
        spans = run.spans[run.spans.kind == "speculate"]
        seconds[batch] = (spans.end - spans.start).iloc[0]
    assert seconds == {4: pytest.approx(0.25 + 3 * 0.5), 16: pytest.approx(0.25 + 0.5)}


@pytest.mark.parametrize("method", [Speculative(), Ssd(), Ssd("prune")])
def test_one_row_with_room_for_all_is_drafted_for_as_ever(method):
    runs = [
        simulate(
            Setup(method, Iid(), machine(tree=0.3), Closed(3, 0, 60), TopkOutcomes(budget=4),
                  lookahead=4, length=length, tree=TREE)
        )
        for length in (Fixed(), Concurrency(peak=64))
    ]  # fmt: skip
    assert all(runs[0].tables[name].equals(table) for name, table in runs[1].tables.items())


# By what a draft of mean acceptance knows, the best fixed tree (Sequoia)


@pytest.mark.parametrize("accept", [(0.8, 0.5, 0.7), (0.6,)])
def test_a_tree_of_mean_chances_commits_as_much_as_its_nodes_are_worth(accept):
    # Every node adds its chance: Π over its way of α_j, or (1 - α_j)·(miss(r - 1) - miss(r)).
    source, tree = ByDepth(accept, miss_scale=0.6), Confident(beam=9, children=3, most=9)
    miss = source.surprise().miss()

    def after(path):
        right = accept[min(len(path), len(accept) - 1)]
        return [right, *((1 - right) * (miss(rank - 1) - miss(rank)) for rank in (1, 2))]

    paths = tree.grow(3, after)
    worth = sum(np.prod([after(p[:at])[place] for at, place in enumerate(p)]) for p in paths)
    setup = Setup(Speculative(), source, machine(), Closed(4, 8, 3000), lookahead=3, tree=tree)
    run = simulate(setup)
    assert set(run.rounds.drafted) == {9}
    ci = run.metrics["ci95"]["acceptance_length"]
    assert run.metrics["acceptance_length"] == pytest.approx(1 + worth, abs=1.5 * ci)
    chain = simulate(Setup(Speculative(), source, machine(), setup.workload, lookahead=3)).metrics
    assert run.metrics["acceptance_length"] > chain["acceptance_length"] + 2 * ci


def test_a_wide_verify_costs_what_its_nodes_do():
    # Past the peak of an H100, the same tree for every row is slower than what there is room for.
    gpu = Machine(Roofline("llama31_8b", "h100"), Roofline("qwen3_0.6b", "h100"))
    setup = {"lookahead": 6, "batch": 64, "tree": Confident()}
    shared, fixed = (
        simulate(
            Setup(Speculative(), Iid(), gpu, Closed(64, 64, 60), length=length, **setup)
        ).metrics
        for length in (Concurrency(peak=256), Fixed())
    )
    assert fixed["acceptance_length"] > shared["acceptance_length"]
    assert fixed["tokens_per_s"] < shared["tokens_per_s"]
