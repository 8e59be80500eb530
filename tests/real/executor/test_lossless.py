"""The same tokens, whoever drafted what and when.

Greedy decoding and the `gumbel` coupling give the target's own text, bit for bit at one shape of
pass; under `maximal`, SSD gives the text of ordinary speculation. Every run obeys the invariants
of simulated ones.
"""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from enumerable import random_pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_crew import HERE, Faults, InlineCrew, decode, outputs, tasks
from test_invariants import all_holds

from ssdreal.executor.execution import Execution
from ssdreal.executor.setup import Setup
from ssdreal.executor.teacher_forcing import Flips, flips
from ssdreal.executor.workload import Workload
from ssdreal.workers.loading import load
from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.jit import Jit
from ssdsim.backups.marginal import Marginal
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.options.plugins import plugins
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.ranking import best
from ssdsim.sampling.settings import Decoding
from ssdsim.sampling.verification import sample, verify_maximal, view

K = 4
GREEDY = Decoding(0.0)
SSDS = [Ssd(*how) for how in product(("wait", "prune", "truncate"), ("missing", "all"))]
METHODS = [Speculative(), Speculative("own"), *SSDS]
AHEAD = [Pearl(), Pearl("adaptive"), Amusd(), Amusd(ahead=0)]
BACKUPS = [Jit(), Random(), Ngram(), Adaptive(), Marginal()]
POLICIES = {
    name: plugin(budget=12)
    for name, plugin in sorted(plugins("policy").items())
    if name != "oracle"
}
GUMBEL = [
    Decoding(1.0, "gumbel"),
    Decoding(0.7, "gumbel", top_k=8),
    Decoding(1.2, "gumbel", top_k=20, top_p=0.9),
]
# What passes of different shapes make of the same logits.
ROUNDING = {"float32": 1e-4, "bfloat16": 0.1}
MODELS = cache(load)


def prompts(count=3, vocabulary=64, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(vocabulary, size=3 + 4 * at).tolist() for at in range(count)]


