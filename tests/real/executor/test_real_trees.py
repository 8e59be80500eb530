"""Token trees on real models: the text is the target's own, and a round is what its tree says."""

from dataclasses import replace
from itertools import product

import pytest
from enumerable import random_pair
from inline_crew import Faults, decode, outputs
from invariants import all_holds
from real_commands import SSD, refused
from reference_decoding import written
from tiny_runs import GREEDY, GUMBEL, MODELS, prompts, short

from ssdreal.channel.messages import Verify
from ssdreal.executor.setup import Setup
from ssdsim.backups.random import Random
from ssdsim.lengths.concurrency import Concurrency
from ssdsim.lengths.goodput import Goodput
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.outcomes import depths, path_to
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.distributions import sample
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.settings import Decoding
from ssdsim.trees.base import parents_of
from ssdsim.trees.chain import Chain
from ssdsim.trees.confident import Confident
from ssdsim.trees.listed import Listed
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

WARM = Decoding(1.0)
METHODS = [Speculative(), Speculative("own"), Ssd(), Ssd("prune", "all"), Ssd("truncate")]
TREES = [
    (Widths((2, 2, 1)), 4),
    (Listed(), 5),
    (Confident(beam=3, children=4, most=12), 4),
    (Widths((1,)), 2),
]
IDS = [None, (0, 2, 3, 5, 6)]


def tree_run(method, tree, lookahead, pair, decoding=GREEDY, batch=3, **more):
    setup = short(method, decoding, batch, lookahead=lookahead, tree=tree, **more)
    run, crew = decode(setup, *pair, prompts())
    all_holds(setup, run)
    return setup, run, crew


def alone(setup, pair):
    """Return what the target writes alone, in passes of the same shape."""
    own = replace(setup, method=Autoregressive(), width=setup.pass_width, tree=Chain())
    return outputs(decode(own, *pair, prompts())[0])


