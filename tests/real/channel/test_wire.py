import os
import time
from multiprocessing import Pipe
from threading import Thread
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssdreal.channel import wire
from ssdreal.channel.message_parts import Block, Candidates, Chain, Line, Stamp
from ssdreal.channel.messages import (
    Begin,
    Branches,
    Chains,
    Done,
    Failed,
    Forks,
    Grow,
    Paces,
    Ready,
    Stop,
    Verified,
    Verify,
    decoded,
    encoded,
)
from ssdreal.channel.probability_pages import Pages, Place
from ssdreal.channel.wire import Wire, awaited
from ssdreal.places.places import kept_on
from ssdreal.workers.inbox import Inbox
from ssdsim.lengths.base import Stopping
from ssdsim.sampling.settings import Decoding

STAMP = Stamp(1, 2, ((0, 3, 300),))
LINE = Line(0, 3, 1, tuple(range(49000, 49300)))
CHAIN = Chain((5, 70_000), (0.5, 1e-9), Place(2, 0, 1))
MESSAGES = [
    Begin(STAMP, 2, 5, 384, 24, 4, 32, Decoding(0.7, "gumbel", top_k=3), 7),
    Begin(STAMP, 2, 5, 384, 24, 4, 32, Decoding(1.0), 7, (0, 1), Pages(2, 24, 4, 64, "x"), (1, 9)),
    Verify(STAMP, (LINE,), (Block((1, 2), Place(0, 1, 2)), Block(()))),
    Grow(STAMP, (LINE,), ((1, 2),), (((0, 8), (2, 9)),), Stopping(4, estimates=(0.5, 0.9)), 1),
    Stop(1, 2, ((0, 8), None), True),
    Done(STAMP, Branches(({(0, 8): CHAIN, (2, 9): Chain((), ())},), 6), 10**18, 10**18 + 5, 3),
    Done(STAMP, Chains((CHAIN,)), 1, 2, 3),
    Done(STAMP, Forks((Candidates(((1, 2), (3, 4)), ((0.5, 0.25), (0.9, 0.1))),)), 1, 2, 3),
    Done(STAMP, Verified(((4, 49151),)), 1, 2, 3),
    Done(STAMP, Paces({"tree": ((8, 0.006), (24, 0.012))}), 1, 2, 3),
    Done(STAMP, None, 1, 2, 3),
    Ready(64, None),
    Failed(None, "out of memory"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message):
    found = decoded(encoded(message))
    assert found == message
    assert type(found) is type(message)


@given(st.lists(st.integers(1, 400), max_size=30))
def test_messages_may_arrive_in_any_pieces(sizes):
    near, far = Pipe()
    data = b"".join(len(body).to_bytes(4, "little") + body for body in map(encoded, MESSAGES))
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    there, found = Wire(near), []
    sender = Thread(target=_send, args=(far, [*pieces, data]))
    sender.start()
    while len(found) < len(MESSAGES):
        found += there.receive()
    sender.join()
    assert found == MESSAGES


def _send(connection, pieces):
    for piece in pieces:
        os.write(connection.fileno(), piece)
        time.sleep(1e-5)


def test_a_message_may_be_larger_than_what_is_read_at_once():
    near, far = Pipe()
    large = Verify(STAMP, (Line(0, 1, 0, tuple(range(200_000))),), ())
    sender = Thread(target=Wire(far).send, args=(large,))  # it waits for its reader
    sender.start()
    assert Wire(near).receive() == [large]
    sender.join()
    assert len(encoded(large)) > 4 * wire.READ


def test_several_messages_come_at_once_and_then_the_end():
    near, far = Pipe()
    here, there = Wire(far), Wire(near)
    assert not there.has_more()
    for message in MESSAGES:
        here.send(message)
    assert there.has_more()
    assert there.receive() == MESSAGES
    far.close()
    with pytest.raises(EOFError):
        there.receive()
    with pytest.raises(OSError, match="closed"):
        here.send(MESSAGES[0])
    with pytest.raises(BrokenPipeError):
        there.send(MESSAGES[0])


class Asked:
    """Stands in for `select.poll`: notes what it is asked, and answers after so many times."""

    def __init__(self, answers=0):
        self.timeouts, self.answers = [], answers

    def poll(self, timeout=None):
        self.timeouts.append(timeout)
        return ["a pipe"] if len(self.timeouts) > self.answers else []


def test_who_is_patient_asks_again_and_again_and_takes_what_comes():
    asked = Asked(answers=3)
    assert awaited(asked.poll, 60.0) == ["a pipe"]
    assert asked.timeouts == [0, 0, 0, 0]


def test_patience_has_an_end_and_without_any_nobody_asks():
    asked = Asked(answers=1 << 60)
    assert awaited(asked.poll, 1e-3) is None
    assert set(asked.timeouts) == {0}
    asked.timeouts.clear()
    assert awaited(asked.poll, 0.0) is None
    assert asked.timeouts == []


def test_a_message_is_read_as_soon_as_it_is_there():
    near, far = Pipe()
    there = Wire(near)
    there.patience, there.poll = 60.0, Asked(answers=2)
    Wire(far).send(MESSAGES[0])
    assert there.receive() == MESSAGES[:1]
    assert there.poll.timeouts == [0, 0, 0]


@pytest.mark.parametrize(
    ("patience", "seconds", "blocks"),
    [(0.0, None, None), (0.0, 0.5, 500.0), (1e-3, None, None), (1e-3, 2e-3, 1.0), (60.0, 0.0, 0.0)],
)
def test_answers_are_waited_for_no_longer_than_asked(patience, seconds, blocks):
    inbox = Inbox((), patience)
    inbox.poll = Asked(answers=1 << 60)
    inbox.remotes = {0: SimpleNamespace(pending=True, lost=None)}
    assert inbox.wait(seconds)
    *before, last = inbox.poll.timeouts
    assert last == (None if blocks is None else pytest.approx(blocks))
    assert set(before) <= {0}
    assert bool(before) == (0 < patience < 1)


def test_a_process_is_kept_on_its_cores_for_a_while():
    before = os.sched_getaffinity(0)
    with kept_on({min(before)}):
        assert os.sched_getaffinity(0) == {min(before)}
        with kept_on(()):
            assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before
