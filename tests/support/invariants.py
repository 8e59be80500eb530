"""What holds in every run, simulated or real, whatever the settings."""

from itertools import pairwise

import numpy as np
import pyarrow.compute as pc
import pytest

from ssdsim.decoding.detail import MOST_ROUNDS

CLOSE = 1e-9


def all_holds(setup, run):
    tokens_are_conserved(setup, run)
    time_goes_forward(run)
    lanes_do_one_thing_at_a_time(run)
    work_is_used_or_wasted(setup.method, run)
    hits_were_predicted(run)
    if "outcomes" in run.tables:
        detail_agrees(run)


def tokens_are_conserved(setup, run):
    asked, prompts = setup.workload.output_tokens, setup.workload.prompts
    assert run.tables["sequences"]["tokens"].to_pylist() == [asked] * prompts
    seq, accepted, drafted = columns(run, "rounds", "seq", "accepted", "drafted")
    assert np.bincount(seq, accepted + 1).tolist() == [asked] * prompts
    assert (accepted <= drafted).all()
    outputs = run.tables["sequences"]["output"].to_pylist()
    assert all(output is None or len(output) == asked for output in outputs)


def time_goes_forward(run):
    for table in ("rounds", "spans"):
        start, end = columns(run, table, "start", "end")
        assert (end >= start).all()
    moments = columns(run, "sequences", "admitted", "first_token", "finish")
    assert all((one <= other).all() for one, other in pairwise(moments))
    for start, end, number in by_sequence(run, "start", "end", "round"):
        assert (np.diff(start) >= 0).all()
        assert (start >= np.append(0.0, end[:-1]) - CLOSE).all()
        assert number.tolist() == list(range(len(number)))


def lanes_do_one_thing_at_a_time(run):
    start, end = columns(run, "spans", "start", "end")
    lane = np.array(run.tables["spans"]["lane"].to_pylist())
    for own in (lane == name for name in set(lane.tolist())):
        order = np.lexsort((end[own], start[own]))
        begins, ends = start[own][order], end[own][order]
        assert (begins[1:] >= ends[:-1] - CLOSE).all()
        busy = (ends - begins).sum()
        idle = (np.append(begins, end.max()) - np.append(0.0, ends)).sum()
        assert busy + idle == pytest.approx(end.max())


def work_is_used_or_wasted(method, run):
    used, tokens = columns(run, "spans", "used", "tokens")
    accepted, drafted = columns(run, "rounds", "accepted", "drafted")
    kind = np.array(run.tables["spans"]["kind"].to_pylist())
    assert (used <= tokens).all()
    assert (used >= 0).all()
    drafts, verifies = np.isin(kind, ["speculate", "prespeculate"]), kind == "verify"
    kept, made = used[drafts].sum(), tokens[drafts].sum()
    if method.draft_on is None:  # what it drafts, if anything, comes out of its verifies
        assert not drafts.any()
    elif method.lossless:
        # A draft that goes on past a block, and makes more than is verified or laid in the cache,
        # may have made the bonus token too, if the block was right.
        goes_on = tokens[kind == "speculate"].sum() > drafted.sum()
        assert 0 <= kept - accepted.sum() <= (accepted == drafted).sum() * goes_on
    else:  # what nobody corrects is all drafted
        assert accepted.sum() <= kept <= run.metrics["tokens"]
    if made:
        wasted = run.metrics["wasted_draft_token_fraction"] * made
        assert wasted + kept == pytest.approx(made)
    if method.lossless:  # every token is a target's, and every round a verify's
        assert used[verifies].sum() == run.metrics["tokens"]
        assert tokens[verifies].sum() >= (drafted + 1).sum()
        committed = verifies & (used > 0)  # others were given up, or read guesses again
        assert method.draft_on is None or tokens[committed].sum() == (drafted + 1).sum()


def hits_were_predicted(run):
    rounds = run.tables["rounds"]
    known, primary = (
        np.array(column.to_pylist())
        for column in (rounds["hit"].is_valid(), pc.equal(rounds["speculator"], "primary"))
    )
    hit = np.array(rounds["hit"].fill_null(False).to_pylist())
    for own in rows_of_sequences(run):
        predicted = columns(run, "rounds", "predicted")[0][own]
        assert ((np.append(0, predicted[:-1]) > 0) == known[own]).all()
    assert hit[primary & known].all()


def detail_agrees(run):
    """Check what was noted of the first rounds against the rounds themselves."""
    covered = run.info["detailed_rounds"]
    rounds = run.tables["rounds"][:covered].to_pylist()
    verified = run.tables["speculations"].to_pylist()
    assert len(verified) == covered == min(len(run.rounds), MOST_ROUNDS)
    prepared = {}
    for one in run.tables["outcomes"].to_pylist():
        prepared.setdefault((one["seq"], one["round"]), []).append(one)
    hits = {(one["seq"], one["round"]): one["hit"] for one in run.tables["rounds"].to_pylist()}
    for ended, speculation in zip(rounds, verified, strict=True):
        seq, number = ended["seq"], ended["round"]
        assert (speculation["seq"], speculation["round"]) == (seq, number)
        assert speculation["speculator"] == ended["speculator"]
        assert len(speculation["parents"]) == ended["drafted"]
        found = prepared.pop((seq, number), [])
        assert len({(one["node"], one["rank"]) for one in found}) == ended["predicted"]
        won = [one for one in found if one["won"]]
        assert len(won) == bool(hits.get((seq, number + 1)))
        ends = speculation["node"], speculation["rank"]
        assert all((one["node"], one["rank"]) == ends for one in won)
        assert all(one["token"] in {None, ended["token"]} for one in won)
        assert all(
            one["drafted"] == len(one["continuation"]) for one in found if one["continuation"]
        )
    assert not prepared


def columns(run, table, *names):
    return [run.tables[table][name].to_numpy() for name in names]


def rows_of_sequences(run):
    """Return where the rounds of each sequence are, in their order."""
    (seq,) = columns(run, "rounds", "seq")
    return [np.flatnonzero(seq == one) for one in np.unique(seq)]


def by_sequence(run, *names):
    """Yield these columns of each sequence's rounds."""
    found = columns(run, "rounds", *names)
    yield from ([column[own] for column in found] for own in rows_of_sequences(run))