@cache
def alone(dtype, batch, decoding):
    """Return what the target writes alone, in passes as wide as a run's with lookahead K."""
    setup = Setup(
        Autoregressive(), Workload(3, 20), batch=batch, decoding=decoding, seed=3, width=K + 1
    )
    target, draft = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
    return outputs(decode(setup, target, draft, prompts())[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("decodings", [[GREEDY], GUMBEL], ids=["greedy", "gumbel"])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_text_is_the_targets_own(dtype, decodings, policy):
    turn = list(POLICIES).index(policy) + (dtype == "bfloat16")
    drafts = [MODELS(name, dtype) for name in ("tiny_draft", "tiny_trimmed_draft")]
    for at, backup in enumerate(BACKUPS, start=turn):
        setup = Setup(
            METHODS[2:][at % 6],
            Workload(3, 20),
            POLICIES[policy],
            backup,
            lookahead=K,
            batch=(1, 3)[at // 2 % 2],
            decoding=decodings[at % len(decodings)],
            seed=3,
        )
        target, draft = MODELS("tiny_target", dtype), drafts[at % 2]
        run, _ = decode(setup, target, draft, prompts())
        assert outputs(run) == alone(dtype, setup.batch, setup.decoding), setup
        all_holds(setup, run)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("draft_on", ["target", "own"])
def test_so_it_is_with_ordinary_speculation(dtype, draft_on):
    for batch, decoding in product((1, 3), (GREEDY, *GUMBEL)):
        setup = Setup(
            Speculative(draft_on), Workload(3, 20), batch=batch, decoding=decoding, seed=3
        )
        target, draft = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
        run, _ = decode(setup, target, draft, prompts())
        assert outputs(run) == alone(dtype, batch, decoding)
        all_holds(setup, run)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", AHEAD, ids=str)
def test_so_it_is_where_the_draft_goes_on_ahead(dtype, method):
    for batch, decoding in product((1, 3), (GREEDY, *GUMBEL)):
        setup = Setup(method, Workload(3, 20), batch=batch, decoding=decoding, seed=3)
        target, draft = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
        run, _ = decode(setup, target, draft, prompts())
        assert outputs(run) == alone(dtype, batch, decoding)
        all_holds(setup, run)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL[0]], ids=["greedy", "gumbel"])
def test_one_token_wide_decoding_differs_at_near_ties_only(dtype, decoding, record_property):
    target, draft = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
    narrow = Setup(Autoregressive(), Workload(3, 120), decoding=decoding, seed=3)
    wide = replace(narrow, width=K + 1)

    def against_wide_passes(texts):
        return flips(
            Execution(wide, lambda: InlineCrew(target, draft), HERE, tasks(prompts())), texts
        )

    texts = outputs(decode(wide, target, draft, prompts())[0])
    assert against_wide_passes(texts) == Flips(0, 0.0)
    found = against_wide_passes(outputs(decode(narrow, target, draft, prompts())[0]))
    assert found.lead < ROUNDING[dtype]
    record_property("flips", found.count)
    shifted = [(*text[1:], text[0]) for text in texts]
    assert against_wide_passes(shifted).lead > 10 * ROUNDING[dtype]


def written(pair, setup, seq, prompt):
    """Return what the target writes alone, straight from its logits and the noise."""
    decoding, noise, text = setup.decoding, Noise(setup.seed, seq), list(prompt)
    for _ in range(setup.workload.output_tokens):
        gumbel = noise.gumbel(len(text), pair.vocabulary) if decoding.perturbed else None
        logits = pair.target.after(tuple(text))
        seen = view(logits, decoding.temperature, gumbel, decoding.top_k, decoding.top_p)
        text.append(int(best(seen.scores)))
    return tuple(text[len(prompt) :])


def speculated(pair, setup, seq, prompt):
    """Return what ordinary speculation writes, straight from both models' logits and the noise."""
    decoding, noise, text = setup.decoding, Noise(setup.seed, seq), tuple(prompt)
    end = len(text) + setup.workload.output_tokens
    while len(text) < end:
        start, whole, rows = len(text), text, []
        for k in range(setup.lookahead):
            rows.append(pair.q(decoding, whole))
            whole += (sample(rows[-1], noise.uniform(start + k, "propose", k)),)
        p = [pair.p(decoding, whole[: start + k]) for k in range(setup.lookahead + 1)]
        block = noise.block(start, setup.lookahead + 1)
        accepted, bonus = verify_maximal(p, rows, whole[start:], block)
        text = (*whole[: start + accepted], bonus)
    return text[len(prompt) : end]


@st.composite
def cases(draw, decodings, methods=METHODS, backups=BACKUPS):
    policy = draw(st.sampled_from(list(POLICIES)))
    budget = draw(st.sampled_from([1, 3, 12, "verify"]))
    setup = Setup(
        draw(st.sampled_from(methods)),
        Workload(draw(st.integers(1, 4)), draw(st.integers(1, 16))),
        replace(POLICIES[policy], budget=budget),
        draw(st.sampled_from(backups)),
        lookahead=draw(st.integers(4 if policy == "fixed_fanout" else 0, 6)),
        batch=draw(st.integers(1, 4)),
        decoding=draw(decodings),
        seed=draw(st.integers(0, 99)),
    )
    ids = draw(st.sampled_from([None, (0, 2, 3, 5, 6)]))
    pair = random_pair(draw(st.integers(0, 9)), ids=ids, divergence=draw(st.floats(0, 2)))
    slow, steps = draw(st.integers(0, 2)), draw(st.integers(0, 3))
    stops = Faults(stop_after=lambda tree: (tree * steps) % 4)
    return setup, pair, {"target_faults": Faults(slow=slow), "draft_faults": stops}


top_k, top_p = st.sampled_from([0, 1, 3]), st.sampled_from([1.0, 0.8])
deterministic = st.builds(
    Decoding, st.sampled_from([0.0, 0.6, 1.0]), st.just("gumbel"), top_k=top_k, top_p=top_p
)
sampled = st.builds(
    Decoding,
    st.sampled_from([0.6, 1.0]),
    saguaro_constant=st.sampled_from([1.0, 0.5, 0.001]),
    saguaro_fanout=st.integers(1, 9),
    top_k=top_k,
    top_p=top_p,
)
# The same examples each time: one in ten million times float32 and float64 disagree.
many = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@many
@given(st.one_of(cases(deterministic), cases(deterministic, AHEAD)))
def test_the_text_is_the_targets_own_for_any_setting(case):
    setup, pair, faults = case
    texts = prompts(setup.workload.prompts, pair.vocabulary)
    run, _ = decode(setup, pair.target, pair.draft, texts, **faults)
    assert outputs(run) == [written(pair, setup, seq, text) for seq, text in enumerate(texts)]
    all_holds(setup, run)
    plain = replace(setup, method=Autoregressive(), batch=1)
    assert outputs(decode(plain, pair.target, pair.draft, texts)[0]) == outputs(run)


@many
@given(
    cases(
        sampled,
        [Ssd(how, which) for how in ("wait", "prune") for which in ("missing", "all")],
        [Jit()],
    )
)
def test_ssd_samples_what_ordinary_speculation_does(case):
    setup, pair, faults = case
    texts = prompts(setup.workload.prompts, pair.vocabulary)
    run, _ = decode(setup, pair.target, pair.draft, texts, **faults)
    expected = [speculated(pair, setup, seq, text) for seq, text in enumerate(texts)]
    assert outputs(run) == expected
    all_holds(setup, run)
    plain = replace(setup, method=Speculative(), batch=1)
    assert outputs(decode(plain, pair.target, pair.draft, texts)[0]) == expected


@pytest.mark.parametrize("draft", ["tiny_draft", "tiny_trimmed_draft"])
@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(1.0),
        Decoding(0.8, saguaro_constant=0.3),
        Decoding(1.0, saguaro_constant=0.001, saguaro_fanout=1, top_k=12, top_p=0.9),
    ],
)
def test_so_it_does_on_real_models(draft, decoding):
    pair = [MODELS(name, "float32") for name in ("tiny_target", draft)]
    plain = Setup(Speculative(), Workload(3, 24), decoding=decoding, seed=5)
    expected = outputs(decode(plain, *pair, prompts())[0])
    for at, (name, policy) in enumerate(POLICIES.items()):
        setup = replace(plain, method=SSDS[at % 4], policy=policy, batch=(1, 3)[at // 2 % 2])
        run, _ = decode(setup, *pair, prompts())
        assert outputs(run) == expected, name
        all_holds(setup, run)


@many
@given(cases(sampled))
def test_sampled_runs_obey_the_invariants_too(case):
    setup, pair, faults = case
    texts = prompts(setup.workload.prompts, pair.vocabulary)
    run, _ = decode(setup, pair.target, pair.draft, texts, **faults)
    all_holds(setup, run)


def test_a_token_that_ends_the_text_is_the_last():
    pair = random_pair(2)
    texts = prompts(4, pair.vocabulary)
    setup = Setup(Ssd(), Workload(4, 40), batch=3)
    whole = outputs(decode(setup, pair.target, pair.draft, texts)[0])
    end = whole[0][5]
    execution = Execution(
        setup, lambda: InlineCrew(pair.target, pair.draft), HERE, tasks(texts), frozenset([end])
    )
    execution.run()
    cut = [text[: text.index(end) + 1] if end in text else text for text in whole]
    assert outputs(execution.result()) == cut
    reasons = ["eos" if text[-1] == end else "length" for text in cut]
    assert list(execution.result().sequences.reason) == reasons
