"""What holds in every run of requests, whatever serves them."""

import numpy as np
import pytest

CLOSE = 1e-9


def requests_hold(setup, run, shared=False):
    """Check all; of `shared` drafts a replica may wait for its own, with nobody to decode."""
    everybody_is_served(setup, run)
    nobody_is_early(run)
    rounds_deliver_all(run)
    counts_add_up(setup, run)
    if not shared:
        nobody_waits_beside_an_idle_replica(run)
    little_holds(run)


def everybody_is_served(setup, run):
    found = run.sequences
    asked = setup.workload.requests(setup.seed)
    assert found.tokens.tolist() == [one.output_tokens for one in asked]
    assert found.arrival.tolist() == [one.arrival for one in asked]
    assert (found.reason == "length").all()
    assert found.replica.between(0, setup.replicas - 1).all()


def nobody_is_early(run):
    moments = run.sequences[["arrival", "admitted", "first_token", "finish"]].to_numpy()
    assert (np.diff(moments, axis=1) >= 0).all()
    lanes = run.spans.sort_values(["lane", "start", "end"])
    gaps = lanes.start.to_numpy()[1:] - lanes.end.to_numpy()[:-1]
    assert (gaps[(lanes.lane.shift()[1:] == lanes.lane[1:]).to_numpy()] >= -CLOSE).all()


def rounds_deliver_all(run):
    rounds = run.rounds
    delivered = (rounds.accepted + 1).groupby(rounds.seq).sum()
    assert delivered.tolist() == run.sequences.tokens.tolist()
    for _, own in rounds.groupby("seq"):
        assert own["round"].tolist() == list(range(len(own)))
        assert (own.start.to_numpy()[1:] >= own.end.to_numpy()[:-1] - CLOSE).all()
        assert (own.end >= own.start).all()


def counts_add_up(setup, run):
    """Nobody is left over, and blocks are given back."""
    state, blocks = run.state, setup.serving.blocks(setup.load)
    assert (state[["waiting", "running", "blocks"]] >= 0).all(axis=None)
    assert (state.blocks <= blocks).all()
    assert (state.running <= setup.slots).all()
    last = state.groupby("replica")[["waiting", "running", "blocks"]].last()
    assert (last == 0).all(axis=None)


def nobody_waits_beside_an_idle_replica(run):
    for _, own in run.state.groupby("replica"):
        seconds = np.diff(own.time, append=run.sequences.finish.max())
        assert seconds[(own.running == 0) & (own.waiting > 0)].sum() <= CLOSE


def little_holds(run):
    """A mean count times the run's seconds is the sum of the seconds that each was there."""
    found, metrics = run.sequences, run.metrics
    end = max(found.finish.max(), run.spans.end.max())
    inside = (metrics["waiting_mean"] + metrics["running_mean"]) * end
    assert inside == pytest.approx((found.finish - found.arrival).sum())
    queued = (found.admitted - found.arrival).sum()
    if found.preempted.any():
        assert metrics["waiting_mean"] * end >= queued - CLOSE
    else:
        assert metrics["waiting_mean"] * end == pytest.approx(queued, abs=CLOSE)
