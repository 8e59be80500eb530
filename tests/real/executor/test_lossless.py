"""The same tokens, whoever drafted what and when.

Greedy decoding and the `gumbel` coupling give the target's own text, bit for bit at one shape of
pass; under `maximal`, SSD gives the text of ordinary speculation. Every run obeys the invariants
of simulated ones.
"""

from dataclasses import replace

import pytest
from enumerable import random_pair
from hypothesis import given
from hypothesis import strategies as st
from inline_crew import HERE, InlineCrew, decode, outputs, tasks
from invariants import all_holds
from random_settings import cases, deterministic, few, many, sampled
from reference_decoding import speculated, written
from tiny_runs import (
    AHEAD,
    BACKUPS,
    GREEDY,
    GUMBEL,
    MODELS,
    POLICIES,
    SSDS,
    TWICE,
    K,
    alone,
    decoded,
    prompts,
    short,
)

from ssdreal.executor.execution import Execution
from ssdreal.executor.setup import Setup
from ssdreal.executor.teacher_forcing import Flips, flips
from ssdsim.backups.jit import Jit
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

PLAIN = [Speculative("target"), Speculative("own")]
# What passes of different shapes make of the same logits.
ROUNDING = {"float32": 1e-4, "bfloat16": 0.1}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("decodings", [[GREEDY], GUMBEL], ids=["greedy", "gumbel"])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_text_is_the_targets_own(dtype, decodings, policy):
    # In its four turns a policy meets every backup.
    turn = 2 * (2 * (dtype == "bfloat16") + (decodings == GUMBEL)) + list(POLICIES).index(policy)
    drafts = [MODELS(name, dtype) for name in ("tiny_draft", "tiny_trimmed_draft")]
    for at in (turn, turn + 1):
        setup = Setup(
            SSDS[at % 6],
            Closed(3, output_tokens=20),
            POLICIES[policy],
            BACKUPS[at % 5],
            lookahead=K,
            batch=(1, 3)[at // 2 % 2],
            decoding=decodings[at % len(decodings)],
            seed=3,
        )
        target, draft = MODELS("tiny_target", dtype), drafts[at % 2]
        run, _ = decode(setup, target, draft, prompts())
        assert outputs(run) == alone(dtype, setup.batch, setup.decoding), setup
        all_holds(setup, run)


def turns(later):
    """Return every way of decoding with a batch in turn; the other one in the other turn."""
    return [((1, 3)[(at + later) % 2], one) for at, one in enumerate((GREEDY, *GUMBEL))]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", [*PLAIN, Minedraft(), *TWICE, *AHEAD], ids=str)
def test_so_it_is_with_every_other_method(dtype, method):
    for batch, decoding in turns(dtype == "bfloat16"):
        run = decoded(short(method, decoding, batch, lookahead=K), dtype)
        assert outputs(run) == alone(dtype, batch, decoding)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL[0]], ids=["greedy", "gumbel"])
def test_one_token_wide_decoding_differs_at_near_ties_only(dtype, decoding, record_property):
    target, draft = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
    narrow = Setup(Autoregressive(), Closed(3, output_tokens=60), decoding=decoding, seed=3)
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


ANY = st.one_of(cases(deterministic), cases(deterministic, AHEAD))


@few
@given(ANY)
def test_the_text_is_the_targets_own_for_any_setting(case):
    the_text_is_the_targets_own(*case)


@pytest.mark.slow
@many
@given(ANY)
def test_the_text_is_the_targets_own_for_many_settings(case):
    the_text_is_the_targets_own(*case)


def the_text_is_the_targets_own(setup, pair, faults):
    texts = prompts(setup.workload.prompts, pair.vocabulary)
    run, _ = decode(setup, pair.target, pair.draft, texts, **faults)
    assert outputs(run) == [written(pair, setup, seq, text) for seq, text in enumerate(texts)]
    all_holds(setup, run)
    plain = replace(setup, method=Autoregressive(), batch=1)
    assert outputs(decode(plain, pair.target, pair.draft, texts)[0]) == outputs(run)


LIKE_SD = cases(sampled, [*SSDS[:4], *TWICE], [Jit()])


@few
@given(LIKE_SD)
def test_ssd_samples_what_ordinary_speculation_does(case):
    ssd_samples_like_sd(*case)


@pytest.mark.slow
@many
@given(LIKE_SD)
def test_ssd_samples_what_ordinary_speculation_does_in_many_settings(case):
    ssd_samples_like_sd(*case)


def ssd_samples_like_sd(setup, pair, faults):
    texts = prompts(setup.workload.prompts, pair.vocabulary)
    run, _ = decode(setup, pair.target, pair.draft, texts, **faults)
    expected = [speculated(pair, setup, seq, text) for seq, text in enumerate(texts)]
    assert outputs(run) == expected
    all_holds(setup, run)
    plain = replace(setup, method=Speculative(), batch=1)
    assert outputs(decode(plain, pair.target, pair.draft, texts)[0]) == expected


DRAFTS = ["tiny_draft", "tiny_trimmed_draft"]
SAMPLED = [
    Decoding(1.0),
    Decoding(0.8, saguaro_constant=0.3),
    Decoding(1.0, saguaro_constant=0.001, saguaro_fanout=1, top_k=12, top_p=0.9),
]


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("decoding", SAMPLED, ids=["plain", "C < 1", "top-p"])
def test_so_it_does_on_real_models(draft, decoding):
    pair = [MODELS(name, "float32") for name in ("tiny_target", draft)]
    plain = Setup(Speculative(), Closed(3, output_tokens=24), decoding=decoding, seed=5)
    expected = outputs(decode(plain, *pair, prompts())[0])
    third = DRAFTS.index(draft) + SAMPLED.index(decoding)
    for at, (name, policy) in list(enumerate(POLICIES.items()))[third % 3 :: 3]:
        method = [*SSDS[:4], *TWICE][at % 8]
        setup = replace(plain, method=method, policy=policy, batch=(1, 3)[at // 2 % 2])
        run, _ = decode(setup, *pair, prompts())
        assert outputs(run) == expected, name
        all_holds(setup, run)


@few
@given(cases(sampled))
def test_sampled_runs_obey_the_invariants_too(case):
    setup, pair, faults = case
    texts = prompts(setup.workload.prompts, pair.vocabulary)
    run, _ = decode(setup, pair.target, pair.draft, texts, **faults)
    all_holds(setup, run)


def test_a_token_that_ends_the_text_is_the_last():
    pair = random_pair(2)
    texts = prompts(4, pair.vocabulary)
    setup = Setup(Ssd(), Closed(4, output_tokens=40), batch=3)
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


def test_a_draft_that_a_method_does_not_use_is_not_got_ready():
    crew = InlineCrew(MODELS("tiny_target", "float32"), MODELS("tiny_draft", "float32"))
    commands = crew.channels["draft"].log
    for method, drafts in ((Autoregressive(), False), (Speculative(), True)) * 2:
        before = len(commands)
        Execution(
            Setup(method, Closed(2, output_tokens=6)), lambda: crew, HERE, tasks(prompts(2))
        ).run()
        assert (len(commands) > before) is drafts
