"""The length that a delay asks for: `length=delay`."""

from dataclasses import replace
from itertools import pairwise

import pytest
from scripted import decode, machine, near, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.command.composing import setup as composed
from ssdsim.engine.simulation import evaluate
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Link
from ssdsim.lengths.confidence import Confidence
from ssdsim.lengths.delay import Delay
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.theory import acceptance_length
from ssdsim.workloads.closed import Closed

ALPHA = 0.7
"""What a control takes acceptance for that has seen nothing."""


def chosen(delay, step=0.1, most=60):
    control = Delay(informed=0.0).start(most)
    limit = control.limit(1, lambda k: 1.0 + (delay + step * k if k else 0.0))
    return control.stopping(limit).length((0.0,) * limit)


@pytest.mark.parametrize("step", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("delay", [0.0, 0.3, 1.0, 10.0, 400.0])
def test_the_length_is_the_best_fixed_one(delay, step):
    promised = {k: acceptance_length(ALPHA, k) / (1 + delay + step * k) for k in range(1, 61)}
    assert chosen(delay, step) == max(promised, key=promised.get)


def test_it_grows_with_the_logarithm_of_the_delay():
    # Far away λ tends to 1 / (1 - α)D: with D times 1/α one token more is worth its time.
    far = [chosen(1e3 / ALPHA**times, most=90) for times in range(12)]
    assert [after - before for before, after in pairwise(far)] == [1] * 11


def test_rounds_of_a_far_draft():
    run = decode(
        Speculative("own"), ((9, 0), (0, 0)), tokens=7, lookahead=9, length=Delay(0.0, 1e9),
        machine=machine(link=Link(latency=0.25)),
    )  # fmt: skip
    # A round takes 1.5 + .2k: λ = 2.533 / 2.1, and .7^4 < .2λ < .7^3.
    assert run.rounds.drafted.tolist() == [3] * len(run.rounds)
    assert spans(run, "transfer")[0][:2] == (0.0, 0.5)
    assert near(spans(run, "verify", "start", "end"))[0] == (1.1, 2.1)


def test_what_is_hidden_is_drafted_whole():
    setup = Setup(
        Ssd(), LanguageModel(), machine(step=0.01), Closed(1, 8, 40), lookahead=6, length=Delay()
    )
    assert (simulate(setup).rounds.drafted == 6).all()


@pytest.mark.parametrize(("seconds", "gain"), [(0.0, 1.1), (0.2, 1.02), (1.0, 1.03)])
def test_on_a_real_pair_it_is_as_good_as_what_was_best_in_hindsight(seconds, gain):
    far = composed(
        "profile=two_cores", "method=speculative", "method.draft_on=own", "latency.padding=0",
        f"latency.link.latency={seconds}", "temperature=0",
    )  # fmt: skip

    def speed(length, K=12):
        return evaluate(replace(far, length=length, lookahead=K)).metrics["tokens_per_s"]

    own = speed(Delay())
    assert own > 0.995 * max(speed(Fixed(), K) for K in (2, 3, 4, 6, 8, 10))
    assert own > 0.995 * max(speed(Confidence(threshold)) for threshold in (0.5, 0.8, 0.95))
    assert own > gain * speed(Confidence())


@pytest.mark.parametrize("options", [{"informed": 1.2}, {"prior": 0.0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigError, match=f"length.{next(iter(options))}"):
        Delay(**options)
