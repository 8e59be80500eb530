"""What holds in every simulated run, whatever the settings."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scripted import machine
from variants import fits, lengths, methods

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.marginal import Marginal
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.engine.workload import Workload
from ssdsim.latency.jitter import Lognormal
from ssdsim.latency.machine import Link, Power, Slowdown
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.options.plugins import plugins
from ssdsim.sampling.settings import Sampling
from ssdsim.trees.chain import Chain
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths

CLOSE = 1e-9

METHODS = [*methods(), Ssd(drafts=3), Ssd("prune", drafts=2)]
LENGTHS = lengths()
WITHOUT_SIGNALS = [length for length in LENGTHS if length.needs is None]
BACKUPS = [plugins("backup")["jit"](), Random(0.02), Ngram(seconds=0.01), Adaptive(), Marginal()]


@st.composite
def setups(draw):
    sampling = Sampling(
        draw(st.sampled_from([0.0, 1.0])), draw(st.sampled_from(["maximal", "gumbel"]))
    )
    tokens = st.booleans()
    with_tokens = draw(tokens)
    seconds = st.floats(0.01, 0.6)
    wide = machine(
        verify=draw(seconds) + 0.5,
        step=draw(seconds),
        glue=draw(st.floats(0, 0.3)),
        prefill=draw(st.sampled_from([0.0, 0.4])),
        link=Link(latency=draw(st.sampled_from([0.0, 0.05]))),
        slowdown=Slowdown(*draw(st.sampled_from([(1.0, 1.0), (1.3, 1.0), (1.5, 2.0)]))),
        target_jitter=Lognormal(draw(st.sampled_from([0.0, 0.3]))),
        target_power=Power(300.0, 50.0),
        draft_power=Power(200.0, 40.0),
    )
    policy = draw(st.sampled_from(sorted(plugins("policy"))))
    method, lookahead = draw(st.sampled_from(METHODS)), draw(st.integers(4, 6))
    if policy != "fixed_fanout":
        lookahead = draw(st.integers(0, 6))
    trees = grown(with_tokens, sampling) if "tree" in method.uses and lookahead > 1 else [Chain()]
    return Setup(
        method,
        LanguageModel(vocabulary=8) if with_tokens else Iid(alpha=draw(st.floats(0, 1))),
        wide,
        Workload(draw(st.integers(1, 5)), 4, draw(st.integers(1, 40))),
        plugins("policy")[policy](),
        draw(st.sampled_from(BACKUPS if with_tokens else BACKUPS[:2] + BACKUPS[3:])),
        lookahead=lookahead,
        batch=draw(st.integers(1, 4)),
        sampling=sampling if with_tokens else Sampling(),
        seed=draw(st.integers(0, 99)),
        length=draw(st.sampled_from(LENGTHS if with_tokens else WITHOUT_SIGNALS)),
        tree=draw(st.sampled_from(trees)),
    )


def grown(with_tokens, sampling):
    """Return trees that such a source can draft."""
    trees = [Chain(), Widths((2, 3)), Widths((1, 2)), Confident(beam=3, children=3, most=8)]
    if not with_tokens:
        return trees
    random = sampling.temperature > 0 and sampling.coupling == "maximal"
    sampled = [Widths((2, 2), "sampled")] if random else []
    return [*trees, *sampled]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(setups())
def test_invariants(setup):
    assume(fits(setup))
    all_holds(setup, simulate(setup))


def all_holds(setup, run):
    tokens_are_conserved(setup, run)
    time_goes_forward(run)
    lanes_do_one_thing_at_a_time(run)
    work_is_used_or_wasted(setup.method, run)
    hits_were_predicted(run)


def tokens_are_conserved(setup, run):
    asked = setup.workload.output_tokens
    assert list(run.sequences.tokens) == [asked] * setup.workload.prompts
    delivered = run.rounds.groupby("seq").accepted.agg(lambda a: (a + 1).sum())
    assert list(delivered) == [asked] * setup.workload.prompts
    assert (run.rounds.accepted <= run.rounds.drafted).all()
    outputs = run.sequences.output.dropna()
    assert all(len(output) == asked for output in outputs)


def time_goes_forward(run):
    for table in (run.rounds, run.spans):
        assert (table.end >= table.start).all()
    sequences = run.sequences
    assert (sequences.admitted <= sequences.first_token).all()
    assert (sequences.first_token <= sequences.finish).all()
    by_sequence = run.rounds.groupby("seq")
    assert (by_sequence.start.diff().dropna() >= 0).all()
    assert (run.rounds.start >= by_sequence.end.shift().fillna(0) - CLOSE).all()
    assert list(run.rounds["round"]) == list(by_sequence.cumcount())


def lanes_do_one_thing_at_a_time(run):
    end = run.spans.end.max()
    for _, lane in run.spans.groupby("lane"):
        ordered = lane.sort_values(["start", "end"])
        assert (ordered.start.to_numpy()[1:] >= ordered.end.to_numpy()[:-1] - CLOSE).all()
        busy = (lane.end - lane.start).sum()
        idle = np.diff(
            np.append(np.append(0.0, ordered[["start", "end"]].to_numpy().ravel()), end)
        )[::2]
        assert busy + idle.sum() == pytest.approx(end)


def work_is_used_or_wasted(method, run):
    spans, metrics = run.spans, run.metrics
    assert (spans.used <= spans.tokens).all()
    assert (spans.used >= 0).all()
    drafts = spans[spans.kind.isin(["speculate", "prespeculate"])]
    used = drafts.used.sum()
    if method.draft_on is None:  # what it drafts, if anything, comes out of its verifies
        assert drafts.empty
    elif method.lossless:
        # A draft that goes on past a block may have made the bonus token too, if the block was
        # right.
        whole = run.rounds.accepted == run.rounds.drafted
        assert 0 <= used - run.rounds.accepted.sum() <= whole.sum() * goes_on(run)
    else:  # what nobody corrects is all drafted
        assert run.rounds.accepted.sum() <= used <= metrics["tokens"]
    if drafts.tokens.sum():
        wasted = metrics["wasted_draft_token_fraction"] * drafts.tokens.sum()
        assert wasted + used == pytest.approx(drafts.tokens.sum())
    verifies = spans[spans.kind == "verify"]
    committed = verifies[verifies.used > 0]  # others were given up, or read guesses again
    beyond = verifies.tokens.sum() - (run.rounds.drafted + 1).sum()
    if method.lossless:  # every token is a target's, and every round a verify's
        assert verifies.used.sum() == metrics["tokens"]
        assert beyond >= 0
        exact = committed.tokens.sum() == (run.rounds.drafted + 1).sum()
        assert method.draft_on is None or exact


def goes_on(run):
    """Return whether the draft made more than what was verified or laid in the cache."""
    series = run.spans[run.spans.kind == "speculate"]
    return series.tokens.sum() > run.rounds.drafted.sum()


def hits_were_predicted(run):
    previous = run.rounds.groupby("seq").predicted.shift()
    assert ((previous > 0) == run.rounds.hit.notna()).all()
    primary = run.rounds[(run.rounds.speculator == "primary") & run.rounds.hit.notna()]
    assert primary.hit.all()


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("seed", [0, 7])
def test_same_seed_same_tables(method, seed):
    setup = Setup(
        method,
        LanguageModel(vocabulary=8),
        machine(target_jitter=Lognormal(0.2)),
        Workload(6, 4, 50),
        plugins("policy")["topk_outcomes"](),
        Random(),
        batch=2,
        sampling=Sampling(1.0),
        seed=seed,
    )
    if not fits(setup):  # it is greedy, or needs no token ids
        setup = replace(setup, acceptance=Iid(), sampling=Sampling())
    first, again, other = (
        simulate(s).tables for s in (setup, setup, replace(setup, seed=seed + 1))
    )
    assert first == again
    assert first["rounds"] != other["rounds"]


def test_streams_are_apart():
    # More jitter, other policies and other backups leave what the models say alone.
    setup = Setup(Speculative(), Iid(), machine(), Workload(4, 4, 200), lookahead=4, batch=2)
    jittered = replace(setup, machine=machine(target_jitter=Lognormal(0.5)))
    columns = ["seq", "round", "accepted"]
    frames = [simulate(s).rounds.sort_values(columns)[columns] for s in (setup, jittered)]
    assert (frames[0].to_numpy() == frames[1].to_numpy()).all()


@pytest.mark.slow
def test_greedy_and_gumbel_outputs_do_not_depend_on_how_they_were_drafted():
    for sampling in (Sampling(0.0), Sampling(1.0, "gumbel")):
        outputs = set()
        for method, batch in product([one for one in METHODS if one.lossless], (1, 3)):
            for length in LENGTHS if "length" in method.uses else LENGTHS[:1]:
                setup = Setup(
                    method,
                    LanguageModel(),
                    machine(),
                    Workload(4, 4, 20),
                    lookahead=3,
                    batch=batch,
                    sampling=sampling,
                    length=length,
                )
                outputs.add(str([list(o) for o in simulate(setup).sequences.output]))
        assert len(outputs) == 1


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize(
    "extreme",
    [
        {"acceptance": Iid(alpha=0.0)},
        {"acceptance": Iid(alpha=1.0)},
        {"machine": machine(step=0.0)},
        {"machine": machine(verify=0.0)},
        {"lookahead": 0},
        {"workload": Workload(1, 0, 1)},
    ],
    ids=["alpha=0", "alpha=1", "free draft", "free verify", "K=0", "one token"],
)
def test_degenerate_cases(method, extreme):
    plain = Setup(method, Iid(), machine(), Workload(3, 0, 20), lookahead=4, batch=2)
    run = simulate(replace(plain, **extreme))
    assert run.info["complete"]
    assert run.metrics["tokens"] == run.sequences.tokens.sum()
