"""Speedups over the batch follow from acceptance and step times alone (arXiv 2601.11580)."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from specdecode_bench import BATCHES, DATA_SETS, SPEEDUPS, K, acceptance, engine

from ssdsim import Setup
from ssdsim.engine.simulation import evaluate
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.closed import Closed


def tokens_per_s(method, source, machine, batch, size):
    prompts = Closed(4 * batch + 8, *size)
    serving = Continuous(max_num_seqs=batch)
    setup = Setup(method, source, machine, prompts, lookahead=K, serving=serving, batch=batch)
    return evaluate(setup).metrics["tokens_per_s_e2e"]


@cache
def speedup(data, method, batch):
    *size, chances = DATA_SETS[data]
    source, machine = acceptance(method, chances[method]), engine(method)
    alone, drafting = (
        tokens_per_s(how, source, machine, batch, size) for how in (Autoregressive(), Speculative())
    )
    return drafting / alone


@pytest.mark.parametrize(("data", "method"), [("GSM8K", "eagle"), ("CNN/DailyMail", "ngram")])
def test_speedups_in_small_batches(data, method):
    found = [speedup(data, method, batch) for batch in BATCHES[:2]]
    assert found == pytest.approx(SPEEDUPS[data, method][:2], rel=0.08)


@pytest.mark.slow
def test_speedups_of_all_batches():
    found = {key: [speedup(*key, batch) for batch in BATCHES] for key in SPEEDUPS}
    errors = np.array([found[key] for key in SPEEDUPS]) / np.array([*SPEEDUPS.values()]) - 1
    assert np.median(np.abs(errors)) <= 0.08
    assert np.abs(errors).max() <= 0.15
    for speedups in found.values():
        assert all(one > other for one, other in pairwise(speedups)), speedups
