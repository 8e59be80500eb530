"""What a draft is worth: its rounds and branches against a target's answers."""

import numpy as np
import pytest
import torch

from ssdreal.distill.evaluation import Chain, Scores, chain, compare
from ssdreal.distill.size_choice import Linear, Times, best_hit_rate, speculative_speed, ssd_speed


def test_comparison_by_hand():
    p = torch.tensor([[0.5, 0.2, 0.2, 0.1]] * 4)
    q = torch.tensor([[0.2, 0.5, 0.3]] * 4)  # of tokens 0, 1, 2; token 3 has no column
    at = compare(p.log(), q.log(), torch.arange(3), torch.arange(4), 1.0)
    assert at["rank"].tolist()[:3] == [2, 0, 1]
    assert at["rank"][3] > 1000
    assert at["accept"].tolist() == pytest.approx([0.4, 1.0, 1.0, 0.0])
    # (q - p)+ is 0, .3, .1: the rejected token is 1 or 2, which rank first and second
    assert at["ahead"].tolist() == pytest.approx([1.0, 0.0, 0.75, 1.0])
    assert at["overlap"].tolist() == pytest.approx([0.6] * 4)
    assert at["agree"].tolist() == [False] * 4


def test_comparison_when_greedy():
    wanted = torch.tensor([[0.0, 3.0, 1.0], [2.0, 1.0, 0.0]])
    logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
    at = compare(wanted, logits, torch.arange(3), torch.tensor([1, 0]), 0.0)
    assert at["rank"].tolist() == [1, 0]
    assert at["accept"].tolist() == [0.0, 1.0]
    assert at["ahead"].tolist()[0] == 1.0
    assert at["agree"].tolist() == [False, True]


def answer(rank):
    rank = np.array(rank)
    right = (rank == 0).astype(float)
    return Scores(0, 0.0, rank, right, 1 - right, right > 0, right)


def test_rounds_of_a_greedy_answer_by_hand():
    # K=2 from position 0: accepts one, rejected at 1 (rank 1); from 2: accepts two, bonus at 4
    # has rank 3; from 5: rejected at once (rank 2). Position 6 is too near the end for a round.
    counts = chain([answer([0, 1, 0, 0, 3, 2, 0, 0])], 2)
    assert counts.rounds.tolist() == [1, 1, 1]
    assert counts.tokens_a_round == 2
    assert counts.hit_rate(1, full=False) == 0.5
    assert counts.hit_rate(2, full=False) == 1.0
    assert counts.hit_rate(3, full=True) == 0.0
    assert counts.hit_rate(4, full=True) == 1.0


def test_rounds_are_expectations_when_sampling():
    half = Scores(0, 1.0, np.zeros(200, int), np.full(200, 0.5), np.zeros(200), *[np.ones(200)] * 2)
    counts = chain([half], 2)
    assert counts.rounds / counts.rounds.sum() == pytest.approx([0.5, 0.25, 0.25])
    assert counts.tokens_a_round == pytest.approx(1.75)


def test_branches_go_where_they_catch_most():
    hits = np.zeros((2, 16))
    hits[0], hits[1] = np.minimum(np.arange(1, 17), 4) * 0.5, 6.0
    counts = Chain(rounds=np.array([4.0, 6.0]), hits=hits)
    assert best_hit_rate(counts, 1) == 0.6
    assert best_hit_rate(counts, 3) == 0.7
    times = Times(verify=Linear(1, 9), tree=Linear(1, 1), serial=Linear(1, 0), glue=Linear(2, 1))
    assert speculative_speed(counts, 2, times) == pytest.approx(1600 / (10 + 2))
    assert ssd_speed(counts, 2, times, branches=3) == pytest.approx(1600 / (10 + 0.3 * 2))
    assert ssd_speed(counts, 3, times, branches=3) == pytest.approx(1600 / (11 + 0.3 * 3))
