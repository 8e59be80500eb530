"""Measured rounds beside replayed ones: what differs is found, and how close it was is right."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from numpy.random import default_rng
from recorded_pair import (
    GREEDY,
    GUMBEL,
    MACHINE,
    MAXIMAL,
    METHODS,
    generated_texts,
    models,
    real,
    replayed,
)

from ssdreal.profile.acceptance_recording import record as record_real
from ssdsim import Setup, simulate
from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.acceptance.logit_tables import LogitTables
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.synthetic_pair import Pair
from ssdsim.acceptance.trace_file import AcceptanceTrace, read_trace
from ssdsim.backups.ngram import Ngram
from ssdsim.calibration.agreement import compare_rounds
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.tables import ROUNDS, SEQUENCES
from ssdsim.run.trace import Run
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

# Worked by hand: one text of four tokens, vocabulary of 4, all scores written down

DRAFT = [[4.0, 1.5, 1.0, 0.0], [4.0, 1.5, 1.0, 0.0], [3.0, 2.75, 1.0, -1.0], [9.0, 0.0, 0.0, 0.0]]
TARGET = [[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 5.0, 4.5], [3.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]]
TOKEN, RANK = [0, 2, 0, 0], [0, 2, 0, 0]  # token 2 is the draft's third at position 1
ROUND = {"seq": 0, "drafted": 2, "speculator": "primary", "hit": True, "predicted": 6}
ROUNDS_OF_IT = [
    {**ROUND, "round": 0, "accepted": 1, "token": 2, "rank": 1, "hit": None},
    {**ROUND, "round": 1, "accepted": 1, "token": 0, "rank": -1},
]


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def by_hand(temperature=0.0):
    draft, target = log_softmax(np.array(DRAFT)), log_softmax(np.array(TARGET))
    rows = np.arange(4)
    columns = {
        "prompt": np.array(["text"] * 4, object),
        "temperature": np.full(4, temperature),
        "coupling": np.array(["maximal"] * 4, object),
        "position": rows,
        "token": np.array(TOKEN),
        "rank": np.array(RANK),
        "logp": target[rows, TOKEN],
        "logq": draft[rows, TOKEN],
        "top_ids": np.tile(rows, (4, 1))[:, :3],  # in the draft's order already; M = 3
        "top_q": np.exp(draft)[:, :3],
        "top_p": np.exp(target)[:, :3],
    }
    return AcceptanceTrace(columns, grid=(), vocabulary=4, prompts={"text": []})


def run(rounds=ROUNDS_OF_IT, output=(0, 2, 0, 0), temperature=0.0):
    info = {
        "config": {
            "sampling": {
                "temperature": temperature,
                "coupling": "maximal",
                "saguaro_constant": 1.0,
                "saguaro_fanout": 3,
            }
        }
    }
    sequence = dict.fromkeys(SEQUENCES.names)
    sequence |= {"seq": 0, "prompt": "text", "output": list(output), "tokens": len(output)}
    rows = [{**dict.fromkeys(ROUNDS.names), **row} for row in rounds]
    tables = {"sequences": pa.Table.from_pylist([sequence], SEQUENCES)}
    return Run(info, {**tables, "rounds": pa.Table.from_pylist(rows, ROUNDS)})


def changed(at, **fields):
    return [{**row, **fields} if row["round"] == at else row for row in ROUNDS_OF_IT]


def differing(agreement):
    return {(found.round, found.field): found.margin for found in agreement.differences}


def measured(rounds, output=(0, 2, 0, 0)):
    return compare_rounds(run(rounds, output), run(), by_hand())


def test_equal_rounds_agree():
    agreement = measured(ROUNDS_OF_IT)
    assert (agreement.rounds, agreement.skipped, agreement.differences) == (2, 0, ())
    assert agreement.share == 1.0


@pytest.mark.parametrize(
    ("rank", "margin"),
    [(0, 0.5), (2, None)],  # it passed token 1, or token 3, which is not listed
)
def test_a_changed_rank_is_found_with_the_gap_to_the_candidate_passed(rank, margin):
    agreement = measured(changed(0, rank=rank))
    assert differing(agreement) == {(0, "rank"): pytest.approx(margin)}
    (found,) = agreement.differences
    assert (found.seq, found.measured, found.replayed) == (0, rank, 1)
    assert (agreement.rounds, agreement.share) == (2, 0.5)
    assert agreement.unexplained(0.4) == (found,)
    assert agreement.unexplained(0.6) == (() if margin else (found,))


def test_after_a_full_accept_no_token_is_left_out():
    full = [{**ROUNDS_OF_IT[0], "drafted": 1, "rank": rank} for rank in (2, 0)]
    agreement = compare_rounds(run(full[1:]), run(full[:1]), by_hand())
    assert differing(agreement) == {(0, "rank"): pytest.approx(3.0)}  # past tokens 0 and 1


def test_an_unknown_rank_is_not_compared():
    assert measured(changed(0, rank=-1)).share == 1.0


def test_a_miss_is_as_close_as_the_rank_before_it():
    miss = {"hit": False, "speculator": "backup"}
    rounds = [changed(0, rank=0)[0], changed(1, **miss)[1]]
    margins = differing(measured(rounds))
    assert margins == {place: pytest.approx(0.5) for place in margins}
    assert margins.keys() == {(0, "rank"), (1, "hit"), (1, "speculator")}
    alone = measured(changed(1, **miss))
    assert differing(alone) == {(1, "hit"): None, (1, "speculator"): None}
    assert len(alone.unexplained(9.9)) == 2


def test_a_rejection_is_as_close_as_the_drafts_two_best():
    rejected = [
        ROUNDS_OF_IT[0],
        {**ROUNDS_OF_IT[1], "accepted": 0, "token": 0, "rank": 0},
        {**ROUNDS_OF_IT[1], "round": 2, "accepted": 0},
    ]
    agreement = measured(rejected)
    assert differing(agreement) == {(1, "accepted"): pytest.approx(0.25)}
    assert (agreement.rounds, agreement.skipped) == (2, 1)


def test_an_accepted_token_is_as_close_as_x_and_the_drafts_best():
    agreement = measured(changed(0, accepted=2, token=0, rank=0))
    assert differing(agreement) == {(0, "accepted"): pytest.approx(3.0)}
    assert agreement.skipped == 1


def test_where_the_target_chose_otherwise_its_own_scores_decide():
    other = measured(changed(0, token=1, rank=0), output=(0, 1, 0, 0))
    assert differing(other) == {(0, "token"): pytest.approx(5.0)}
    assert (other.rounds, other.skipped) == (1, 1)
    unlisted = measured(changed(0, token=3, rank=2), output=(0, 3, 0, 0))
    assert differing(unlisted) == {(0, "token"): None}
    drafted = measured(changed(0, accepted=2, token=0, rank=0), output=(0, 0, 0, 0))
    assert differing(drafted) == {(0, "accepted"): pytest.approx(5.0)}


def test_where_other_tokens_were_drafted_the_miss_decides():
    random = {"hit": False, "speculator": "backup", "accepted": 0, "token": 0}
    margins = differing(measured([changed(0, rank=0)[0], changed(1, **random)[1]]))
    assert margins[1, "accepted"] == pytest.approx(0.5)


def test_nothing_is_close_where_chance_decides():
    hot = run(changed(0, rank=0), temperature=1.0)
    assert differing(compare_rounds(hot, run(temperature=1.0), by_hand(1.0))) == {(0, "rank"): None}


def test_missing_sequences_and_rounds_are_skipped():
    shorter = compare_rounds(run(), run(ROUNDS_OF_IT[:1]), by_hand())
    assert (shorter.rounds, shorter.skipped, shorter.share) == (1, 1, 1.0)
    nothing = run()
    nothing.tables = {name: table.slice(0, 0) for name, table in nothing.tables.items()}
    none = compare_rounds(run(), nothing, by_hand())
    assert (none.rounds, none.skipped) == (0, 2)
    assert np.isnan(none.share)


# A pair whose scores are shaken a little: near ties change, and nothing else


@dataclass(frozen=True)
class Shaken(LanguageModel):
    """A pair whose every logit is off by at most `shake`."""

    shake: float = 0.0

    def open(self, sampling, rng):
        del rng  # the noise of the recorded pair
        noise = default_rng(5)
        off = [x + noise.uniform(-self.shake, self.shake, x.shape) for x in self.logits()]
        key = int(default_rng(0).integers(2**63))
        return Pair(LogitTables(*off, sampling), self.prompt_ids, key)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    path = tmp_path_factory.mktemp("pair")
    record(
        LanguageModel(order=2),
        path,
        [Sampling(0.0), Sampling(0.5, "gumbel")],
        sequences=8,
        tokens=80,
    )
    return str(path)


def decoded(acceptance, sampling, **settings):
    workload = Closed(prompts=8, output_tokens=80)
    settings = {"lookahead": 3, "policy": UniformFanout(fanout=2), **settings}
    return simulate(Setup(Ssd(), acceptance, MACHINE, workload, sampling=sampling, **settings))


@pytest.mark.parametrize("sampling", [Sampling(0.0), Sampling(0.5, "gumbel")], ids=str)
@pytest.mark.parametrize("shake", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("backup", [{}, {"backup": Ngram()}], ids=["jit", "ngram"])
def test_a_small_error_of_the_scores_explains_every_difference(pair, sampling, shake, backup):
    theirs = decoded(Shaken(order=2, shake=shake), sampling, **backup)
    ours = decoded(Recorded(pair), sampling, **backup)
    agreement = compare_rounds(theirs, ours, read_trace(pair))
    at_most = 2 * shake / (sampling.temperature or 1.0)
    assert agreement.unexplained(at_most) == ()
    assert agreement.rounds + agreement.skipped == len(theirs.rounds)
    if shake > 0.2:
        assert len(agreement.unexplained(at_most / 30)) > 0


@pytest.mark.parametrize("wrong", [{"lookahead": 2}, {"policy": UniformFanout(fanout=1)}], ids=str)
def test_other_settings_are_not_explained(pair, wrong):
    theirs = decoded(Shaken(order=2), Sampling(0.0), **wrong)
    agreement = compare_rounds(theirs, decoded(Recorded(pair), Sampling(0.0)), read_trace(pair))
    assert len(agreement.unexplained(0.1)) > 2


def test_ranks_that_forget_the_rejected_token_are_not_explained(pair):
    sampling = Sampling(0.0)
    texts = Recorded(pair).open(sampling, default_rng(0)).texts
    e = texts[0].table.e
    e[:], kept = 0.0, e.copy()
    wrong = decoded(Recorded(pair), sampling)
    e[:] = kept  # the table is shared between sources of one trace
    theirs = decoded(Shaken(order=2), sampling)
    assert compare_rounds(theirs, decoded(Recorded(pair), sampling), read_trace(pair)).share == 1
    assert len(compare_rounds(theirs, wrong, read_trace(pair)).unexplained(0.1)) > 20


# Real models


@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL, MAXIMAL], ids=["greedy", "gumbel", "maximal"])
def test_real_rounds_agree_with_their_replay_but_for_chance(tmp_path, decoding):
    texts = generated_texts(real("tiny_draft", method=Autoregressive(), decoding=decoding))
    record_real(tmp_path, *models("tiny_draft"), texts, decoding, seed=7)
    settings = METHODS[3]
    theirs = real("tiny_draft", decoding=decoding, **settings)
    ours = replayed(tmp_path, decoding, **settings)
    agreement = compare_rounds(theirs, ours, read_trace(tmp_path))
    assert (agreement.share == 1) == (decoding != MAXIMAL)
    assert agreement.rounds > 3
    other = replayed(tmp_path, decoding, **{**settings, "policy": UniformFanout(fanout=1)})
    assert compare_rounds(theirs, other, read_trace(tmp_path)).share < 1
