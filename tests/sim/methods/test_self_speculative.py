"""Draft & Verify (Zhang et al. 2023): `self_speculative` with `length=controller`."""

from functools import cache

import pytest
from scripted import decode, machine, rounds

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.errors import ConfigError
from ssdsim.latency.roofline import Roofline
from ssdsim.latency.skipped import Skipped
from ssdsim.lengths.controller import Controller
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.sampling.streams import stream
from ssdsim.workloads.closed import Closed

BY_HAND = [  # drafted, accepted; the share m and the threshold after it
    (4, 4, 0.5, 0.801),
    (4, 4, 0.75, 0.802),
    (4, 4, 0.875, 0.803),
    (4, 4, 0.9375, 0.802),
    (8, 8, 0.96875, 0.802),  # as long as can be, and good enough: kept
    (4, 2, 0.734375, 0.803),
    (8, 0, 0.3671875, 0.804),
    (1, 1, 0.68359375, 0.805),
]


def test_the_controller_step_by_step():
    control = Controller().start(8)
    for drafted, accepted, matched, threshold in BY_HAND:
        control.observe(Speculation(chain(drafted), "primary"), Outcome(accepted, 0))
        assert control.matched == matched
        assert control.threshold == pytest.approx(threshold, abs=1e-12)
        assert control.stopping(8).floor == control.threshold


def test_a_threshold_in_a_run_is_what_it_would_be_by_hand():
    length = Controller(threshold=0.5, memory=0.3, inertia=0.6, target=0.8, step=0.05)
    setup = Setup(
        SelfSpeculative(), LanguageModel(vocabulary=32, order=2), machine(), Closed(1, 4, 80),
        lookahead=5, length=length,
    )  # fmt: skip
    text = setup.acceptance.open(setup.sampling, stream(0, "acceptance")).text(0)
    control, thresholds = length.start(5), set()
    for row in simulate(setup).rounds.itertuples():
        drafted = text.speculate(row.drafted, "primary")
        # All tokens but the last are over the threshold, and the last one is under it.
        assert all(c >= control.threshold for c in drafted.confidences[:-1])
        assert row.drafted == 5 or drafted.confidences[-1] < control.threshold
        thresholds.add(control.threshold)
        control.observe(drafted, drafted.truth)
        text.commit(drafted, row.accepted + 1)
    assert len(thresholds) > 5


# The timeline


def test_the_draft_takes_a_share_of_the_targets_own_pass():
    run = decode(SelfSpeculative(kept=0.4), ((2, 0), (0, 0)), lookahead=2)
    assert rounds(run, "accepted", "start", "end") == [
        (2, 0.0, pytest.approx(1.8)),
        (0, pytest.approx(1.8), pytest.approx(3.6)),
    ]
    assert set(run.spans.device) == {"target"}
    assert len(run.info["devices"]) == 1


def test_layers_left_out_save_their_share_of_what_a_pass_of_that_size_takes():
    target = Roofline("llama31_8b", "h100")
    skipped = Skipped(target, 0.6)
    for batch, context in ((1, 100), (8, 4000)):
        whole = target.seconds("verify", batch, batch, context)
        assert skipped.seconds("step", batch, batch, context) == pytest.approx(0.6 * whole)
    assert skipped.seconds("fill", 1, 1, 9) == skipped.seconds("prefill", 1, 9, 0) == 0
    assert skipped.devices == target.devices
    assert skipped.spread(2).seconds("step", 1, 1, 9) < skipped.seconds("step", 1, 1, 9)


@pytest.mark.parametrize("kept", [0.25, 0.5, 0.64])
@pytest.mark.parametrize("K", [1, 4, 16])
def test_speedup_is_bounded_by_one_over_what_is_kept(kept, K):
    # All accepted: K + 1 tokens in K·c + 1 passes, under 1/c for any K.
    run = simulate(
        Setup(
            SelfSpeculative(kept=kept),
            Iid(alpha=1.0),
            machine(),
            Closed(1, 0, 4 * (K + 1)),
            lookahead=K,
        )
    )
    assert run.metrics["tokens_per_s"] == pytest.approx((K + 1) / (K * kept + 1))
    assert run.metrics["tokens_per_s"] < 1 / kept


@pytest.mark.parametrize("kept", [0.0, 1.1])
def test_what_is_kept_is_a_share(kept):
    with pytest.raises(ConfigError, match=r"method\.kept"):
        SelfSpeculative(kept=kept)


# The published ablation: fixed length 1.44x, fixed threshold 1.38 to 1.58x, adaptive 1.57x


@cache
def speed(length, lookahead=10):
    run = simulate(
        Setup(
            SelfSpeculative(kept=0.5),
            LanguageModel(vocabulary=32, sharpness=8.0, divergence=0.6, order=2),
            machine(),
            Closed(6, 4, 300),
            lookahead=lookahead,
            length=length,
        )
    )
    return run.metrics["tokens_per_s"]


@pytest.mark.slow
def test_the_ablation_is_in_the_published_order():
    fixed = max(speed(Fixed(), K) for K in (2, 3, 4, 8))
    thresholds = sorted(speed(Controller(th, step=0.0)) for th in (0.2, 0.4, 0.5, 0.6, 0.8))
    for start in (0.5, 0.6):
        adaptive = speed(Controller(start))
        assert thresholds[0] < fixed < adaptive  # a bad threshold is worse than none
        assert 0.95 * thresholds[-1] < adaptive < 1.02 * thresholds[-1]
