"""Acceptance by depth of a drafter that often finds nothing, as prompt lookup does."""

from dataclasses import replace

import numpy as np
import pytest
from scripted import machine

from ssdsim import Setup, expect, simulate
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.errors import ConfigError
from ssdsim.latency.step_costs import StepCost, StepCosts
from ssdsim.methods.speculative import Speculative
from ssdsim.workloads.closed import Closed

# P(the first j of 3 tokens are accepted) of prompt lookup on CNN/DailyMail (arXiv 2601.11580's
# records of Llama-3.1-8B, walked at k = 3), as conditional chances; a fifth of the rounds drafts.
ACCEPT = (0.1444, 0.1071 / 0.1444, 0.0828 / 0.1071)
LOOKUP = ByDepth(ACCEPT, found=0.2)

LONG = Closed(8, 0, 4000)


def run(acceptance):
    return simulate(Setup(Speculative(), acceptance, machine(), LONG, lookahead=3))


def test_a_round_without_a_draft_verifies_one_token():
    rounds = run(LOOKUP).rounds
    drafts = rounds.drafted > 0
    assert set(rounds.drafted.unique()) == {0, 3}
    assert drafts.mean() == pytest.approx(0.2, abs=3 * (0.16 / len(rounds)) ** 0.5)
    assert (rounds.speculator[~drafts] == "none").all()
    assert (rounds.accepted[~drafts] == 0).all()


def test_what_is_accepted_a_round_does_not_depend_on_it():
    found, all_drafted = (run(each).rounds.accepted for each in (LOOKUP, ByDepth(ACCEPT)))
    assert found.tolist() == all_drafted.tolist()
    shares = [np.mean(found >= j) for j in (1, 2, 3)]
    assert shares == pytest.approx([0.1444, 0.1071, 0.0828], abs=0.006)


def test_verifies_are_as_much_shorter():
    """A verify takes a second a token, 1.6 on average, and three steps take 0.6."""
    verify = StepCosts({"verify": StepCost(token=1.0), "prefill": StepCost()})
    setup = Setup(Speculative(), LOOKUP, replace(machine(), target=verify), LONG, lookahead=3)
    assert simulate(setup).metrics["step_seconds"] == pytest.approx(2.2, rel=0.02)


def test_more_accepted_than_drafted_is_refused_and_so_is_an_expectation():
    with pytest.raises(ConfigError, match=r"^acceptance.found=0\.1: needs a probability of at le"):
        ByDepth(ACCEPT, found=0.1)
    with pytest.raises(ConfigError, match=r"^acceptance.found: the exact expectation does not"):
        expect(Setup(Speculative(), LOOKUP, machine(), Closed(8, 0, 40), lookahead=3))
