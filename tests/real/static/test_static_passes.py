"""What static servers do not do: capture in the middle of a run, move buffers, copy in between."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from inline_crew import decode
from static_servers import DIRECT, NAMES, THREE, pair, turn
from tiny_runs import GREEDY, POLICIES, K, prompts

from ssdreal.channel.message_parts import Line, Stamp
from ssdreal.channel.messages import Begin, Speculate
from ssdreal.lanes.draft import RealDraft
from ssdreal.static.chain_steps import STEPS
from ssdreal.static.draft_server import StaticDraftServer
from ssdreal.static.server import CAPTURES
from ssdreal.static.target_server import StaticSelfServer
from ssdsim.lengths.base import Stopping
from ssdsim.lengths.confidence import Confidence
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes


class Counting:
    """Counts what a lane does for each command."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.counts, self.places = {}, set()

    def answer(self, command):
        before = None if isinstance(command, Begin) else self._counts()
        found = super().answer(command)
        if found is not None and before is not None:
            spent = tuple(now - then for now, then in zip(self._counts(), before, strict=True))
            self.counts.setdefault(type(command).__name__, set()).add(spent)
            self.places.add(self._places())
        return found

    def _counts(self):
        return self.lane.captures, self.lane.replays, self.lane.fetches

    def _places(self):
        """Return where in memory all tensors are that the server holds, one in another."""
        found, left, seen = [], list(vars(self).values()), set()
        while left:
            one = left.pop()
            if isinstance(one, torch.Tensor):
                found.append(one.data_ptr())
            elif id(one) not in seen and type(one).__module__.startswith("ssdreal"):
                seen.add(id(one))
                left += vars(one).values() if hasattr(one, "__dict__") else ()
            elif isinstance(one, dict | list):
                left += one.values() if isinstance(one, dict) else one
        return tuple(sorted(found))


class CountingTarget(Counting, StaticSelfServer):
    pass


class CountingDraft(Counting, StaticDraftServer):
    pass


COUNTING = [partial(kind, capturing=CAPTURES["eager"]) for kind in (CountingTarget, CountingDraft)]


@pytest.mark.parametrize("decoding", THREE, ids=NAMES)
def test_a_command_copies_once_to_the_host_and_captures_nothing(decoding):
    setup = replace(turn(Ssd(redraft="all"), decoding, 2), policy=POLICIES["uniform_fanout"])
    _, crew = decode(setup, *pair(), prompts(), servers=COUNTING)
    target, draft = (channel.server for channel in crew.channels.values())
    noise = range(2 if decoding.perturbed else 1)  # a pass that makes new rows of it
    assert set(target.counts) == {"Prefill", "Verify", "Clock"}
    assert target.counts["Clock"] == draft.counts["Clock"] == {(0, 0, 0)}
    assert target.counts["Verify"] <= {(0, 1 + more, 1) for more in noise}
    assert draft.counts["Fork"] <= {(0, 1 + more, 1) for more in noise}
    assert draft.counts["Speculate"] <= {(0, K + more, 1) for more in noise}
    most = {(0, 1 + steps + more, 1) for steps in range(1, K + 1) for more in (*noise, 2)}
    assert draft.counts["Grow"] <= most | {(0, 1, 0)}  # stopped before it began
    assert draft.counts["Prefill"] == {(0, 0, 0)}
    for server in (target, draft):
        assert len(server.places) == 1
        (places,) = server.places
        assert len(places) > 20


class Waiting(StaticDraftServer):
    """Notes how often a command that grows branches waits for the device."""

    def grow(self, command):
        before = self.lane.waits
        found = super().grow(command)
        self.__dict__.setdefault("waits", []).append((self.lane.waits - before, found))
        return found


@pytest.mark.parametrize("on_outcome", ["wait", "prune"])
def test_branches_that_nothing_stops_are_waited_for_once(on_outcome):
    servers = DIRECT[0], partial(Waiting, capturing=CAPTURES["eager"])
    setup = replace(turn(Ssd(on_outcome), GREEDY, 0), policy=POLICIES["uniform_fanout"])
    _, crew = decode(setup, *pair(), prompts(), servers=servers)
    waits = [
        times
        for times, found in crew.channels["draft"].server.waits
        if max(len(chain.tokens) for row in found.rows for chain in row.values()) == K
    ]
    assert set(waits) == {1 if on_outcome == "wait" else K + 1}


def test_confidences_are_asked_for_after_every_step():
    setup = replace(turn(Speculative("own"), GREEDY, 0), length=Confidence(threshold=0.4, least=1))
    _, crew = decode(setup, *pair(), prompts(), servers=COUNTING)
    counts = crew.channels["draft"].server.counts["Speculate"]
    assert len(counts) > 1
    assert all(replays == fetches for _, replays, fetches in counts)


@torch.inference_mode()  # as commands are answered
def test_a_text_of_which_much_is_new_is_read_in_passes_of_the_same_shape():
    setup = turn(Speculative("own"), GREEDY, 0)
    _, crew = decode(setup, *pair(), prompts(), servers=DIRECT)
    for channel in crew.channels.values():
        server = channel.server
        captures, replays = server.lane.captures, server.lane.replays
        text = tuple(range(3, 30))
        wanted = server.reader.read({0: (text, 25)}, K + 1)
        server.reader.texts[0] = list(text[:4])
        again = server.reader.read({0: (text, 25)}, K + 1)
        np.testing.assert_array_equal(wanted[0], again[0])
        assert server.lane.captures == captures
        assert server.lane.replays > replays + 8


def test_a_chain_is_drafted_behind_a_text_of_which_much_is_new():
    setup = turn(Speculative("own"), GREEDY, 0)
    _, crew = decode(setup, *pair(), prompts(), servers=DIRECT)
    server, text = crew.channels["draft"].server, tuple(range(3, 30))
    ask = partial(Speculate, lines=(Line(0, 0, 0, text),), stopping=Stopping(STEPS + 3))
    found = []
    for number, held in enumerate((26, 20, 4, 0), start=1000):
        server.reader.texts[0] = list(text[:held])
        if held == 26:
            server.reader.prefill(0, text[:-1])
        found.append(server.answer(ask(Stamp(9, number))).value.rows[0].tokens)
    assert len(found[0]) == STEPS + 3
    assert found.count(found[0]) == 4


def test_fewer_branches_than_columns_are_expected_to_take_as_long(monkeypatch):
    seconds = iter((0.1, 0.2, 1.0, 2.0))  # of a step, the glue, and both widths
    monkeypatch.setattr("ssdreal.static.draft_server.median_seconds", lambda _: next(seconds))
    setup = replace(turn(Ssd(), GREEDY, 0), policy=TopkOutcomes(budget=40))
    _, crew = decode(setup, *pair(), prompts(1), servers=DIRECT)
    draft = RealDraft(None, None, None, "", "", crew.channels["draft"].log[0][1].kinds)
    assert [draft.pace("tree", branches) for branches in (1, 9, 16, 17, 40)] == [1, 1, 1, 2, 2]
