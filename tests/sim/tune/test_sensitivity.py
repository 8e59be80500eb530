"""What a choice hangs on: planted crossings are found, and their absence too."""

import pytest
from planted import Planted

from ssdsim.tune.sensitivity import CHANGES, HALVINGS, effects

ONE, OTHER = (("method", "ssd"),), (("method", "speculative"),)


def found(speed, batch=1):
    """Return effects by what they say, of a choice of the first among both."""
    planted = Planted(lambda options, world: speed[options["method"]](world), batch)
    return {effect.says: effect for effect in effects(ONE, [ONE, OTHER], planted)}


def test_a_planted_crossing_is_found():
    told = found({"ssd": lambda w: 100 / w.draft, "speculative": lambda _: 90})
    slower = told["draft time x 1.20"]
    assert (slower.winner, slower.tokens_per_s) == (OTHER, 90)
    assert slower.behind == pytest.approx(1 - (100 / 1.2) / 90)
    at = float(slower.from_.removeprefix("draft time x "))
    assert at == pytest.approx(100 / 90, abs=0.2 / 2**HALVINGS)
    others = [one for says, one in told.items() if says != "draft time x 1.20"]
    assert {(one.winner, one.behind, one.from_) for one in others} == {(ONE, 0.0, "")}


def test_a_crossing_towards_lower_acceptance_is_found():
    told = found({"ssd": lambda w: 100 + 500 * w.acceptance, "speculative": lambda _: 90})
    lower = told["acceptance -0.050"]
    assert lower.winner == OTHER
    at = float(lower.from_.removeprefix("acceptance "))
    assert at == pytest.approx(-0.02, abs=0.05 / 2**HALVINGS + 5e-4)
    assert told["acceptance +0.050"].winner == ONE


def test_a_choice_that_is_hardly_behind_is_as_good():
    told = found({"ssd": lambda _: 100, "speculative": lambda w: 100.1 if w.draft > 1 else 90})
    assert told["draft time x 1.20"].winner == ONE


def test_a_world_that_cannot_be_says_so():
    nowhere = {name: lambda w: None if w.acceptance > 0 else 100 for name in ("ssd", "speculative")}
    told = found(nowhere)
    assert told["acceptance +0.050"].winner is None
    assert told["acceptance +0.050"].refused == "it cannot be"
    assert told["acceptance -0.050"].winner == ONE


@pytest.mark.parametrize(("batch", "factors"), [(1, ["2", "4"]), (2, ["0.5", "2", "4"])])
def test_a_batch_of_one_is_not_halved(batch, factors):
    told = found({"ssd": lambda _: 100, "speculative": lambda _: 90}, batch)
    assert [says.removeprefix("batch x ") for says in told if says.startswith("batch")] == factors
    assert len(told) == sum(len(change.values) for change in CHANGES) - (batch == 1)


@pytest.mark.parametrize(("batch", "at"), [(1, "batch x 2"), (2, "batch x 1.5")])
def test_batches_are_whole_sequences(batch, at):
    speed = {"ssd": lambda _: 100, "speculative": lambda w: 90 if batch * w.batch < 2.5 else 110}
    if batch == 1:
        speed["speculative"] = lambda w: 90 if w.batch < 1.5 else 110
    assert found(speed, batch)["batch x 2"].from_ == at
