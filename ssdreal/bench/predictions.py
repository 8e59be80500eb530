"""Simulates every contender of a bench, and SSD with less contention."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ssdreal.bench.contenders import Contender
from ssdreal.bench.measurements import BenchRuns
from ssdreal.bench.predicted_run import SEEDS, Prediction, contended, predict
from ssdreal.bench.recording import record_texts
from ssdreal.bench.service_times import ServiceTimes, service_times
from ssdreal.bench.settings_search import BUDGETS, LOOKAHEADS, Options, describe
from ssdreal.executor.setup import CHUNK
from ssdreal.profile.read_texts import generated_texts
from ssdsim.calibration.fit import Calibration, Fit
from ssdsim.calibration.fitted_machine import machine
from ssdsim.latency.machine import Machine
from ssdsim.policies.topk_outcomes import TopkOutcomes

SHARINGS = (1.0, 0.5, 0.0)


@dataclass(frozen=True)
class Shared:
    """Simulated tokens/s with so much of the measured contention.

    Attributes
    ----------
    share
        1: as measured; 0: none, as on two devices that share no memory.
    sd, ssd
        Of SD, which never feels it, and of SSD at the settings that contended.
    settings, best
        The settings of SSD that are then the best, and their tokens/s.

    """

    share: float
    sd: float
    ssd: float
    settings: str
    best: float


@dataclass(frozen=True)
class Forecast:
    """Simulates what a bench measured.

    Attributes
    ----------
    course
        With its runs.
    seed
        Of the runs' noise.
    folder
        For acceptance traces.

    """

    bench_runs: BenchRuns
    seed: int
    folder: Path

    @cached_property
    def fit(self) -> Fit:
        """What all calibration runs say of this machine."""
        return Calibration(self.bench_runs.pieces, CHUNK).fit

    @cached_property
    def machine(self) -> Machine:
        """The machine of it."""
        return machine(self.fit)

    def service(self) -> dict[str, ServiceTimes]:
        """Return what every contender's passes take on it."""
        longest = max(len(task.tokens) for task in self.bench_runs.contest.tasks)
        return {
            name: service_times(entry.contender, self.machine, longest)
            for name, entry in self.bench_runs.entries.items()
        }

    def predictions(self) -> dict[str, Prediction]:
        """Return what ssdsim says of every contender, over the texts that it decoded."""
        return {name: self._predicted(name, self.machine) for name in self.bench_runs.entries}

    def sharing(self) -> list[Shared]:
        """Return SD and SSD with all of the measured contention, and with less."""
        return [self._shared(share) for share in SHARINGS]

    def _shared(self, share: float) -> Shared:
        known = contended(self.machine, share)
        options, speed = self._best(known)
        return Shared(
            share,
            sd=self._predicted("sd", known).tokens_per_s,
            ssd=self._predicted("ssd", known).tokens_per_s,
            settings=describe(options.setup(self.bench_runs.base)),
            best=speed,
        )

    def _best(self, known: Machine) -> tuple[Options, float]:
        """Return SSD's fastest settings, looked for on a few texts, and their tokens/s on all."""
        few, count = len(self.bench_runs.few.tasks), len(self.bench_runs.contest.tasks)
        found = max(_options(), key=lambda options: self._speed(options, known, few, seeds=1))
        return found, self._speed(found, known, count)

    def _speed(self, options: Options, known: Machine, prompts: int, seeds: int = SEEDS) -> float:
        places = self.bench_runs.calibration.topology.places("own")
        contender = Contender("", options.setup(self.bench_runs.base), places)
        return predict(contender, known, self._trace("sd"), prompts, seeds).tokens_per_s

    def _predicted(self, name: str, known: Machine) -> Prediction:
        contender, count = (
            self.bench_runs.entries[name].contender,
            len(self.bench_runs.contest.tasks),
        )
        return predict(contender, known, self._trace(name), count)

    def _trace(self, name: str) -> str:
        """Return the acceptance trace of what a contender decoded first; written once.

        A contender without a draft accepts nothing, so that any texts of this length will do.
        """
        if not self.bench_runs.entries[name].contender.setup.drafted:
            name = "sd"
        folder = self.folder / name
        if not folder.exists():
            self._record(name, folder)
        return str(folder)

    def _record(self, name: str, folder: Path) -> None:
        bench_runs, entry = self.bench_runs, self.bench_runs.entries[name]
        sitting, decoding = bench_runs.contest.sitting, entry.contender.setup.decoding
        models = (sitting.pair.target, sitting.pair.draft, sitting.dtype)
        texts = generated_texts(entry.runs[0].run, bench_runs.contest.tasks)
        bench_runs.helper.call(record_texts, str(folder), models, texts, decoding, self.seed)


def _options() -> Iterator[Options]:
    for lookahead in LOOKAHEADS:
        for budget in BUDGETS:
            yield Options(lookahead, TopkOutcomes(budget=budget))
