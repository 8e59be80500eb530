import numpy as np
import pytest
from pages import columns_of
from timelines import autoregressive, played, run_of, span, speculative, ssd

from ssdsim.page.columns import TICK
from ssdsim.page.pack import packed
from ssdsim.run.trace import Recorder

RUNS = {
    "autoregressive": autoregressive(12),
    "speculative": speculative(12, 1),
    "on its own device": speculative(12, 4, draft_device="b"),
    "ssd": ssd(40, 1),
    "ssd in a batch": ssd(40, 4, hits=0.9),
}


def parts_of(run):
    return columns_of(packed(run), "rounds", "anatomy")


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_the_parts_of_every_round_add_up_to_it(run):
    rounds = run.rounds
    lasting = np.rint(rounds.end / TICK) * TICK - np.rint(rounds.start / TICK) * TICK
    assert (sum(parts_of(run).values()) == lasting).all()  # every part is a whole number of ticks
    assert all((part >= 0).all() for part in parts_of(run).values())


def test_a_round_in_which_everything_happens():
    record = Recorder()
    record.spans = [
        span("draft", "prespeculate", 0.0, 2.0),  # still at it from the round before
        span("draft", "speculate", 3.0, 5.0),
        span("link", "transfer", 4.5, 6.0),
        span("target", "verify", 7.0, 12.0),
        span("draft", "prespeculate", 8.0, 11.0),
        span("draft", "wait", 11.0, 13.0),
    ]
    drafting = {"draft": {"hit": None}, "backup": {"speculator": "backup"}, "mates": {"hit": True}}
    record.rounds = [played(1.0, 13.0, 0, **told) for told in drafting.values()]
    found = {name: part.tolist() for name, part in parts_of(run_of(record)).items()}
    assert found == {
        "both": [3.0] * 3,
        "verify": [2.0] * 3,
        "tail": [1.0] * 3,
        "backup": [0.0, 2.0, 0.0],
        "mates": [0.0, 0.0, 2.0],
        "draft": [2.0, 0.0, 0.0],
        "link": [1.0] * 3,
        "dispatch": [2.0] * 3,  # from 2 to 3, and from 6 to 7
        "nobody": [1.0] * 3,
    }


def test_a_round_without_any_work_is_nobody_s():
    record = Recorder(rounds=[played(1.0, 3.0, 0)])
    found = parts_of(run_of(record))
    assert found["nobody"].tolist() == [2.0]
    assert sum(part.sum() for part in found.values()) == 2.0
