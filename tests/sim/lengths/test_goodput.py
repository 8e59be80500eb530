"""TurboSpec's control of batched speculation: `length=goodput`."""

from functools import cache

import pytest
from numpy.random import default_rng
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.latency.roofline import Roofline
from ssdsim.lengths.goodput import Goodput
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.theory import acceptance_length, best_lookahead
from ssdsim.workloads.closed import Closed

GPU = Machine(Roofline("llama31_8b", "h100"), Roofline("qwen3_0.6b", "h100"))
BATCHES = (1, 8, 32, 128, 256)


@pytest.mark.parametrize("alpha", [0.3, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("cost", [0.02, 0.1, 0.3])
def test_the_choice_is_leviathans_where_times_are_fixed(alpha, cost):
    control = Goodput(alpha).start(20)
    assert control.limit(1, lambda k: 1 + cost * k) == best_lookahead(alpha, cost, 20)


def test_the_choice_promises_the_most_tokens_a_second():
    def seconds(k):
        return 0.5 + 0.1 * k + 0.04 * k**2

    promised = [acceptance_length(0.8, k) / seconds(k) for k in range(11)]
    assert Goodput(0.8).start(10).limit(7, seconds) == promised.index(max(promised))


def test_speculation_is_off_where_it_does_not_pay():
    assert Goodput(0.2).start(10).limit(9, lambda k: 1 + 0.5 * k) == 0
    run = simulate(
        Setup(
            Speculative(), Iid(alpha=0.1), machine(step=0.5), Closed(8, 0, 100), lookahead=8,
            length=Goodput(),
        )
    )  # fmt: skip
    assert (run.rounds.drafted.tail(100) == 0).all()
    assert (run.rounds.speculator.tail(100) == "none").all()
    assert run.metrics["tokens_per_s"] == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("alpha", [0.4, 0.9])
def test_alpha_is_learnt(alpha):
    control = Goodput(0.7, prior=32).start(8)
    setup = Setup(Speculative(), Iid(alpha=alpha), machine(), Closed(4, 0, 500), lookahead=8)
    source = setup.acceptance.open(setup.sampling, default_rng(0))
    text = source.text(0)
    for _ in range(1000):
        drafted = text.speculate(8, "primary")
        control.observe(drafted, drafted.truth)
        text.commit(drafted, 1)
    assert control.accepts.mean == pytest.approx(alpha, abs=0.03)


# Load


@cache
def served(method, alpha, batch):
    # Outputs of different lengths, so that rows come and go under every method alike.
    workload = Closed(max(4 * batch, 64), 256, 150, output_spread=0.5)
    setup = Setup(
        method, Iid(alpha=alpha), GPU, workload, lookahead=8, batch=batch, length=Goodput()
    )
    return simulate(setup)


def chosen(method, alpha, batch):
    return served(method, alpha, batch).rounds.drafted.median()


def throughput(method, alpha, batch):
    """Return tokens a second of decoding while all slots are full."""
    run = served(method, alpha, batch)
    last = run.rounds[run.rounds.seq >= run.rounds.seq.max() - batch].start.min()
    full = run.rounds[run.rounds.end <= last]
    prefills = run.spans[(run.spans.kind == "prefill") & (run.spans.start < full.end.max())]
    seconds = full.end.max() - (prefills.end - prefills.start).sum()
    return (full.accepted + 1).sum() / seconds


@pytest.mark.parametrize("alpha", [0.6, 0.8, 0.9])
def test_as_load_grows_the_chosen_length_falls(alpha):
    lengths = [chosen(Speculative(), alpha, B) for B in BATCHES]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[-1]


@pytest.mark.parametrize("alpha", [0.4, 0.6, 0.8])
@pytest.mark.parametrize("batch", BATCHES)
def test_throughput_does_not_fall_under_that_of_autoregressive_decoding(alpha, batch):
    alone = throughput(Autoregressive(), alpha, batch)
    assert throughput(Speculative(), alpha, batch) > 0.97 * alone


def test_in_ssd_a_longer_draft_pays_as_it_is_hidden():
    assert chosen(Ssd(), 0.6, 32) > chosen(Speculative(), 0.6, 32)


@pytest.mark.parametrize("options", [{"alpha": 1.2}, {"prior": 0.0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"length.{next(iter(options))}"):
        Goodput(**options)
