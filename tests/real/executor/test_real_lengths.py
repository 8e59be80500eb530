"""Length controls on real models: chains end where the rule says; the text is the target's own."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from inline_crew import outputs
from tiny_runs import GREEDY, GUMBEL, K, alone, decoded, short

from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdsim.acceptance.iid import Iid
from ssdsim.latency.machine import Machine
from ssdsim.lengths.base import Control, Length, Stopping
from ssdsim.lengths.confidence import Confidence
from ssdsim.lengths.controller import Controller
from ssdsim.lengths.goodput import Goodput
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.sampling.settings import Decoding

METHODS = [Speculative(), *(Ssd(how) for how in ("wait", "prune", "truncate"))]
LENGTHS = [Confidence(0.5, least=1), Controller(0.1, step=0.05), Goodput()]


def run_of(method, length, decoding=GREEDY, batch=1):
    return decoded(short(method, decoding, batch, lookahead=K, length=length))


@pytest.mark.parametrize("length", LENGTHS, ids=str)
@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL[0]], ids=["greedy", "gumbel"])
def test_the_text_is_the_targets_own(length, decoding):
    for method, batch in product(METHODS, (1, 3)):
        run = run_of(method, length, decoding, batch)
        assert outputs(run) == alone("float32", batch, decoding)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_chains_end_by_themselves(method):
    run = run_of(method, Confidence(0.5, least=1), batch=3)
    assert run.rounds.drafted.nunique() > 2


class Watched(Control):
    """A fixed floor, and what became of the chains under it."""

    def __init__(self, floor):
        super().__init__(K)
        self.floor, self.seen = floor, []

    def stopping(self, limit):
        return Stopping(limit, floor=self.floor)

    def observe(self, speculation, outcome):
        self.seen.append(speculation)


class Watching(Length):
    def __init__(self, control):
        object.__setattr__(self, "control", control)

    def start(self, lookahead):
        return self.control


@pytest.mark.parametrize("method", METHODS[:3], ids=str)
@pytest.mark.parametrize("decoding", [GREEDY, Decoding(1.0)], ids=["greedy", "maximal"])
def test_a_chains_last_token_is_the_one_that_ended_it_and_is_verified(method, decoding):
    free = Watched(0.0)
    run_of(method, Watching(free), decoding, batch=3)
    floor = float(np.median([c for chain in free.seen for c in chain.confidences]))
    control = Watched(floor)
    run_of(method, Watching(control), decoding, batch=3)
    assert len({chain.length for chain in control.seen}) > 1
    for chain in control.seen:
        assert all(c >= floor for c in chain.confidences[:-1])
        assert chain.length == K or chain.confidences[-1] < floor


def test_the_twin_has_the_same_length():
    setup = Setup(Speculative(), length=Confidence(0.4))
    machine = Machine(None, None)
    assert simulated_twin(setup, Iid(), machine).length == Confidence(0.4)
    assert simulated_twin(replace(setup, length=Goodput()), Iid(), machine).length == Goodput()
