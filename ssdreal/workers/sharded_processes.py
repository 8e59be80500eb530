"""Starts and watches the processes of a sharded model's other ranks, from the first rank's worker.

Between passes a follower waits for its pipe, so that it keeps nothing busy, may wait for as long as
it likes, and ends as soon as the first rank does. A follower that is lost would leave the first
rank waiting in the middle of a pass; so another thread watches, reports, and ends the process.
"""

import gc
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from select import POLLIN, poll
from time import sleep
from typing import TYPE_CHECKING, Any, Self

from ssdreal.channel.wire import PATIENCE, awaited
from ssdreal.places.places import pin
from ssdreal.workers.lifetime import (
    GRACE,
    end_with_the_parent,
    exit_reason,
    last_error,
    lower_priority,
)

if TYPE_CHECKING:
    from ssdreal.models.captured_work import Capture
    from ssdreal.sharding.weight_shares import Share
    from ssdreal.workers.hiring import Hiring, Passes

LOADING = timedelta(hours=1)
"""How long ranks may take to load their weights, which they do not begin to work without."""

MOMENT = 0.1
"""Seconds in which the ranks that follow a lost one into its end are heard, too."""


@dataclass(frozen=True)
class _Follower:
    """One of them.

    Attributes
    ----------
    rank
        Which.
    process
        The process.
    orders
        What it has to do goes here.
    words
        Its last words come from here; when this closes without any, it was killed.

    """

    rank: int
    process: BaseProcess
    orders: "Connection[Any, Any]"
    words: "Connection[Any, Any]"

    def lost(self) -> str:
        """Say why it is gone."""
        try:
            return str(self.words.recv())
        except (EOFError, OSError):
            return exit_reason(self.process)


class Followers(AbstractContextManager["Followers"]):
    """All ranks but the first; nobody where a model is not sharded.

    Within the context, this process is the first rank of a group (`ssdreal.sharding.ranks.join`).

    Parameters
    ----------
    hiring
        The first rank's.
    report
        Called, from another thread, with the reason why one of them is lost; the process ends
        after it.

    """

    def __init__(self, hiring: "Hiring", report: Callable[[str], None]) -> None:
        self.hiring, self.report = hiring, report
        self.all: list[_Follower] = []
        self.closing = False
        self.let_go: Callable[[], None] = lambda: None
        self.watch = threading.Thread(target=self._watch, daemon=True)

    def tell(self, order: str, *arguments: Any) -> None:
        """Let all of them do something: a method of `ssdreal.sharding.follower.Follower`."""
        data = pickle.dumps((order, arguments), protocol=pickle.HIGHEST_PROTOCOL)
        try:
            for follower in self.all:
                follower.orders.send_bytes(data)
        except OSError as error:
            raise RuntimeError("a rank of the model is gone") from error

    def lead(self, server: Any) -> None:
        """Let them do what a server's model does, as soon as all have loaded theirs."""
        if self.all:
            self.store.wait([_loaded(follower.rank) for follower in self.all], LOADING)
            server.model.tell, self.let_go = self.tell, server.let_go

    def __enter__(self) -> Self:
        if self.hiring.others:
            self._start()
        return self

    def __exit__(self, _: object, error: object, __: object) -> None:
        if not self.all:
            return
        if isinstance(error, RuntimeError):  # what a pass without all of its ranks comes to
            self.watch.join(GRACE)  # for the reason; the process ends there if there is one
        # What failed still has its graphs.
        self.close(leaving=error is None or isinstance(error, EOFError))

    def close(self, leaving: bool = True) -> None:
        """End them, leaving the group like them; those that do not do so in time by force."""
        self.closing = True
        for follower in self.all:
            follower.orders.close()
        if leaving:
            self.let_go()
            _leave()
        for follower in self.all:
            follower.process.join(GRACE / 2)
            follower.process.kill()
            follower.process.join()
        self.watch.join()

    def _start(self) -> None:
        from ssdreal.sharding.ranks import join, meeting_point
        from ssdreal.sharding.weight_shares import Share

        ranks = 1 + len(self.hiring.others)
        self.store = meeting_point(ranks)
        for rank in range(1, ranks):
            self.all.append(_started(self.hiring, Share(rank, ranks), self.store.port))
        self.watch.start()
        try:
            join(Share(0, ranks), self.hiring.device, self.store)
        except BaseException as error:
            self.__exit__(None, error, None)
            raise

    def _watch(self) -> None:
        """Wait until one is lost, or until they are to end."""
        words = [follower.words for follower in self.all]
        first = wait(words)
        if self.closing:
            return
        sleep(MOMENT)
        lost = {follower: follower.lost() for follower in self.all if wait([follower.words], 0)}
        # A rank that fails says so before the others notice; one that is killed cannot.
        killed = [one for one in lost if one.process.exitcode not in (None, 1)]
        one = killed[0] if killed else next(one for one in self.all if one.words in first)
        self.report(f"rank {one.rank} of {1 + len(self.all)}: {lost[one]}")
        os._exit(1)


