"""What a run of requests is asked besides: their latencies, and who waited and ran when."""

from collections.abc import Callable, Sequence
from math import inf, isfinite

import pyarrow as pa

from ssdsim.decoding.session import Session
from ssdsim.run.request_metrics import (
    NO_LIMITS,
    Limits,
    costs,
    request_confidence,
    request_metrics,
)
from ssdsim.run.station import Station, state_table
from ssdsim.run.trace import BLOCKS, REPLICAS, Recorder, Run


class Served:
    """Watches the sessions of a run.

    Attributes
    ----------
    stations
        What is noted of each.
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
    ) -> None:
        self.recorder, self.blocks, self.limits = recorder, blocks, limits
        self.stations = [Station(replica) for replica in range(len(sessions))]
        for session, station in zip(sessions, self.stations, strict=True):
            session.watch = _watching(station)

    def table(self) -> pa.Table:
        """Return what was noted."""
        return state_table(self.stations)

    def enter(self, run: Run, now: float) -> None:
        """Enter the metrics of requests into a run."""
        sequences, limits = self.recorder.sequences, self.limits
        run.info[REPLICAS] = len(self.stations)
        run.info[BLOCKS] = self.blocks if isfinite(self.blocks) else None
        run.metrics.update(request_metrics(sequences, self.stations, self.blocks, limits, now))
        run.metrics.update(costs(run.info["devices"], run.metrics, now))
        run.metrics["ci95"].update(request_confidence(sequences))


def _watching(station: Station) -> Callable[[Session], None]:
    def watch(session: Session) -> None:
        live = len(session.admission.live(session))
        counts = len(session.queue.waiting), live, session.admission.blocks()
        station.note(session.env.now, counts)

    return watch
