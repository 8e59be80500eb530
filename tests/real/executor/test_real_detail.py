"""What a real run notes of its rounds: all tokens, of losing branches too."""

from functools import cache

import pytest
from inline_crew import Faults, decode
from tiny_runs import GREEDY, MODELS, prompts

from ssdreal.executor.setup import Setup
from ssdreal.models.tokenizers import spelled
from ssdsim.decoding.detail import Detail
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

SAMPLED = Decoding(1.0)


@cache
def run_of(method, decoding=GREEDY, batch=2, **faults):
    policy = TopkOutcomes(budget=8)
    setup = Setup(
        method, Closed(3, output_tokens=24), policy, batch=batch, decoding=decoding, seed=1
    )
    models = MODELS("tiny_target", "float32"), MODELS("tiny_draft", "float32")
    return decode(setup, *models, prompts(), **faults)[0]


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_every_branch_is_known_and_a_hits_is_verified_next(decoding):
    run = run_of(Ssd(), decoding)
    outcomes = run.outcomes
    assert (outcomes.continuation.map(len) == outcomes.drafted).all()
    assert (outcomes.drafted == 4).all()
    assert outcomes.finished.all()
    assert outcomes.token.notna().all()
    assert outcomes.groupby(["seq", "round"]).chance.sum().between(0, 1 + 1e-6).all()
    verified = run.speculations.set_index(["seq", "round"])
    won = outcomes[outcomes.won]
    assert len(won) > 3
    for one in won.itertuples():
        taken = verified.loc[(one.seq, one.round + 1)]
        assert taken.speculator == "backup" or list(taken.tokens) == list(one.continuation)


def test_branches_that_were_stopped_are_not_finished():
    run = run_of(Ssd("truncate"), batch=1)
    outcomes = run.outcomes[run.outcomes.drafted.notna()]
    assert (outcomes.finished.astype(bool) == (outcomes.drafted == 4)).all()


def test_of_what_a_lost_draft_did_nothing_is_known():
    run = run_of(Ssd(), draft_faults=Faults(dies_after=4))
    lost = run.outcomes[run.outcomes.drafted.isna()]
    assert len(lost) > 0
    assert lost.token.notna().all()
    assert lost.continuation.isna().all()


def test_tokens_that_the_tables_name_are_spelled():
    run = run_of(Ssd())
    detail = Detail(lambda ids: spelled("tiny_target", ids))
    detail.enter(run)
    named = {token for output in run.sequences.output for token in output}
    assert run.vocabulary.keys() == named
    assert run.vocabulary == {token: chr(64 + token) for token in sorted(named)}
