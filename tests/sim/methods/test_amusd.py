"""AMUSD: worked timelines, its steady state, and the authors' own measurements of one prompt."""

import json
from pathlib import Path

import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Power
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.workloads.closed import Closed

SAMPLE = json.loads(
    (Path(__file__).parents[2] / "support/reference" / "amusd_humaneval_sample.json").read_text()
)
RIGHT = ((9999, 0),)


def test_it_verifies_two_drafts_and_keeps_the_bonus_token_that_the_draft_made_too():
    run = decode(Amusd(), RIGHT, tokens=9, lookahead=9, machine=machine(verify=1.0, step=0.5))
    # Three steps a cycle of 1.5: two of them beside the verify.
    assert spans(run, "verify") == near([(1, 2, 3, 3), (2.5, 3.5, 3, 3), (4, 5, 3, 3)])
    draft = run.spans[run.spans.lane == "draft"]
    assert list(draft.end) == pytest.approx([0.5 * step for step in range(1, 9)])
    assert draft.used.sum() == 8  # all but the last token, which needs no draft


def test_after_a_rejection_the_draft_goes_back_at_the_end_of_its_step():
    run = decode(
        Amusd(), ((0, 0), (99, 0)), tokens=9, lookahead=9, machine=machine(verify=1.2, step=0.5)
    )
    assert spans(run, "verify")[:3] == near(
        [
            (1.0, 2.2, 3, 1),  # the first of two is wrong
            (2.5, 3.7, 1, 1),  # the draft has looked: what it showed is void, so a token alone
            (4.0, 5.2, 3, 3),  # drafted from 2.5 on: the token above, and two more by 4.0
        ]
    )
    draft = run.spans[run.spans.lane == "draft"].reset_index()
    # Five steps after the wrong token were in vain; the token made alone was drafted too.
    assert list(draft.used)[:8] == [0, 0, 0, 0, 0, 1, 1, 1]


def test_a_wrong_bonus_token_is_found_out_by_the_draft():
    run = decode(
        Amusd(), ((2, 0), (99, 0)), tokens=7, lookahead=9, machine=machine(verify=1.2, step=0.5)
    )
    assert spans(run, "verify") == near(
        [
            (1.0, 2.2, 3, 3),  # both right, the bonus token not what the draft made
            (2.5, 3.7, 1, 1),  # two more are shown by then, but void
            (4.0, 5.2, 3, 3),
        ]
    )


@pytest.mark.parametrize(
    ("verify", "step", "seconds"),
    [
        (1.0, 0.2, 0.2),  # the draft is the bottleneck: a step a token, not a verify
        (1.0, 0.45, 0.45),
        (1.0, 0.333, 0.3333),
        (0.3, 0.5, 0.5),  # three tokens a cycle of three steps
        (1.0, 0.01, 1 / 41),  # as many as a verify takes, and its own
    ],
)
def test_without_rejections_it_takes_a_draft_step_a_token(verify, step, seconds):
    on = machine(verify=verify, step=step)
    run = decode(Amusd(), RIGHT, tokens=2000, lookahead=40, machine=on)
    assert 1 / run.metrics["tokens_per_s"] == pytest.approx(seconds, rel=0.03)


def test_steady_state_is_three_tokens_a_cycle():
    run = decode(Amusd(), RIGHT, tokens=300, lookahead=9, machine=machine(verify=0.9, step=0.4))
    cycles = run.rounds.iloc[2:-2]
    assert set(cycles.accepted + 1) == {3}
    assert set((cycles.end - cycles.start).round(9)) == {1.2}


def chains(tokens_per_round, lookahead):
    """Return how many tokens the draft was right between its wrong ones, each as a script's round.

    What the bonus token of a full accept would have been for the draft is not known: right.
    """
    found, right = [], 0
    for tokens in tokens_per_round:
        right += tokens
        if tokens <= lookahead:
            found.append((right - 1, 0))
            right = 0
    return (*found, (right, 0))


@pytest.mark.parametrize("step", ["sd", "amusd"])
def test_the_authors_prompt_within_5_percent(step):
    sd, amusd = SAMPLE["sd"], SAMPLE["amusd"]
    on = machine(verify=sd["verify_s"], step=SAMPLE[step]["draft_step_s"])
    script = chains(sd["tokens_per_round"], sd["lookahead"])
    run = decode(Amusd(), script, tokens=sd["tokens"], lookahead=16, machine=on)
    cycles = amusd["tokens_per_cycle"]
    tokens_a_cycle = sum(cycles) / len(cycles)
    assert run.metrics["acceptance_length"] == pytest.approx(tokens_a_cycle, rel=0.05)
    seconds_a_token = amusd["verify_s"] / tokens_a_cycle
    assert 1 / run.metrics["tokens_per_s"] == pytest.approx(seconds_a_token, rel=0.05)
    steps = (run.spans.lane == "draft").sum()
    assert steps == pytest.approx(amusd["draft_steps"], rel=0.05)


def test_the_lookahead_bounds_a_verify_and_nothing_to_draft_is_not_waited_for():
    fast = machine(verify=1.0, step=0.01)
    run = decode(Amusd(), RIGHT, tokens=40, lookahead=4, machine=fast)
    assert run.rounds.drafted.max() == 4
    assert rounds(decode(Amusd(), RIGHT, tokens=1), "drafted", "end") == [(0, 1.0)]
    alone = decode(Amusd(), RIGHT, tokens=5, lookahead=0)
    assert alone.metrics["tokens_per_s"] == pytest.approx(1)
    assert not (alone.spans.lane == "draft").any()


def test_the_second_device_costs_energy_when_it_idles_too():
    watts = {"target_power": Power(152.0, 49.0), "draft_power": Power(107.0, 49.0)}
    setup = Setup(Amusd(), Iid(), machine(verify=0.5, step=0.2, **watts), Closed(3, 4, 50))
    run = simulate(setup)
    end = run.spans.end.max()
    joules = 0.0
    for lane, busy in (("target", 152.0), ("draft", 107.0)):
        seconds = (run.spans.end - run.spans.start)[run.spans.lane == lane].sum()
        joules += busy * seconds + 49.0 * (end - seconds)
    assert run.metrics["energy_j"] == pytest.approx(joules)
    alone = simulate(Setup(Autoregressive(), Iid(), setup.machine, setup.workload))
    assert alone.metrics["energy_j"] == pytest.approx(152.0 * alone.spans.end.max())


def test_a_negative_wait_is_refused():
    with pytest.raises(ConfigError, match=r"^method\.ahead=-1: needs tokens >= 0"):
        Amusd(ahead=-1)
