"""Evaluates candidates: turns options into a checked setup, simulates it in a world, and measures.

Everything that candidates have in common is composed and read once in a process.
"""

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from ssdsim.acceptance.recorded import Recorded
from ssdsim.calibration.prediction import Profile
from ssdsim.calibration.profile_file import TIMINGS
from ssdsim.command.setting import Setting
from ssdsim.engine.pace import compared_by, pace
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import evaluate
from ssdsim.errors import ConfigError, require
from ssdsim.options.plugins import profile_files
from ssdsim.run.results import provenance, run_id
from ssdsim.sampling.streams import stream
from ssdsim.tune.search_space import Options, is_tuned, written
from ssdsim.tune.worlds import (
    ACCEPTANCE_ERROR,
    TIME_ERROR,
    Uncertainty,
    World,
    changed,
    of_world,
)

SLIGHT = 1e-9
"""A change of acceptance that any source allows for, if it allows for changes."""


@dataclass(frozen=True)
class Trial:
    """A candidate to be simulated in a world."""

    options: Options
    world: World = World()


@dataclass(frozen=True)
class Figures:
    """What a trial came to.

    Attributes
    ----------
    tokens_per_s
        Of all devices, or where requests arrive in time, those that a request gets, waits included;
        0 if it cannot be.
    devices
        In use.
    joules_per_token
        None where no power is known.
    acceptance_length, hit_rate
        Of the run; None where there is no such thing.
    refused
        Why it cannot be; empty if it can.

    """

    tokens_per_s: float = 0.0
    devices: int = 1
    joules_per_token: float | None = None
    acceptance_length: float | None = None
    hit_rate: float | None = None
    refused: str = ""

    @property
    def per_device(self) -> float:
        """Tokens/s of a device."""
        return self.tokens_per_s / self.devices


@dataclass(frozen=True)
class Shared(Setting):
    """What candidates share."""

    @property
    def profile(self) -> Profile | None:
        """The measured profile that acceptance and times are of, if they are of one."""
        name = self.choices.get("profile")
        whole = all(self.choices.get(group) == name for group in ("acceptance", "latency"))
        file = profile_files().get(str(name))
        measured = whole and file is not None and (file.parent / TIMINGS).is_file()
        return Profile(file.parent) if file and measured else None

    @cached_property
    def mark(self) -> str:
        """What tells it from other settings, and from the same with other files or programs."""
        acceptance, program = self.setup.acceptance, provenance()
        written = acceptance.written() if isinstance(acceptance, Recorded) else ()
        known = run_id(self.setup), written, program["commit"], program["versions"]
        return sha256(repr(known).encode()).hexdigest()[:12]


def _devices(setup: Setup) -> int:
    method = setup.method
    used = setup.machine.devices(setup.draft_on, method.servers, method.drafts)
    return sum(device["count"] for device in used)


@dataclass
class Bench:
    """Evaluates trials in this process.

    Attributes
    ----------
    words
        Of the command line, what is the same for all.
    acceptance, times
        As `ssdsim.tune.worlds.Uncertainty` has them; None: as it has them by default.
    devices
        That a candidate may use; None: those of target and draft, as the setting describes them.

    """

    words: tuple[str, ...]
    acceptance: float | None = None
    times: float | None = None
    devices: int | None = None
    known: dict[tuple[str, ...], tuple[Shared, Uncertainty]] = field(default_factory=dict)

    @property
    def profile(self) -> str:
        """The name of the profile."""
        return str(self._setting(self.words)[0].choices["profile"])

    def check(self) -> None:
        """Refuse what is the same for all, if it cannot be.

        Raises
        ------
        ConfigError, HydraException
            An option cannot be, or has no effect; or nothing is known of how far acceptance may be
            off.

        """
        shared, uncertainty = self._setting(self.words)
        if shared.profile:
            why = "has no effect, prompts and timings of a measured profile are drawn again"
            for name in ("acceptance", "times"):
                value, option = getattr(self, name), f"tune.{name.removesuffix('s')}"
                require(value is None, f"{option}_error", value, why)
        elif uncertainty.acceptance:
            self._check_acceptance(shared.setup)

    def _check_acceptance(self, setup: Setup) -> None:
        """Refuse an acceptance source that no error can be added to."""
        other = changed(setup, World(acceptance=SLIGHT)).acceptance
        try:
            other.open(setup.sampling, stream(setup.seed, "acceptance"))
        except ConfigError as error:
            raise ConfigError(f"{error}; tune.acceptance_error=0 takes it as it is") from error

    def mark(self, trial: Trial) -> str:
        """Return what tells evaluations of the same options apart: what they are evaluated for."""
        try:
            shared, _ = self._shared(trial)
        except ConfigError:  # which will be said when it is evaluated
            shared, _ = self._setting(self.words)
        return f"{shared.mark} {self.acceptance} {self.times} {self.devices}"

    def setup(self, trial: Trial) -> Setup:
        """Return what a trial simulates.

        Raises
        ------
        ConfigError
            It cannot be.

        """
        shared, uncertainty = self._shared(trial)
        options = tuple(option for option in trial.options if is_tuned(option[0]))
        return of_world(shared.changed(options), trial.world, uncertainty)

    def figures(self, trial: Trial) -> Figures:
        """Simulate a trial."""
        try:
            setup = self.setup(trial)
            self._check_devices(setup)
            run = evaluate(setup)
        except ConfigError as error:
            return Figures(refused=str(error))
        metrics, tokens = run.metrics, run.metrics["tokens"]
        joules = metrics["energy_j"]
        return Figures(
            tokens_per_s=pace(run, compared_by(setup.workload)),
            devices=_devices(setup),
            joules_per_token=None if joules is None else joules / tokens,
            acceptance_length=metrics["acceptance_length"],
            hit_rate=metrics["hit_rate"],
        )

    def _check_devices(self, setup: Setup) -> None:
        """Refuse a setup that needs more devices than there are."""
        machine, needed = setup.machine, _devices(setup)
        there = machine.target.devices + (0 if machine.shared else machine.draft.devices)
        most = there if self.devices is None else self.devices
        method = type(setup.method).__name__.lower()
        right = f"{needed} devices are needed, {most} are there (tune.devices says otherwise)"
        require(needed <= most, "method", method, right)

    def _shared(self, trial: Trial) -> tuple[Shared, Uncertainty]:
        """Return the setting of a trial."""
        given = [(name, value) for name, value in trial.options if not is_tuned(name)]
        own = [f"{name}={written(value)}" for name, value in given]
        return self._setting((*self.words, *own))

    def _setting(self, words: tuple[str, ...]) -> tuple[Shared, Uncertainty]:
        if words not in self.known:
            found = Shared.of(words)
            error = ACCEPTANCE_ERROR if self.acceptance is None else self.acceptance
            uncertainty = Uncertainty(
                error, TIME_ERROR if self.times is None else self.times, found.profile
            )
            self.known[words] = found, uncertainty
        return self.known[words]
