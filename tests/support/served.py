"""What holds in every run of requests, whatever serves them."""

import numpy as np
import pytest

from ssdsim.run.station import POOL, STAGE

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
    if setup.draft_pool:
        pools_hold(setup, run)


def everybody_is_served(setup, run):
    found = run.sequences
    asked = setup.workload.requests(setup.seed)
    assert found.tokens.tolist() == [one.output_tokens for one in asked]
    late = found.arrival.to_numpy() - [one.arrival for one in asked]
    assert (late >= 0).all()  # clients of a closed loop send later what they cannot send yet
    assert setup.workload.most_at_once is not None or not late.any()
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
    state, blocks = run.state[run.state.replica >= STAGE], setup.serving.blocks(setup.load)
    assert (state[["waiting", "running", "blocks"]] >= 0).all(axis=None)
    assert (state.blocks <= blocks).all()
    assert (state.running <= setup.slots).all()
    last = state.groupby("replica")[["waiting", "running", "blocks"]].last()
    assert (last == 0).all(axis=None)


def nobody_waits_beside_an_idle_replica(run):
    for _, own in run.state.groupby("replica"):
        seconds = np.diff(own.time, append=run.sequences.finish.max())
        assert seconds[(own.running == 0) & (own.waiting > 0)].sum() <= CLOSE


def pools_hold(setup, run):
    """Check the draft devices as a station: against its spans, and by Little's law.

    Mean pieces of work there are a second's pieces times the seconds of each, waiting and being
    done. No device idles while somebody waits for one.
    """
    metrics, end = run.metrics, max(run.sequences.finish.max(), run.spans.end.max())
    state = run.state[run.state.replica == POOL]
    spans = run.spans[run.spans.lane.str.startswith("draft")]
    seconds = np.diff(state.time, append=end)
    waiting, running = state.waiting @ seconds, state.running @ seconds
    assert running == pytest.approx((spans.end - spans.start).sum())
    assert metrics["draft_pool_waiting_mean"] * end == pytest.approx(waiting, abs=CLOSE)
    assert metrics["draft_pool_running_mean"] * end == pytest.approx(running)
    assert metrics["draft_pool_utilization"] * end * setup.draft_pool == pytest.approx(running)
    assert (state.running <= setup.draft_pool).all()
    assert seconds[(state.waiting > 0) & (state.running < setup.draft_pool)].sum() <= CLOSE
    pieces = metrics["draft_pool_arrivals_per_s"] * end
    left = state[["waiting", "running"]].tail(1).to_numpy().sum(axis=0)  # at the run's end
    assert pieces == pytest.approx(len(spans) + left[0])
    waits, works = (pieces * metrics[f"draft_pool_{of}_mean"] for of in ("wait", "service"))
    if not any(left):
        assert (waits, works) == pytest.approx((waiting, running), abs=CLOSE)
    assert waits >= waiting - CLOSE
    assert works >= running - CLOSE


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
