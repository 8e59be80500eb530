"""One run on real models: from plain settings to a `Run`."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any, Literal

from simpy import Event

from ssdreal.channel.messages import Begin, Paces
from ssdreal.channel.probability_pages import Pages
from ssdreal.executor.arrivals import arriving, rows_of
from ssdreal.executor.devices_in_use import devices_in_use
from ssdreal.executor.policy_while_drafting import WhileItLasts
from ssdreal.executor.setup import Setup
from ssdreal.executor.workload import Task
from ssdreal.lanes.draft import RealDraft
from ssdreal.lanes.lookup import LookupDraft
from ssdreal.lanes.scripted import ScriptedDraft, ScriptedTarget
from ssdreal.lanes.self_draft import SelfDraft
from ssdreal.lanes.target import RealTarget
from ssdreal.lanes.wall_clock import WallClock
from ssdreal.places.places import Places, Role, can_pin, cautions, kept_on
from ssdreal.workers.crew import Crew
from ssdreal.workers.remote import Remote
from ssdsim.decoding.detail import Detail
from ssdsim.decoding.request_queue import RequestQueue
from ssdsim.decoding.session import Session
from ssdsim.engine.lookup import HOST
from ssdsim.engine.preflight import check_admission
from ssdsim.engine.served import Served
from ssdsim.run.results import describe, outcome
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.trace import Recorder, Run
from ssdsim.sampling.streams import stream
from ssdsim.trees.chain import Chain


class Execution:
    """A run that can be asked for its results at any time, also when it was interrupted.

    Its workers are hired when it begins, so that there are results, if empty ones, before any
    model is loaded.

    Attributes
    ----------
    crew
        Its workers, from its beginning on.
    pages
        Their shared memory, while they decode; None where probabilities are not needed.
    lanes
        Target and draft, as the method sees them.
    readied
        What each worker said when it was ready.
    lost
        Why the draft was lost on the way; None if it was not.

    """

    crew: Crew
    pages: Pages | None
    lanes: tuple[RealTarget, RealDraft]

    def __init__(
        self,
        setup: Setup,
        hire: Callable[[], Crew],
        places: Places,
        tasks: Sequence[Task],
        ends: frozenset[int] = frozenset(),
        retired: Callable[[SequenceRecord], None] = lambda _: None,
        detail: Detail | None = None,
    ) -> None:
        self.setup, self.hire, self.places, self.tasks = setup, hire, places, tasks
        self.ends, self.retired, self.detail = ends, retired, detail
        self.complete = False
        self.ended: float | None = None
        self.env = WallClock()
        self.recorder = Recorder()
        self.readied: dict[Role, Paces] = {}
        self.served: Served | None = None
        requests = setup.workload.requests(setup.seed)
        check_admission(setup.serving, setup.load, [len(task.tokens) for task in tasks], requests)
        self.rows = rows_of(tasks, requests)
        self.recorder.sequences += [row.record for row in self.rows]

    @property
    def lost(self) -> str | None:
        """Why the draft was lost on the way; None if it was not."""
        hired = hasattr(self, "crew") and self.setup.draft_on
        return self.drafter.lost or self.drafter.failed if hired else None

    @property
    def cautions(self) -> list[str]:
        """Why models may not have their cores to themselves."""
        return cautions(self.places.cores)

    @property
    def drafter(self) -> Remote:
        """Who drafts: where it does so for itself, the target."""
        return self.crew.draft if self.setup.skipped is None else self.crew.target

    @property
    def workers(self) -> list[Remote]:
        """Those with a part in this run: the target, and who drafts if anybody does."""
        drafting = [self.drafter] if self.setup.draft_on else []
        return list(dict.fromkeys((self.crew.target, *drafting)))

    @contextmanager
    def ready(self) -> Iterator[Session]:
        """Get the workers ready for this run, and begin its time; the value is its session.

        Raises
        ------
        WorkerLost
            The target is gone.

        """
        self.crew = self.hire()
        self.env.wait = self.crew.wait
        for remote in self.workers:
            remote.attach(self.env)
        pages = self._pages()
        with kept_on(self.places.run), pages.made() if pages else nullcontext() as self.pages:
            session: Any = self.env.run(self.env.process(self._prepared()))
            self.env.restart()
            self._open(session)
            yield session

    def run(self) -> None:
        """Get the workers ready, and decode everything.

        Raises
        ------
        WorkerLost
            The target is gone.

        """
        with self.ready() as session:
            self.env.run(self.env.process(self.setup.method.decode(session)))
            self.ended, self.complete = self.env.now, True
            for lane in self.lanes:
                if lane.remote in self.workers:
                    self.env.run(lane.clock())

    def result(self) -> Run:
        """Return what there is so far."""
        if self.ended is None:
            self.env.tick()
        now = self.env.now if self.ended is None else self.ended
        devices = devices_in_use(self.places, self.setup.draft_on, self.readied)
        kind: Literal["real", "scripted"] = "scripted" if self.setup.acceptance else "real"
        run = outcome(self.setup, self.recorder, now, devices, kind, self.complete)
        run.info |= {"draft_lost": self.lost, "pinned": can_pin(), "cautions": self.cautions}
        if told := self._told():
            run.info["exit"] = told
        run.info["prompt_fields"] = sorted({task.field for task in self.tasks if task.field})
        if self.served is not None:
            self.served.enter(run, now)
        run = Run(run.info, self.recorder.tables(now))
        if self.served is not None:
            run.tables["state"] = self.served.table()
        if self.detail is not None:
            self.detail.enter(run)
        return run

    def _told(self) -> dict[str, Any] | None:
        """Say after which layer the target spoke in mid-verify, and at which share of the time."""
        after = self.readied["target"].speaks_after if "target" in self.readied else None
        if after is None:
            return None
        shares = self.lanes[0].shares if hasattr(self, "lanes") else []
        layer, layers = after
        return {"layer": layer, "layers": layers, "share": fmean(shares) if shares else None}

    def _open(self, session: Session) -> None:
        """Let the prompts come: now, or when it is time."""
        if self.setup.serves:
            serving, load = self.setup.serving, self.setup.load
            blocks, limits = serving.blocks(load), serving.limits
            self.served = Served(self.recorder, [session], blocks, limits)
        self.dispatcher = arriving(self.env, session, self.rows, self.setup.workload)
        self.dispatcher.start()

    def _finished(self, record: SequenceRecord) -> None:
        self.dispatcher.finished(record)
        self.retired(record)

    def _prepared(self) -> Generator[Event, Any, Session]:
        """Let the workers get ready; return the session."""
        for side_by_side in self._turns():
            beginnings = {
                remote: remote.ask(Begin, **self._begin(remote.role)) for remote in side_by_side
            }
            for remote, beginning in beginnings.items():
                done = yield beginning
                self.readied[remote.role] = done.value if done else Paces({})
            self.pages = self._found(self.pages)
        return self._session()

    def _turns(self) -> list[list[Remote]]:
        """Return who gets ready when: side by side on the host, on devices first who drafts.

        Pages in a device's memory are the draft's worker's to make; a process captures one graph
        at a time; and what passes take is then measured alone.
        """
        if not self.places.device_pages:
            return [self.workers]
        return [[remote] for remote in reversed(self.workers)]

    def _found(self, pages: Pages | None) -> Pages | None:
        """Return the pages as the target finds them; None if whoever makes them is lost."""
        if pages is None or not pages.device:
            return pages
        handle = self.readied[self.drafter.role].handle
        return replace(pages, handle=handle) if handle else None

    def _session(self) -> Session:
        setup, crew, recorder = self.setup, self.crew, self.recorder
        paces = [
            self.readied.get(remote.role, Paces({})).kinds for remote in (crew.target, self.drafter)
        ]
        name = self.places.target.name, HOST if setup.lookup else self.places.draft.name
        as_target, as_draft = self._kinds(crew.ready["target"].rows)
        target = as_target(self.env, crew.target, recorder, "target", name[0], paces[0])
        target.prompts, target.ends = [task.tokens for task in self.tasks], self.ends
        target.free = list(range(setup.slots))
        if setup.method.draft_on is None and not setup.serves:  # who comes must not have to wait
            target.together = self.readied["target"].together
        target.speaks = self.readied["target"].speaks_after is not None
        draft = as_draft(self.env, self.drafter, recorder, "draft", name[1], paces[1])
        draft.most = setup.branches()[0]
        draft.stoppable, draft.phases = setup.method.stops_branches, setup.method.phases
        draft.length = setup.control.start(setup.lookahead)
        self.lanes = target, draft
        target.tree = draft.asked = setup.tree
        predictor = setup.policy.start(setup.lookahead, stream(setup.seed, "policy"))
        return Session(
            env=self.env,
            target=target,
            draft=draft,
            policy=WhileItLasts(predictor, self.drafter),
            backup=setup.backup.start(stream(setup.seed, "backup")),
            draft_on=setup.draft_on,
            lookahead=setup.lookahead,
            admission=setup.serving.start(setup.load),
            queue=RequestQueue(self.env),
            recorder=recorder,
            retired=self._finished,
            sampling=setup.decoding,
            length=draft.length,
            round_seconds=setup.method.round_seconds,
            detail=self.detail,
        )

    def _kinds(self, vocabulary: int) -> tuple[Callable[..., RealTarget], Callable[..., RealDraft]]:
        """Return what makes target and draft as a method sees them."""
        if lookup := self.setup.lookup:
            return RealTarget, partial(LookupDraft, vocabulary=vocabulary, lookup=lookup)
        if source := self.setup.source():
            scripted = partial(ScriptedTarget, source=source, vocabulary=vocabulary)
            return scripted, partial(ScriptedDraft, vocabulary=source.vocabulary or vocabulary)
        draft = RealDraft if self.setup.skipped is None else SelfDraft
        return RealTarget, partial(draft, vocabulary=vocabulary)

    def _begin(self, role: Role) -> dict[str, Any]:
        setup, place = self.setup, getattr(self.places, role)
        branches, candidates = setup.branches()
        return {
            "slots": setup.slots,
            "width": setup.pass_width,
            "capacity": setup.capacity(role, max(len(task.tokens) for task in self.tasks)),
            "branches": branches if "policy" in setup.method.uses else 0,
            "lookahead": setup.drafted,
            "candidates": candidates,
            "decoding": setup.decoding,
            "seed": setup.seed,
            "cores": place.cores,
            "partition": place.partition,
            "pages": self.pages,
            "draft_ids": self.crew.ready[self.drafter.role].ids if self.pages else None,
            "skipped": setup.skipped,
            "tree": None if isinstance(setup.tree, Chain) else describe(setup.tree),
            "exit": setup.exit if role == "target" else None,
        }

    def _pages(self) -> Pages | None:
        pages = self.setup.pages(self.crew.ready[self.drafter.role].rows)
        if pages is None or not self.places.device_pages:
            return pages
        return replace(pages, device=self.places.draft.device, apart=not self.places.together)
