"""What a run of requests is asked besides: their latencies, and who waited and ran when."""

from collections.abc import Callable, Sequence
from math import inf, isfinite

import pyarrow as pa

from ssdsim.decoding.session import Session
from ssdsim.engine.draft_pool import DraftPool
from ssdsim.engine.prefill_stage import PrefillStage
from ssdsim.run.request_metrics import (
    NO_LIMITS,
    Limits,
    costs,
    request_confidence,
    request_metrics,
)
from ssdsim.run.station import STAGE, Station, state_table
from ssdsim.run.trace import BLOCKS, REPLICAS, Recorder, Run


class Served:
    """Watches the sessions of a run, and what computes prompts and drafts for them.

    Attributes
    ----------
    stations
        What is noted of each session, and last of the prefill instances.
    pool
        Draft devices that the sessions share; None where they share none.
    blocks
        KV blocks of each; without end where memory is no matter.
    limits
        What a good request keeps to.

    """

    def __init__(
        self,
        recorder: Recorder,
        sessions: Sequence[Session],
        blocks: float = inf,
        limits: Limits = NO_LIMITS,
        stage: PrefillStage | None = None,
        pool: DraftPool | None = None,
    ) -> None:
        self.recorder, self.blocks, self.limits, self.pool = recorder, blocks, limits, pool
        self.replicas = len(sessions)
        self.stations = [Station(replica) for replica in range(self.replicas)]
        for session, station in zip(sessions, self.stations, strict=True):
            session.watch = _watching(station)
        if stage is not None:
            self.stations.append(Station(STAGE))
            stage.watch = _watching_stage(self.stations[-1])

    def table(self) -> pa.Table:
        """Return what was noted."""
        return state_table(self.stations + ([self.pool.station] if self.pool else []))

    def enter(self, run: Run, now: float) -> None:
        """Enter the metrics of requests into a run."""
        sequences, limits = self.recorder.sequences, self.limits
        run.info[REPLICAS] = self.replicas
        run.info[BLOCKS] = self.blocks if isfinite(self.blocks) else None
        run.metrics.update(request_metrics(sequences, self.stations, self.blocks, limits, now))
        run.metrics.update(costs(run.info["devices"], run.metrics, now))
        if self.pool is not None:
            run.metrics.update(self.pool.metrics(now))
        run.metrics["ci95"].update(request_confidence(sequences))


def _watching(station: Station) -> Callable[[Session], None]:
    def watch(session: Session) -> None:
        live = len(session.admission.live(session))
        counts = len(session.queue.waiting), live, session.admission.blocks()
        station.note(session.env.now, counts)

    return watch


def _watching_stage(station: Station) -> Callable[[PrefillStage], None]:
    def watch(stage: PrefillStage) -> None:
        waiting = len(stage.waiting)
        station.note(stage.env.now, (waiting, stage.under_way - waiting, 0))

    return watch
