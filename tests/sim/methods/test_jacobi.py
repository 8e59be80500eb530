"""Jacobi iteration: its bounds, its passes one by one, and the same iteration written out."""

import math
from itertools import groupby

import numpy as np
import pytest
from scripted import decode, machine, rounds

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.acceptance.recorded import Recorded
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.latency.table import Table
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.jacobi import Jacobi
from ssdsim.sampling.settings import Sampling
from ssdsim.theory import jacobi_passes
from ssdsim.workloads.closed import Closed

PASSES = {"tokens": [1, 41], "seconds": [1.0, 5.0]}
WIDE = Machine(target=Table({"verify": PASSES, "prefill": {"seconds": 0.0}}), draft=machine().draft)
# Few ids: a guess after a wrong prefix is right now and then.
FEW = LanguageModel(vocabulary=3, order=2)


def run(method, acceptance, lookahead=6, tokens=60, prompts=3, machine=WIDE, **more):
    workload = Closed(prompts, 4, tokens)
    return simulate(Setup(method, acceptance, machine, workload, lookahead=lookahead, **more))


def verifies(found):
    return found.spans[found.spans.kind == "verify"]


def passes(found):
    """Count the passes of every block."""
    spans = verifies(found)
    return [len(list(group)) for _, group in groupby(zip(spans.seq, spans["round"], strict=True))]


def test_a_block_is_read_until_it_does_not_change():
    # Right guesses in each pass: of the first, padding, none whatever is said.
    script = (3, 0), (1, 0), (0, 0), (2, 0)
    found = decode(Jacobi(), script, tokens=6, lookahead=6)
    # 1 right, then 1 + 1 more, 0 + 1, and both others: nothing is left to confirm.
    assert list(verifies(found).tokens) == [6, 6, 4, 3]
    assert list(verifies(found).used) == [1, 2, 1, 2]
    assert rounds(found, "drafted", "accepted", "speculator", "start", "end") == [
        (5, 5, "none", 0, 4)
    ]


def test_a_block_that_a_correction_ends_is_read_once_more():
    found = decode(Jacobi(), ((0, 0), (1, 0), (0, 0), (0, 0)), tokens=4, lookahead=4)
    assert list(verifies(found).tokens) == [4, 4, 2, 1]
    assert list(verifies(found).used) == [1, 2, 1, 0]


def test_a_block_that_moves_ends_a_round_with_every_pass():
    found = decode(Jacobi("moves"), ((3, 0), (1, 0), (9, 0), (0, 0)), tokens=8, lookahead=4)
    # The pass before looked at 0, 3, 2, 1 of the guessed places; two tokens are left, then one.
    assert list(verifies(found).tokens) == [4, 4, 4, 2, 1]
    assert rounds(found, "accepted", "end") == [(0, 1), (1, 2), (2, 3), (0, 4), (0, 5)]


@pytest.mark.parametrize("lookahead", [1, 2, 7])
@pytest.mark.parametrize("acceptance", [Iid(alpha=0.0), Iid(alpha=0.6), Iid(alpha=1.0), FEW])
def test_bounds(acceptance, lookahead):
    counted = passes(run(Jacobi(), acceptance, lookahead, tokens=8 * lookahead))
    assert len(counted) == 3 * 8
    assert all(min(2, lookahead) <= count <= lookahead for count in counted)
    if acceptance == Iid(alpha=0.0):
        assert set(counted) == {lookahead}
    if acceptance == Iid(alpha=1.0):
        assert set(counted) == {min(2, lookahead)}


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.8, 1.0])
def test_mean_passes_of_a_block(alpha):
    counted = passes(run(Jacobi(), Iid(alpha=alpha), tokens=6 * 2000, prompts=1))
    error = 3 * math.sqrt(5 * alpha * (1 - alpha) / len(counted))  # wrong guesses are binomial
    assert np.mean(counted) == pytest.approx(jacobi_passes(alpha, 6), abs=error + 1e-9)


def test_speedup_is_passes_saved_times_what_they_cost():
    plain, found = (run(method, FEW) for method in (Autoregressive(), Jacobi()))
    spans = verifies(found)
    cost = (spans.end - spans.start).mean()
    assert cost == pytest.approx(1 + 0.1 * (spans.tokens.mean() - 1))
    speedup = found.metrics["tokens_per_s"] / plain.metrics["tokens_per_s"]
    assert speedup == pytest.approx(len(verifies(plain)) / len(spans) * (1.0 / cost), rel=1e-12)
    assert len(spans) < len(verifies(plain))


def iterate(pair, text, length):
    """Read a block of the pair's target until it stays the same; return it and the passes."""
    V, order, target = pair.vocabulary, pair.models.order, pair.models.tables[0]

    def says(tokens):
        context = 0
        for token in tokens[-order:]:
            context = context * V + (0 if token is None else token)
        return int(np.argmax(target[context].astype(np.float32)))

    block = [None] * length
    for count in range(1, length + 1):
        after = [says([*text, *block[:at]]) for at in range(length)]
        if after == block:
            return block, count
        block = after
    return block, length


@pytest.mark.parametrize("seed", range(4))
def test_the_iteration_is_that_of_the_tables(seed):
    model = LanguageModel(vocabulary=3, order=2, seed=seed)
    found = run(Jacobi(), model, lookahead=7, tokens=42, prompts=2)
    pair = model.open(Sampling(), np.random.default_rng(0))
    counted = []
    for seq, output in enumerate(found.sequences.output):
        text = pair.prompt_ids(seq)
        while len(text) < 4 + 42:
            block, count = iterate(pair, text, 7)
            text, counted = [*text, *block], [*counted, count]
        assert text[4:] == list(output)
    assert passes(found) == counted


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.0, "gumbel")])
@pytest.mark.parametrize("method", [Jacobi(), Jacobi("moves")])
def test_tokens_are_those_of_plain_decoding(method, sampling):
    more = {"sampling": sampling, "batch": 2, "tokens": 50}
    plain, found = (run(m, FEW, **more) for m in (Autoregressive(), method))
    assert plain.tables["sequences"]["output"] == found.tables["sequences"]["output"]
    assert len(verifies(found)) < len(verifies(plain))


def test_recorded_texts_are_read_as_they_were_written(tmp_path):
    record(FEW, tmp_path, [Sampling()], sequences=2, tokens=40)
    found = run(Jacobi(), Recorded(str(tmp_path)), tokens=40, prompts=2)
    plain = run(Autoregressive(), Recorded(str(tmp_path)), tokens=40, prompts=2)
    assert plain.tables["sequences"]["output"] == found.tables["sequences"]["output"]
    assert len(verifies(found)) < len(verifies(plain))


def test_what_is_sampled_has_no_fixed_point():
    with pytest.raises(ConfigError, match=r"temperature=1.0: needs temperature=0 or coupling=gum"):
        run(Jacobi(), FEW, sampling=Sampling(1.0))


def test_a_run_of_it_tells_nothing_of_drafts(tmp_path):
    run(Jacobi(), FEW).save_small(tmp_path)
    with pytest.raises(ConfigError, match="drafted 0 tokens"):
        run(Autoregressive(), Recorded(str(tmp_path)))
