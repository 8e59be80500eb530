"""What is noted of a run's first rounds: speculations, predicted outcomes and their branches."""

from dataclasses import replace

import pytest
from scripted import decode, machine, spans

from ssdsim import load_run, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.bench import SETUP
from ssdsim.decoding import detail
from ssdsim.drafters.ngram import Ngram
from ssdsim.methods.ssd import Ssd
from ssdsim.outcomes import Outcome, Speculation, reached
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

ONE = UniformFanout(fanout=1)
HIT_THEN_MISS = ((3, 0), (1, 5), (0, 0))
SMALL = replace(SETUP, workload=Closed(2, 8, 40), lookahead=3)


def rows(run, table, *columns):
    frame = getattr(run, table)[list(columns)]
    return [tuple(row) for row in frame.itertuples(index=False)]


def detailed(method, *scripts, **more):
    return decode(method, *scripts, lookahead=3, detailed=True, **more)


def test_every_predicted_outcome_is_a_row_and_the_one_that_came_true_has_won():
    run = detailed(Ssd(), HIT_THEN_MISS, policy=FixedFanout(fanout=(1, 0, 0, 2)))
    assert rows(run, "outcomes", "round", "node", "rank", "won", "drafted", "finished") == [
        (0, 0, 0, False, 3, True),
        (0, 3, 0, True, 3, True),
        (0, 3, 1, False, 3, True),
        (1, 0, 0, False, 3, True),
        (1, 3, 0, False, 3, True),
        (1, 3, 1, False, 3, True),
        (2, 0, 0, False, 3, True),  # it came true, but no round follows
        (2, 3, 0, False, 3, True),
        (2, 3, 1, False, 3, True),
    ]
    assert run.outcomes[["token", "chance", "continuation"]].isna().all(axis=None)


def test_each_round_says_what_it_verified_and_how_that_ended():
    run = detailed(Ssd(), HIT_THEN_MISS, policy=ONE)
    assert rows(run, "speculations", "seq", "round", "speculator", "node", "rank") == [
        (0, 0, "backup", 3, 0),
        (0, 1, "primary", 1, 5),
        (0, 2, "backup", 0, 0),
    ]
    assert [list(parents) for parents in run.speculations.parents] == [[-1, 0, 1]] * 3
    assert run.speculations.tokens.isna().all()
    assert run.info["detailed_rounds"] == 3


@pytest.mark.parametrize(
    ("on_outcome", "won", "lost", "finished"),
    [("wait", 3, 3, True), ("prune", 3, 2, False), ("truncate", 2, 2, False)],
)
def test_branches_have_what_was_drafted_by_the_time_they_were_over(on_outcome, won, lost, finished):
    # The outcome arrives in the second of three steps.
    quick = machine(verify=0.3)
    run = detailed(Ssd(on_outcome), ((3, 0), (2, 0)), policy=ONE, machine=quick)
    first = run.outcomes[run.outcomes["round"] == 0]
    assert first.drafted.tolist() == [lost, lost, lost, won]
    assert first.finished.tolist() == [finished] * 3 + [on_outcome != "truncate"]
    assert first.drafted.sum() == spans(run, "prespeculate", "tokens")[0][0]


def test_a_cache_that_several_drafts_share_is_noted_whole():
    run = detailed(Ssd(drafts=2), HIT_THEN_MISS, policy=ONE)
    assert run.outcomes.groupby("round").size().tolist() == [4, 4, 4]
    assert run.outcomes.drafted.tolist() == [3] * 12


def test_known_tokens_are_noted_and_a_hits_continuation_is_verified_next():
    setup = replace(
        SMALL, acceptance=LanguageModel(vocabulary=8), policy=TopkOutcomes(), sampling=Sampling(1.0)
    )
    run = simulate(setup, detailed=True)
    won = run.outcomes[run.outcomes.won]
    assert len(won) > 5
    after = run.speculations.set_index(["seq", "round"])
    for one in won.itertuples():
        taken = after.loc[(one.seq, one.round + 1)]
        assert list(one.continuation) == list(taken.tokens)
    assert won.token.notna().all()
    assert run.outcomes.chance.between(0, 1).all()
    assert run.outcomes.groupby(["seq", "round"]).chance.sum().max() <= 1 + 1e-9


def test_a_lookups_branches_are_known_whether_they_won_or_not():
    setup = replace(
        SMALL, acceptance=LanguageModel(vocabulary=4), drafter=Ngram(), sampling=Sampling(1.0)
    )
    run = simulate(setup, detailed=True)
    found = run.outcomes[run.outcomes.drafted > 0]
    assert len(found) > 5
    assert found.token.notna().all()
    assert (found.continuation.map(len) == found.drafted).all()
    none = run.outcomes[run.outcomes.token.isna()]  # there are not so many candidates
    assert (none.drafted == 0).all()


def test_the_chance_of_an_outcome_is_that_of_the_text_that_it_makes():
    speculation = Speculation(
        (-1, 0, -1), "primary", (1, 2, 3), (0.5, 0.25, 0.125), ((0.3, 0.1), (0.6,), (0.9,), (0.8,))
    )
    assert reached(speculation.parents, speculation.confidences) == [1.0, 0.5, 0.125, 0.125]
    ends = [Outcome(0, 1), Outcome(1, 0), Outcome(2, 0), Outcome(3, 0), Outcome(1, 1)]
    chances = [0.1, 0.5 * 0.6, 0.125 * 0.9, 0.125 * 0.8, None]
    assert list(detail._chances(speculation, ends)) == chances
    assert list(detail._chances(replace(speculation, confidences=()), ends)) == [None] * 5


@pytest.mark.parametrize("limit", [{"MOST_ROUNDS": 5}, {"MOST_OUTCOMES": 17}])
def test_notes_end_at_a_limit_and_the_run_says_where(limit, monkeypatch):
    whole = simulate(SMALL, detailed=True)
    for name, most in limit.items():
        monkeypatch.setattr(detail, name, most)
    run = simulate(SMALL, detailed=True)
    covered = run.info["detailed_rounds"]
    assert covered == 5 or run.rounds.predicted[: covered - 1].sum() < 17
    assert len(run.speculations) == covered < len(run.rounds)
    assert len(run.outcomes) == run.rounds.predicted[:covered].sum()
    assert run.tables["outcomes"].equals(whole.tables["outcomes"][: len(run.outcomes)])


def test_a_long_run_notes_the_same(monkeypatch):
    monkeypatch.setattr("ssdsim.run.spool.CHUNK", 16)
    kept, spooled = (simulate(SMALL, spooled, detailed=True) for spooled in (False, True))
    for name in ("speculations", "outcomes"):
        assert spooled.tables[name].equals(kept.tables[name])


def test_nothing_is_noted_unless_asked():
    run = simulate(SMALL)
    assert run.speculations is run.outcomes is run.vocabulary is None
    assert "detailed_rounds" not in run.info


def test_detail_is_read_as_it_was_written(tmp_path):
    run = simulate(replace(SMALL, acceptance=Iid(alpha=0.7)), detailed=True)
    run.vocabulary = {3: " the", 40: "\n</b>"}
    run.save_small(tmp_path)
    found = load_run(tmp_path)
    assert found.tables["outcomes"].equals(run.tables["outcomes"])
    assert found.tables["speculations"].equals(run.tables["speculations"])
    assert found.vocabulary == run.vocabulary
    simulate(replace(SMALL, seed=1)).save_small(tmp_path)
    later = load_run(tmp_path)
    assert later.outcomes is later.vocabulary is None
