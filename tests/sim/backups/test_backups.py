"""What each backup drafts, and when `adaptive` switches."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import decode, machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.jit import Jit
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.errors import ConfigError
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.theory import critical_batch
from ssdsim.workloads.closed import Closed


@pytest.mark.parametrize(
    ("tokens", "length", "found"),
    [
        ([1, 2, 3, 9, 1, 2, 3], 2, [9, 1]),  # what followed the last three tokens
        ([5, 3, 7, 2, 3], 2, [7, 2]),  # no longer match: the last token alone
        ([1, 2, 8, 1, 2, 9, 1, 2], 1, [9]),  # the latest occurrence wins
        ([4, 4], 3, [4]),  # as much as there is
        ([1, 2, 3], 3, []),
        ([7], 3, []),
        ([], 3, []),
    ],
)
def test_ngram_continues_as_the_text_did_last_time(tokens, length, found):
    assert Ngram().look_up(tokens, length) == found


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5), st.integers(1, 4))
def test_ngram_proposes_what_stands_in_the_text(tokens, length, longest):
    found = Ngram(longest=longest).look_up(tokens, length)
    assert len(found) <= length
    if found:
        pairs = set(pairwise(tokens))
        assert (tokens[-1], found[0]) in pairs
    else:
        assert tokens[-1:] == [] or tokens[-1] not in tokens[:-1]


def test_ngram_needs_token_ids():
    with pytest.raises(ConfigError, match=r"backup='ngram'.*token ids"):
        decode(Ssd(), ((0, 0),), backup=Ngram())


def misses(backup, batch=1, acceptance=Iid(miss_scale=0.15, miss_exponent=0.0), step=0.2 / 6):
    """Decode, and return the rounds that a backup drafted after a miss."""
    sampling = Sampling(temperature=1.0)  # greedy texts of so small a model go round in circles
    setup = Setup(
        Ssd(),
        acceptance,
        machine(step=step),
        Closed(4 * batch, 4, 400),
        UniformFanout(fanout=1),
        backup,
        lookahead=6,
        batch=batch,
        sampling=sampling,
    )
    rounds = simulate(setup).rounds
    return rounds[(rounds.speculator == "backup") & rounds.hit.notna()]


def test_a_guess_is_worth_what_it_is():
    plain = LanguageModel(vocabulary=8)
    lengths = {
        type(backup).__name__: misses(backup, acceptance=plain).accepted.mean()
        for backup in (Jit(), Ngram(), Random())
    }
    assert lengths["Jit"] > lengths["Random"]
    assert lengths["Ngram"] > lengths["Random"]
    assert lengths["Random"] < 0.4  # one token in eight


def test_adaptive_switches_where_corollary_16_says_so():
    # From the guesses: hits deliver 5 tokens, jit 4 after a delay of 0.2 verifies, random 1.
    assert critical_batch(0.85, 5.0, 0.2, slow=(4.0, 0.2), fast=(1.0, 0.0)) == 5
    used = {}
    for batch in (1, 4, 5, 8):
        rounds = misses(Adaptive(prior=1e6), batch)
        used[batch] = (rounds.accepted > 0).mean()
    assert used[1] > 0.5
    assert used[4] > 0.5
    assert used[5] < 0.2  # nothing a random token says is accepted
    assert used[8] < 0.2


def test_adaptive_learns_that_its_first_guess_was_wrong():
    # Told too much of random tokens, it tries them, finds out, and comes back to jit.
    accepted = misses(Adaptive(length_fast=6.0, prior=1.0)).accepted.to_numpy()
    assert accepted[0] == 0
    assert (accepted[-50:] > 0).mean() > 0.5
