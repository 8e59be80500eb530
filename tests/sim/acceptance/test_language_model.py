"""The synthetic pair: lossless whatever is drafted, and the same whoever asks when."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from chisquare import goodness
from numpy.random import default_rng
from synthetic_pair import SMALL, TOKENS, decode, draft, expected, opened

from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.synthetic_pair import PairText
from ssdsim.errors import ConfigError
from ssdsim.sampling.distributions import process
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.settings import Sampling


def same_token_again(text, length):
    return text.propose([text.history[-1]] * length, length)


def mixed(text, length):
    return (draft, same_token_again)[len(text.history) % 2](text, length)


@cache
def texts(sampling, length, speculate, count=5000):
    """Return many continuations of token 0."""
    pair = opened(sampling)
    return [
        decode(PairText(pair.models, [0], Noise(pair.key, seq)), TOKENS, length, speculate)
        for seq in range(count)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampling", "length", "speculate"),
    [
        (Sampling(1.0), 0, draft),
        (Sampling(1.0), 1, draft),
        (Sampling(1.0), 2, draft),
        (Sampling(0.6), 3, draft),
        (Sampling(1.0, saguaro_constant=0.4, saguaro_fanout=1), 2, draft),
        (Sampling(1.0, saguaro_constant=0.0001, saguaro_fanout=2), 2, draft),
        (Sampling(1.0), 2, same_token_again),
        (Sampling(1.0), 2, mixed),
        (Sampling(1.0, "gumbel"), 2, mixed),
    ],
)
def test_the_output_has_the_targets_distribution(sampling, length, speculate):
    outputs = Counter(output for output, _ in texts(sampling, length, speculate))
    assert goodness(outputs, expected(sampling.temperature)) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("constant", [1.0, 0.4])
def test_what_follows_a_round_has_it_too_however_the_round_ended(constant):
    p = process(SMALL.logits()[0], 1.0)
    sampling = Sampling(1.0, saguaro_constant=constant, saguaro_fanout=2)
    following: dict[tuple[int, int, int], Counter] = {}
    for output, outcomes in texts(sampling, 1, draft, 8000):
        node, rank = outcomes[0]
        last, after = output[node], output[node + 1]
        following.setdefault((node, min(rank, 1), last), Counter())[after] += 1
    assert {node for node, _, _ in following} == {0, 1}
    values = [goodness(count, dict(enumerate(p[key[-1]]))) for key, count in following.items()]
    assert min(values) * len(values) > 1e-2


@pytest.mark.slow
def test_the_same_test_catches_a_pair_that_verifies_with_the_raw_q(monkeypatch):
    sampling = Sampling(1.0, saguaro_constant=0.4, saguaro_fanout=1)
    verify = PairText._verify

    def with_raw_q(self, along, tokens, sent):
        raw = [position.draft.probabilities for position in along[: len(sent)]]
        return verify(self, along, tokens, raw)

    monkeypatch.setattr(PairText, "_verify", with_raw_q)
    pair = opened(sampling)
    outputs = Counter(
        decode(PairText(pair.models, [0], Noise(pair.key, seq)), TOKENS, 2)[0]
        for seq in range(5000)
    )
    assert goodness(outputs, expected(1.0)) < 1e-6


@pytest.mark.parametrize(
    "sampling", [Sampling(0.0), Sampling(0.0, "gumbel"), Sampling(0.8, "gumbel")]
)
@pytest.mark.parametrize("order", [1, 2])
def test_greedy_and_gumbel_give_the_same_tokens_whatever_is_drafted(sampling, order):
    config = LanguageModel(vocabulary=8, order=order)
    alone, _ = decode(opened(sampling, config).text(5), 60, 0)
    assert len(set(alone)) > 1
    for length in (1, 2, 5, 9):
        for speculate in (draft, same_token_again, mixed):
            assert decode(opened(sampling, config).text(5), 60, length, speculate)[0] == alone


def test_greedy_follows_the_targets_argmax():
    target, _ = SMALL.logits()
    text = opened(Sampling(0.0)).text(0)
    start = text.history[-1]
    output, _ = decode(text, 20, 3)
    for before, after in zip((start, *output), output, strict=False):
        assert after == np.argmax(target[before])


@pytest.mark.parametrize("coupling", ["maximal", "gumbel"])
def test_a_speculation_does_not_depend_on_what_was_asked_before(coupling):
    sampling = Sampling(0.9, coupling)
    quiet, busy = opened(sampling), opened(sampling)
    busy.text(3).speculate(4, "primary")
    one, other = quiet.text(2), busy.text(2)
    for _ in range(10):
        other.speculate(2, "primary")
        other.propose([1, 2], 2)
        long, short = one.speculate(5, "primary"), other.speculate(3, "primary")
        assert other.speculate(5, "primary") == long
        assert short.tokens == long.tokens[:3]
        assert short.confidences == long.confidences[:3]
        assert short.candidates[:3] == long.candidates[:3]
        assert short.truth.node == min(3, long.truth.node)
        assert one.commit(long, 1) == other.commit(long, 1)


def test_the_candidates_are_the_drafts_without_what_was_sent():
    text = opened(Sampling(1.0)).text(0)
    q = process(SMALL.logits()[1], 1.0)
    speculation = text.speculate(2, "primary")
    contexts = (text.history[-1], *speculation.tokens)
    for node, (context, given) in enumerate(zip(contexts, speculation.candidates, strict=True)):
        left = q[context]
        if node < 2:
            assert speculation.confidences[node] == left[speculation.tokens[node]]
            left = np.delete(left, speculation.tokens[node])
        assert given == tuple(sorted(left, reverse=True))


def test_the_bonus_stands_where_the_truth_says():
    text = opened(Sampling(1.0)).text(0)
    for _ in range(50):
        speculation = text.speculate(2, "primary")
        node, rank = speculation.truth.node, speculation.truth.rank
        context = (text.history[-1], *speculation.tokens)[node]
        committed = text.commit(speculation, node + 1)
        assert committed[:-1] == speculation.tokens[:node]
        q = process(SMALL.logits()[1], 1.0)[context]
        assert speculation.candidates[node][rank] == q[committed[-1]]
        assert tuple(text.history[-node - 1 :]) == committed


def test_a_cut_round_delivers_its_first_tokens():
    text = opened(Sampling(0.0), LanguageModel(divergence=0.0)).text(0)
    speculation = text.speculate(4, "primary")
    assert speculation.truth.node == 4
    assert text.commit(speculation, 2) == speculation.tokens[:2]


def test_a_perfect_draft_is_always_accepted():
    perfect = LanguageModel(divergence=0.0)
    for sampling in (Sampling(0.0), Sampling(1.0), Sampling(1.0, "gumbel")):
        _, outcomes = decode(opened(sampling, perfect).text(0), 40, 3)
        assert {node for node, _ in outcomes} == {3}


def test_saguaro_sampling_buys_hits_with_acceptance():
    def shares(constant):
        sampling = Sampling(1.0, saguaro_constant=constant, saguaro_fanout=2)
        _, outcomes = decode(opened(sampling, LanguageModel()).text(0), 4000, 1)
        accepted = np.mean([node for node, _ in outcomes])
        return accepted, np.mean([rank < 2 for node, rank in outcomes if node == 0])

    (accepted, hits), (most_accepted, fewest_hits) = shares(0.2), shares(1.0)
    assert accepted < most_accepted - 0.05
    assert hits > fewest_hits + 0.05


def test_prompts_are_the_same_in_every_run_and_noise_is_not():
    one, other = (SMALL.open(Sampling(1.0), default_rng(seed)) for seed in (1, 2))
    assert [one.text(s).history for s in range(9)] == [other.text(s).history for s in range(9)]
    assert decode(one.text(0), 30, 2) != decode(other.text(0), 30, 2)
    assert one.prompt(3) == ("synthetic-3", "synthetic")
    assert one.length(3) is None
    assert one.vocabulary == 4


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("vocabulary", 1),
        ("sharpness", 0),
        ("divergence", -1),
        ("order", 0),
        ("order", 9),
        ("prompt_tokens", 0),
        ("seed", -1),
    ],
)
def test_settings_out_of_range_are_refused(option, value):
    with pytest.raises(ConfigError, match=f"^acceptance.{option}={value}: must be"):
        LanguageModel(**{option: value})


def test_saguaro_sampling_has_no_meaning_under_gumbel():
    with pytest.raises(ConfigError, match=r"^saguaro\.constant=0\.5: must be 1 under coupling"):
        opened(Sampling(1.0, "gumbel", saguaro_constant=0.5))
    opened(Sampling(0.0, "gumbel", saguaro_constant=0.5))
