"""Drafting on without waiting: what a text has ahead, whoever asks for how much of it when."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from chisquare import goodness
from numpy.random import default_rng
from scripted import Scripted
from synthetic_pair import SMALL, decode, expected, opened

from ssdsim.acceptance.by_position import Difficulty, PositionalSource, power_curve
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.synthetic_pair import PairText
from ssdsim.outcomes import Outcome, tail
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.settings import Sampling

GREEDY, WARM, SHARED = Sampling(0.0), Sampling(1.0), Sampling(1.0, "gumbel")


def ahead(text, length):
    return text.ahead(length)


def now_more_now_less(text, length):
    """Ask as PEARL does: for nothing after a rejection, else for what is left of a window."""
    return text.ahead(length * (len(text.history) % 2))


@pytest.mark.slow
@pytest.mark.parametrize("speculate", [ahead, now_more_now_less])
@pytest.mark.parametrize(
    ("sampling", "length"),
    [
        (WARM, 0),
        (WARM, 2),
        (Sampling(0.6), 1),
        (Sampling(1.0, saguaro_constant=0.4, saguaro_fanout=1), 2),
        (SHARED, 2),
    ],
)
def test_the_output_has_the_targets_distribution(sampling, length, speculate):
    pair = opened(sampling)
    outputs = Counter(
        decode(PairText(pair.models, [0], Noise(pair.key, seq)), 3, length, speculate)[0]
        for seq in range(2500)
    )
    assert goodness(outputs, expected(sampling.temperature)) > 1e-3


@pytest.mark.parametrize("sampling", [GREEDY, SHARED])
def test_greedy_and_gumbel_give_the_tokens_of_plain_decoding(sampling):
    config = LanguageModel(vocabulary=8)
    alone, _ = decode(opened(sampling, config).text(5), 60, 0)
    for length in (0, 1, 4):
        assert decode(opened(sampling, config).text(5), 60, length, ahead)[0] == alone


def sources(sampled_trace):
    hard = Difficulty((0.6, 0.3, 0.1), power_curve(0.9, 0.2))
    easy = Difficulty((0.1, 0.2, 0.05), power_curve(0.4, 0.7))
    yield Iid(alpha=0.7).open(GREEDY, default_rng(0))
    yield PositionalSource(easy, hard, 2, default_rng(0))
    yield Scripted((((3, 1), (0, 2), (5, 4)),)).open(GREEDY, default_rng(0))
    for sampling in (GREEDY, WARM, SHARED):
        yield LanguageModel(vocabulary=8).open(sampling, default_rng(0))
    yield Recorded(str(sampled_trace)).open(WARM, default_rng(0))


def test_more_or_less_of_it_is_the_same_chain(sampled_trace):
    for source in sources(sampled_trace):
        one, other = source.text(0), source.text(0)
        lengths = default_rng(1).integers(0, 6, size=12)
        for length in map(int, lengths):
            short, long = one.ahead(length), other.ahead(length + 4)
            assert other.ahead(length) == short
            assert short.tokens == long.tokens[:length]
            assert short.confidences == long.confidences[:length]
            assert short.continued == (long.truth.node > length)
            assert short.truth.node == min(length, long.truth.node)
            if long.truth.node < length:
                assert short.truth == long.truth
            delivered = short.truth.node + 1
            assert one.commit(short, delivered) == other.commit(short, delivered)


def test_after_a_full_accept_with_the_bonus_token_the_rest_is_still_ahead(sampled_trace):
    wrong = 0
    for source in sources(sampled_trace):
        text, went_on = source.text(0), 0
        for _ in range(30):
            if getattr(text, "length", 999) - len(text.history) < 20:
                break
            long, short = text.ahead(9), text.ahead(2)
            committed = text.commit(short, short.truth.node + 1)
            wrong += not short.continued
            if not short.continued:
                continue
            went_on += 1
            rest = text.ahead(6)
            assert committed == long.tokens[: len(committed)]
            assert rest.tokens == long.tokens[3:]
            assert rest.truth == tail(long, 3).truth
        assert went_on > 0
    assert wrong > 20


def test_a_chain_breaks_where_its_hazards_say_and_a_new_one_starts_over():
    hazards = (0.5, 0.1, 0.3)
    state = Difficulty(hazards, power_curve(0.5, 0.5))
    text = PositionalSource(state, state, 1, default_rng(3)).text(0)
    lengths, right = Counter(), 0
    for _ in range(30_000):
        speculation = text.ahead(1)
        right += speculation.truth.node + speculation.continued
        text.commit(speculation, speculation.truth.node + 1)
        if not speculation.continued:
            lengths[min(right, 3)] += 1
            right = 0
    alive = np.cumprod([1, *(1 - np.array(hazards))])
    chances = dict(enumerate([*(a - b for a, b in pairwise(alive)), alive[-1]]))
    assert goodness(lengths, chances) > 1e-3


def test_at_a_breaks_end_the_drafts_own_token_is_a_candidate():
    text = opened(WARM).text(0)
    for _ in range(200):
        speculation = text.ahead(1)
        node, rank = speculation.truth.node, speculation.truth.rank
        token = text.ahead(2).tokens[1]
        committed = text.commit(speculation, node + 1)
        if node == 1:
            assert len(speculation.candidates[1]) == SMALL.vocabulary
            assert (committed[-1] == token) == speculation.continued
            assert 0 <= rank < SMALL.vocabulary


def test_a_tail_is_the_rest_of_a_chain():
    whole = opened(GREEDY, LanguageModel(divergence=0.3)).text(0).ahead(5)
    rest = tail(whole, 2)
    assert rest.parents == (-1, 0, 1)
    assert rest.tokens == whole.tokens[2:]
    assert len(rest.candidates) == 4
    assert rest.truth == Outcome(max(whole.truth.node - 2, 0), whole.truth.rank)
