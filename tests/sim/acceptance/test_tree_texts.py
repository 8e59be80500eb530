"""Token trees over every source: what is accepted, and what is refused."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from omegaconf import OmegaConf
from scripted import machine, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.acceptance.recorded import Recorded
from ssdsim.command.applicable import refuse_idle_options
from ssdsim.engine.simulation import Simulation
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Link
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.options.plugins import plugins
from ssdsim.sampling.settings import Sampling
from ssdsim.theory import tree_length
from ssdsim.trees.chain import Chain
from ssdsim.trees.confident import Confident
from ssdsim.trees.listed import Listed
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

IID = Iid(miss_scale=0.6)
WARM = Sampling(1.0)
DETERMINISTIC = [Sampling(0.0), Sampling(1.0, "gumbel")]
SHAPES = [Widths((2, 1, 2)), Widths((3,)), Confident(beam=3, children=3, most=9)]


@pytest.mark.parametrize("method", [Speculative(), Ssd(), Ssd("truncate")], ids=str)
@pytest.mark.parametrize(
    ("acceptance", "sampling", "children"),
    [
        (IID, Sampling(), "best"),
        (ByDepth((0.8, 0.4), miss_scale=0.6), Sampling(), "best"),
        (LanguageModel(), Sampling(), "best"),
        (LanguageModel(), Sampling(1.0, "gumbel"), "best"),
        (LanguageModel(), WARM, "sampled"),
    ],
)
@pytest.mark.parametrize("policy", ["topk_outcomes", "uniform_fanout"])
def test_a_tree_of_width_1_is_the_chain(method, acceptance, sampling, children, policy):
    chain_setup = Setup(
        method,
        acceptance,
        machine(step=0.15, glue=0.07, tree=0.4),
        Closed(5, 4, 40),
        plugins("policy")[policy](),
        lookahead=4,
        batch=2,
        sampling=sampling,
    )
    tree_setup = replace(chain_setup, tree=Widths((1, 1), children))
    assert simulate(tree_setup).tables == simulate(chain_setup).tables


@pytest.mark.parametrize("tree", SHAPES, ids=str)
@pytest.mark.parametrize("sampling", [*DETERMINISTIC, WARM], ids=str)
def test_best_children_write_what_the_target_alone_would(tree, sampling):
    alone, *others = (
        [list(output) for output in simulate(setup).sequences.output]
        for setup in (
            Setup(
                method,
                LanguageModel(),
                machine(),
                Closed(3, 4, 40),
                plugins("policy")["topk_outcomes"](),
                lookahead=3,
                sampling=sampling,
                tree=grown,
            )
            for method, grown in (
                (Autoregressive(), Chain()),
                (Speculative(), tree),
                (Ssd(), tree),
                (Ssd("truncate"), tree),
            )
        )
    )
    assert all(other == alone for other in others)


@pytest.mark.parametrize("sampling", DETERMINISTIC, ids=str)
@pytest.mark.parametrize("method", [Speculative(), Ssd()], ids=str)
def test_a_recording_replays_the_trees_of_its_pair(sampling, method, tmp_path):
    record(LanguageModel(), tmp_path, [sampling], sequences=6, tokens=60)
    setup = Setup(
        method,
        LanguageModel(),
        machine(),
        Closed(6, 4, 50),
        plugins("policy")["uniform_fanout"](),
        lookahead=3,
        sampling=sampling,
        tree=Widths((2, 1, 2)),
    )
    pair = LanguageModel().open(sampling, np.random.default_rng(0))
    live = simulate(replace(setup, acceptance=Opened(pair)))
    replayed = simulate(replace(setup, acceptance=Recorded(str(tmp_path))))
    assert replayed.tables["rounds"] == live.tables["rounds"]


@dataclass(frozen=True)
class Opened:
    """A source that is open already."""

    source: object
    uses: ClassVar[frozenset[str]] = frozenset({"temperature", "coupling"})

    def open(self, sampling, rng):
        return self.source


@pytest.mark.slow
def test_a_recording_at_a_temperature_accepts_what_its_own_ranks_say(tmp_path):
    record(LanguageModel(), tmp_path, [WARM], sequences=12, tokens=120)
    setup = Setup(
        Speculative(), LanguageModel(), machine(), Closed(12, 4, 110), lookahead=3, sampling=WARM
    )
    for tree in SHAPES[:2]:
        lengths = [
            simulate(replace(setup, acceptance=source, tree=tree)).metrics
            for source in (LanguageModel(), Recorded(str(tmp_path)))
        ]
        live, replayed = (m["acceptance_length"] for m in lengths)
        ci = np.hypot(*(m["ci95"]["acceptance_length"] for m in lengths))
        assert replayed == pytest.approx(live, abs=1.5 * ci)


def test_difficulty_decides_how_often_a_level_holds_the_texts_token():
    # 1 - .4 * .6 * 2^-.7 with two children, at the two levels that have them.
    source, tree = Iid(alpha=0.6, miss_scale=0.6), Widths((2, 2))
    setup = Setup(Speculative(), source, machine(), Closed(4, 8, 3000), lookahead=3, tree=tree)
    metrics = simulate(setup).metrics
    wide = 1 - 0.4 * 0.6
    expected = tree_length([wide, wide, 0.6])
    ci = metrics["ci95"]["acceptance_length"]
    assert metrics["acceptance_length"] == pytest.approx(expected, abs=1.5 * ci)


@pytest.mark.parametrize(
    ("acceptance", "sampling", "tree", "said"),
    [
        (IID, Sampling(), Widths((2,), "sampled"), "tree.children='sampled'"),
        (LanguageModel(), Sampling(), Widths((2,), "sampled"), "tree.children='sampled'"),
        (LanguageModel(vocabulary=4), Sampling(), Widths((5,)), "tree: children of a node=5"),
        (IID, Sampling(), Widths((1, 1, 1, 2)), "tree.widths=.*at most lookahead = 3"),
        (IID, Sampling(), Widths((50, 50, 50)), "tree.widths=.*nodes"),
        (LanguageModel(), Sampling(), Confident(most=2), "tree.most=2"),
    ],
)
def test_trees_that_cannot_be_are_refused_before_they_are_drafted(acceptance, sampling, tree, said):
    setup = Setup(
        Speculative(),
        acceptance,
        machine(),
        lookahead=3,
        sampling=sampling,
        tree=tree,
    )
    with pytest.raises(ConfigError, match=said):
        Simulation(setup)


def test_eagles_tree_has_its_published_size():
    tree = Listed()
    assert (tree.nodes(5), max(map(len, tree.listed))) == (25, 5)
    assert [tree.nodes(depth) for depth in range(6)] == [0, 4, 12, 20, 23, 25]
    assert tree.passes(5) == (1, 4, 4, 1, 1)  # those of a level that have children
    tree.check(5)
    with pytest.raises(ConfigError, match="lookahead=4: needs the tree's depth, 5"):
        tree.check(4)


def test_a_chain_that_is_listed_is_the_chain():
    setup = Setup(Speculative(), IID, machine(), Closed(2, 4, 40), lookahead=2)
    listed = replace(setup, tree=Listed(((0,), (0, 0))))
    assert simulate(listed).tables == simulate(setup).tables


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (((0,), (1, 0)), r"tree.paths=\[1, 0\]: needs \[1\]"),
        (((0,), (2,)), r"tree.paths=\[2\]: needs \[1\]"),
        (((0,), (0,)), r"tree.paths=\[0\]"),
        (((-1,),), r"tree.paths=\[-1\]"),
    ],
)
def test_listed_nodes_must_be_a_tree(paths, said):
    with pytest.raises(ConfigError, match=said):
        Listed(paths)


@pytest.mark.parametrize("option", ["beam", "children", "most"])
def test_a_confident_tree_needs_positive_numbers(option):
    with pytest.raises(ConfigError, match=f"tree.{option}=0"):
        Confident(**{option: 0})


def test_a_method_without_trees_refuses_one():
    with pytest.raises(ConfigError, match="tree='widths': method=autoregressive"):
        Simulation(Setup(Autoregressive(), IID, machine(), tree=Widths()))


@pytest.mark.parametrize(("children", "size"), [("best", 8), ("sampled", 8 + 2 * 1000)])
def test_probabilities_travel_for_samples_alone(children, size):
    run = simulate(
        Setup(
            Speculative("own"),
            LanguageModel(),
            machine(link=Link(latency=0.1, bandwidth=1e6, vocabulary=1000)),
            Closed(1, 4, 1),
            lookahead=3,
            sampling=WARM,
            tree=Widths((2,), children),
        )
    )
    ((start, end),) = spans(run, "transfer", "start", "end")
    assert end - start == pytest.approx(0.2 + 6 * size / 1e6)  # two branches of three tokens


@pytest.mark.parametrize(("tree", "idle"), [(Widths((2,)), True), (Widths((2,), "sampled"), False)])
def test_saguaro_sampling_is_for_samples_alone(tree, idle):
    setup = Setup(Speculative(), LanguageModel(), machine(), lookahead=3, sampling=WARM, tree=tree)
    config = OmegaConf.create({"latency": {}})
    if not idle:
        refuse_idle_options(setup, config, ["saguaro.constant"])
        return
    with pytest.raises(ConfigError, match=r"saguaro\.constant: has no effect, this tree has"):
        refuse_idle_options(setup, config, ["saguaro.constant"])