def _started(hiring: "Hiring", share: "Share", port: int) -> _Follower:
    context = get_context("spawn")
    theirs, orders = context.Pipe(duplex=False)
    words, their_words = context.Pipe(duplex=False)
    process = context.Process(
        target=follow,
        args=(theirs, their_words, hiring, share, port),
        name=f"ssdreal {hiring.role} {share.rank}",
    )
    process.start()
    theirs.close()  # so that the process's end closes the pipes
    their_words.close()
    return _Follower(share.rank, process, orders, words)


def follow(
    orders: "Connection[Any, Any]",
    words: "Connection[Any, Any]",
    hiring: "Hiring",
    share: "Share",
    port: int,
) -> None:
    """Run one rank of a model until the first rank closes the pipe, or is gone.

    Parameters
    ----------
    orders, words
        Pipes from and to the first rank.
    hiring
        The first rank's.
    share
        Which rank this one is.
    port
        Where the ranks meet.

    """
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    lower_priority()
    try:
        follower = _follower(hiring, share, port)
        gc.freeze()
        for order, arguments in _ordered(orders, PATIENCE if hiring.polls else 0.0):
            getattr(follower, order)(*arguments)
        follower.let_go()
        _leave()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the run must hear of it
        with suppress(OSError):
            words.send(last_error(error))
        os._exit(1)


def _ordered(orders: "Connection[Any, Any]", patience: float) -> Iterator[Any]:
    """Yield what there is to do until the first rank closes the pipe."""
    pipe = poll()
    pipe.register(orders.fileno(), POLLIN)
    with suppress(EOFError, ConnectionResetError):
        while True:
            awaited(pipe.poll, patience)
            yield orders.recv()


def _follower(hiring: "Hiring", share: "Share", port: int) -> Any:
    import torch

    from ssdreal.sharding.follower import Follower
    from ssdreal.sharding.ranks import join, meeting_point
    from ssdreal.workers.loading import load

    place = hiring.others[share.rank - 1]
    torch.set_num_threads(max(1, len(place.cores)))
    store = meeting_point(share.ranks, port)
    join(share, place.device, store)
    asked: dict[str, Any] = {"share": share, "vocabulary": hiring.vocabulary}
    model: Any = load(hiring.model, hiring.dtype, place.device, **asked)
    follower = Follower(model, _capturing(model.device, hiring.passes))
    pin(place.cores)  # at last: the threads that NCCL has started need not be there
    store.set(_loaded(share.rank), "")
    return follower


def _loaded(rank: int) -> str:
    return f"rank {rank} has loaded its model"


def _capturing(device: Any, passes: "Passes") -> "Callable[[], Capture]":
    """Return how passes are captured: as the first rank does, or the two would not run as often."""
    from ssdreal.static.server import CAPTURES

    if device.type != "cuda":
        return CAPTURES["eager"]
    from ssdreal.places.cuda import enter

    enter(device, "target", None)
    return CAPTURES[passes]


def _leave() -> None:
    """Leave the group. NCCL waits for the end of every graph that has a part of it: none may be."""
    from torch.distributed import destroy_process_group, is_initialized

    if is_initialized():
        destroy_process_group()