@pytest.mark.parametrize(("tree", "lookahead"), TREES, ids=str)
def test_the_text_is_the_targets_own_bit_by_bit(tree, lookahead):
    decodings = (GREEDY, *GUMBEL[:2], WARM)  # at maximal too: best children have q = 1
    for at, decoding in enumerate(decodings):
        method, batch = METHODS[(at + lookahead) % 5], (1, 3)[at % 2]
        dtype = ("float32", "bfloat16")[(at + lookahead) // 2 % 2]
        pair = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
        setup, run, _ = tree_run(method, tree, lookahead, pair, decoding, batch)
        assert outputs(run) == alone(setup, pair), (method, decoding)


def test_so_it_is_where_the_target_speaks_amid_trees():
    phases = {"first_depth": 9, "second_depth": 9}
    methods = TwoPhase(0.5, **phases), TwoPhase(0.9, on_outcome="prune", **phases), TwoPhase(0.5)
    for at, decoding in enumerate((GREEDY, *GUMBEL[:2], WARM)):
        how, (tree, lookahead) = methods[at % 3], TREES[at]
        dtype = ("float32", "bfloat16")[at % 2]
        pair = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
        policy = UniformFanout(budget=6, fanout=2)
        setup, run, _ = tree_run(
            how, tree, lookahead, pair, decoding, (1, 3)[at % 2], policy=policy
        )
        assert outputs(run) == alone(setup, pair), (how, tree, decoding)
        assert (run.spans.kind == "transfer").sum() == (run.spans.kind == "verify").sum()


def test_sampled_siblings_write_what_ordinary_speculation_does_in_two_phases():
    pair = MODELS("tiny_target", "float32"), MODELS("tiny_draft", "float32")
    tree, policy = Widths((2, 2), children="sampled"), UniformFanout(budget=6, fanout=2)
    texts = [
        outputs(tree_run(method, tree, 3, pair, WARM, policy=policy)[1])
        for method in (Speculative(), TwoPhase(0.5, first_depth=9, second_depth=9))
    ]
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_every_method_and_tree_writes_the_same():
    pair = MODELS("tiny_target", "float32"), MODELS("tiny_draft", "float32")
    texts = {
        tuple(outputs(tree_run(method, tree, lookahead, pair, decoding)[1]))
        for method, (tree, lookahead) in product(METHODS, [*TREES, (Chain(), 6)])
        for decoding in (GREEDY, GUMBEL[0])
    }
    assert len(texts) == 2


@pytest.mark.parametrize(("tree", "lookahead"), TREES, ids=str)
@pytest.mark.parametrize("ids", IDS)
def test_so_it_is_whatever_models_make_of_a_text(tree, lookahead, ids):
    # Logits that differ after any two texts, and are no number where a token sees no text.
    pair, texts = random_pair(5, ids=ids), prompts(4, 8)
    faults = {"draft_faults": Faults(stop_after=lambda number: number % 3)}
    decodings = (GREEDY, GUMBEL[0], WARM)
    for at, method in enumerate(METHODS):
        decoding = decodings[(at + lookahead) % 3]
        setup = Setup(
            method,
            Closed(4, output_tokens=9),
            (UniformFanout(fanout=1), UniformFanout(fanout=2))[at % 2],
            Random() if at % 3 == 1 else Setup(method).backup,
            lookahead=lookahead,
            batch=1 + at % 3,
            decoding=decoding,
            seed=at,
            tree=tree,
        )
        run, _ = decode(setup, pair.target, pair.draft, texts, **faults)
        all_holds(setup, run)
        own = own_samples if decoding.needs_probabilities else written
        assert outputs(run) == [own(pair, setup, seq, text) for seq, text in enumerate(texts)]


def own_samples(pair, setup, seq, prompt):
    """Return what the target samples alone."""
    noise, text = Noise(setup.seed, seq), tuple(prompt)
    for _ in range(setup.workload.output_tokens):
        uniform = noise.uniform(len(text), "bonus")
        text = (*text, sample(pair.p(setup.decoding, text), uniform))
    return text[len(prompt) :]


def test_a_round_is_the_way_to_the_last_accepted_node():
    pair = random_pair(5)
    _, run, crew = tree_run(Speculative(), Widths((2, 2)), 2, (pair.target, pair.draft))
    parents, deep = parents_of(Widths((2, 2)).shape(2)), set()
    rounds = run.rounds.set_index(["seq", "round"])
    for command, value in crew.channels["target"].log:
        if not isinstance(command, Verify):
            continue
        for line, block, (node, token) in zip(
            command.lines, command.blocks, value.outcomes, strict=True
        ):
            assert block.parents == parents
            row = rounds.loc[line.seq, line.round]
            depth = depths(parents)[node]
            left = 20 - (len(line.tokens) - len(prompts()[line.seq]))
            assert row.accepted == min(depth, left - 1)
            assert row.drafted == 6
            if depth < left:
                assert row.token == token
            written_here = [block.tokens[at - 1] for at in path_to(parents, node)]
            assert outputs(run)[line.seq][20 - left :][:depth] == tuple(written_here)[:left]
            deep.add(node)
    assert deep >= {0, 1, 4, 6}  # also on the draft's second choices


def test_a_trees_children_are_the_drafts_best_level_by_level():
    pair = random_pair(3)
    _, _, crew = tree_run(Speculative(), Confident(2, 3, 7), 3, (pair.target, pair.draft))
    shapes = set()
    for command, _ in crew.channels["target"].log:
        if not isinstance(command, Verify):
            continue
        for line, block in zip(command.lines, command.blocks, strict=True):

            def after(path, text=line.tokens):
                q = softmaxed(pair, walked(pair, text, path))
                return sorted(q, reverse=True)

            paths = Confident(2, 3, 7).grow(3, after)
            assert block.parents == parents_of(paths)
            assert block.tokens == tuple(walked(pair, line.tokens, path)[-1] for path in paths)
            shapes.add(block.parents)
    assert len(shapes) > 3


def softmaxed(pair, text):
    return pair.q(Decoding(1.0), tuple(text))


def walked(pair, text, path):
    """Return a text and the draft's candidates of these ranks behind it."""
    for rank in path:
        q = softmaxed(pair, text)
        text = (*text, sorted(range(len(q)), key=lambda token, q=q: -q[token])[rank])
    return text


def test_a_tree_that_is_cut_short_has_its_first_levels():
    pair = MODELS("tiny_target", "float32"), MODELS("tiny_draft", "float32")
    setup, run, _ = tree_run(Speculative(), Widths((2, 2)), 4, pair, length=Goodput())
    assert outputs(run) == alone(setup, pair)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("method=pearl", "tree=widths"), "tree='widths': method=pearl drafts chains alone"),
        (("method=amusd", "tree=listed"), "tree='listed': method=amusd drafts chains alone"),
        (("tree=widths", "tree.children=sampled"), "tree.children='sampled': needs coupling="),
        (("tree=widths", "length=confidence"), "tree='widths': length=confidence ends a chain"),
        (("tree=widths", "tree.widths=[1,1,1,1,2]"), "tree.widths=[1, 1, 1, 1, 2]: needs at most"),
        (("tree=widths", "tree.widths=[65]"), "tree: children of a node=65: needs at most the 64"),
        (("tree=listed",), "lookahead=4: needs the tree's depth, 5"),
        (("tree=widths", "temperature=1", "saguaro.constant=0.5"), "saguaro.constant: has no"),
    ],
)
def test_what_cannot_be_is_refused(arguments, said, capsys, tmp_path):
    assert said in refused(capsys, tmp_path / "run", *SSD, *arguments)


@pytest.mark.parametrize("method", [Speculative(), Ssd()], ids=["speculative", "ssd"])
def test_live_rows_share_the_nodes_of_trees(method):
    pair = MODELS("tiny_target", "float32"), MODELS("tiny_draft", "float32")
    tree = Confident(beam=3, children=4, most=12)
    setup, run, _ = tree_run(method, tree, 3, pair, length=Concurrency(peak=16, scale=0.25))
    assert outputs(run) == alone(setup, pair)
    rows = run.rounds.groupby("start").seq.transform("size")
    drafted = run.rounds[run.rounds.speculator != "none"].groupby(rows).drafted
    # 16 / 3 - 1 nodes a row while there are three, and 12, as the tree has it, for the last one.
    most = drafted.max().to_dict()
    assert most[3] == 4
    assert most.get(1, 12) == 12
