"""`backup=marginal`: the slow backup where the tokens it adds this round are worth the wait."""

import numpy as np
import pytest
from scripted import decode, machine, rounds

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.jit import Jit
from ssdsim.backups.marginal import Marginal
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.theory import critical_batch, ssd_speedup
from ssdsim.workloads.closed import Closed

# Two rows that accept all they are given; rank 1 is a miss where one outcome a node is prepared.
# The first round has nothing cached, then the second row misses alone, then both.
BOTH = (((2, 0), (2, 1), (2, 0)), ((2, 1), (2, 1), (2, 0)))
GUESS = {"hit_rate": 0.6, "length_on_hit": 3.0, "length_slow": 3.0, "prior": 1e9}
# Two steps of half a verify: the slow one takes a verify, and a tree ends with the verify.
TIMELINE = {"machine": machine(step=0.5), "lookahead": 2, "batch": 2, "tokens": 7}


def told(backup, **more):
    run = decode(Ssd(), *BOTH, policy=UniformFanout(fanout=1), backup=backup, **TIMELINE, **more)
    return rounds(run, "seq", "round", "accepted", "end")


def test_one_missing_row_is_not_waited_for_but_two_are():
    # Guessed: 3 tokens after a hit or jit, 1 after a random chain, hits .6. Then jit gains 2 tokens
    # a row in one verify, and the batch delivers 2·3/(.36·1 + .64·2) = 3.66 in that time: less
    # than two rows gain, more than one does.
    pace = 2 * ssd_speedup(0.6, 3.0, 3.0, 1.0, 1.0, batch=2)
    assert pace == pytest.approx(6 / 1.64)
    assert 2 < pace < 4
    assert told(Marginal(**GUESS)) == [
        (0, 0, 2, 2.0),  # both wait for jit
        (1, 0, 2, 2.0),
        (0, 1, 2, 3.0),  # a hit
        (1, 1, 0, 3.0),  # a random chain, at once
        (0, 2, 0, 5.0),  # both missed: jit again (the row's 7 tokens are all there after one)
        (1, 2, 2, 5.0),
    ]


def test_no_choice_for_the_whole_run_has_that_timeline():
    assert critical_batch(0.6, 3.0, 1.0, slow=(3.0, 1.0), fast=(1.0, 0.0)) == 1
    assert told(Adaptive(**GUESS)) == told(Random())
    ends = {type(b).__name__: told(b)[-1][-1] for b in (Jit(), Random(), Adaptive(**GUESS))}
    assert ends == {"Jit": 6.0, "Random": 5.0, "Adaptive": 5.0}
    assert told(Jit()) != told(Marginal(**GUESS)) != told(Random())


def test_one_row_is_worth_the_wait_if_it_gains_enough():
    # 8 tokens more, against 2·(.6·3 + .4·9)/1.64 = 6.6 that the batch delivers in that time.
    assert told(Marginal(**GUESS | {"length_slow": 9.0}))[3] == (1, 1, 2, 4.0)


def test_what_the_batch_delivers_is_measured():
    # Whoever believes that every hit brings 400 tokens waits for nothing, until it knows better.
    accepted = {}
    for prior in (0.1, 1e9):
        setup = Setup(
            Ssd(), Iid(miss_scale=0.5), machine(step=0.05), Closed(3, 4, 400),
            UniformFanout(fanout=1), Marginal(length_on_hit=400.0, prior=prior),
        )  # fmt: skip
        run = simulate(setup).rounds
        accepted[prior] = run[run.speculator == "backup"].accepted.to_numpy()
    assert accepted[0.1][0] == 0
    assert accepted[0.1][-50:].mean() > 2
    assert accepted[1e9].max() == 0


@pytest.mark.parametrize("choice", [Adaptive, Marginal])
@pytest.mark.parametrize("backup", [Jit(), Random(0.1), Ngram(seconds=0.1)])
def test_between_twins_there_is_nothing_to_choose(choice, backup):
    pair, workload = LanguageModel(vocabulary=8), Closed(6, 4, 60)
    alone, twins = (
        simulate(
            Setup(Ssd(), pair, machine(), workload, UniformFanout(fanout=1), chosen, batch=3,
                  sampling=Sampling(1.0))
        )
        for chosen in (backup, choice(slow=backup, fast=backup))
    )  # fmt: skip
    for name, table in alone.tables.items():
        assert table.equals(twins.tables[name])


def speed(backup, batch, step, seed=0):
    """Return tokens a second where every row hits as often, whatever was drafted before."""
    setup = Setup(
        Ssd(),
        Iid(miss_scale=0.3, miss_exponent=0.0),
        machine(step=step, tree=step),
        Closed(max(48, 4 * batch), 4, 400),
        UniformFanout(fanout=3),
        backup,
        lookahead=6,
        batch=batch,
        seed=seed,
    )
    metrics = simulate(setup).metrics
    return metrics["tokens_per_s"], metrics["ci95"]["tokens_per_s"]


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.02, 0.05, 0.08, 0.15])
@pytest.mark.parametrize("batch", [1, 2, 4, 8, 16])
def test_it_is_as_good_as_the_better_one(batch, step):
    chosen, width = speed(Marginal(), batch, step)
    better = max(speed(Jit(), batch, step)[0], speed(Random(), batch, step)[0])
    assert chosen > better - width


@pytest.mark.slow
def test_it_gains_most_where_both_are_as_good():
    for other in (Jit(), Random(), Adaptive()):
        assert gain(other, batch=8, step=0.05) > 0.02
    assert abs(gain(Random(), batch=16, step=0.15)) < 0.01  # nobody waits there


def gain(other, **at):
    """Return what it gains over another on the same texts."""
    pairs = [
        (speed(Marginal(), **at, seed=seed)[0], speed(other, **at, seed=seed)[0])
        for seed in range(2)
    ]
    return np.mean([chosen / other for chosen, other in pairs]) - 1
