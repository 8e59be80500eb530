"""What holds in every simulated run, whatever the settings."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from invariants import all_holds
from scripted import machine
from variants import cuts, fits, lengths, methods

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.marginal import Marginal
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.latency.jitter import Lognormal
from ssdsim.latency.machine import Link, Power, Slowdown
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.options.plugins import plugins
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.partial_oracle import PartialOracle
from ssdsim.sampling.settings import Sampling
from ssdsim.trees.chain import Chain
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

METHODS = [*methods(), Ssd(drafts=3), Ssd("prune", drafts=2)]
METHODS += [TwoPhase(0.3, PartialOracle(3), second_depth=2)]
HEARING = TwoPhase(0.5, ExitTarget(4), 2)  # needs whole distributions
LENGTHS = lengths()
WITHOUT_SIGNALS = [length for length in LENGTHS if length.needs is None]
CUTS = cuts()
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
    method, lookahead = draw(st.sampled_from([*METHODS, HEARING])), draw(st.integers(4, 6))
    if policy != "fixed_fanout":
        lookahead = draw(st.integers(0, 6))
    trees = grown(with_tokens, sampling) if "tree" in method.uses and lookahead > 1 else [Chain()]
    return Setup(
        method,
        LanguageModel(vocabulary=8) if with_tokens else Iid(alpha=draw(st.floats(0, 1))),
        wide,
        Closed(draw(st.integers(1, 5)), 4, draw(st.integers(1, 40))),
        plugins("policy")[policy](),
        draw(st.sampled_from(BACKUPS if with_tokens else BACKUPS[:2] + BACKUPS[3:])),
        lookahead=lookahead,
        batch=draw(st.integers(1, 4)),
        sampling=sampling if with_tokens else Sampling(),
        seed=draw(st.integers(0, 99)),
        length=draw(st.sampled_from(LENGTHS if with_tokens else WITHOUT_SIGNALS)),
        tree=draw(st.sampled_from(trees)),
        verify=draw(st.sampled_from([CUTS[0], *CUTS])),
    )


def grown(with_tokens, sampling):
    """Return trees that such a source can draft."""
    trees = [Chain(), Widths((2, 3)), Widths((1, 2)), Confident(beam=3, children=3, most=8)]
    if not with_tokens:
        return trees
    random = sampling.temperature > 0 and sampling.coupling == "maximal"
    sampled = [Widths((2, 2), "sampled")] if random else []
    return [*trees, *sampled]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(setups())
def test_invariants(setup):
    assume(fits(setup))
    all_holds(setup, simulate(setup, detailed=True))


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_same_seed_same_tables(method):
    setup = Setup(
        method,
        LanguageModel(vocabulary=8),
        machine(target_jitter=Lognormal(0.2)),
        Closed(4, 4, 30),
        plugins("policy")["topk_outcomes"](),
        Random(),
        batch=2,
        sampling=Sampling(1.0),
        seed=7,
    )
    if not fits(setup):  # it is greedy, or needs no token ids
        setup = replace(setup, acceptance=Iid(), sampling=Sampling())
    first, again, other = (
        simulate(s, detailed=True).tables for s in (setup, setup, replace(setup, seed=8))
    )
    assert first == again
    assert {"speculations", "outcomes"} < first.keys()
    assert first["rounds"] != other["rounds"]


def test_streams_are_apart():
    # More jitter, other policies and other backups leave what the models say alone.
    setup = Setup(Speculative(), Iid(), machine(), Closed(4, 4, 200), lookahead=4, batch=2)
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
                    Closed(4, 4, 20),
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
        {"workload": Closed(1, 0, 1)},
    ],
    ids=["alpha=0", "alpha=1", "free draft", "free verify", "K=0", "one token"],
)
def test_degenerate_cases(method, extreme):
    plain = Setup(method, Iid(), machine(), Closed(3, 0, 20), lookahead=4, batch=2)
    run = simulate(replace(plain, **extreme))
    assert run.info["complete"]
    assert run.metrics["tokens"] == run.sequences.tokens.sum()
