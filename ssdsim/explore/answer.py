"""Answers: an expectation where it is covered, a simulation as a page shows it, a surface."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from math import isnan
from typing import Any, Literal

from ssdsim.engine.baselines import compare
from ssdsim.engine.exact_expectation import expect
from ssdsim.engine.pass_times import Kept
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.engine.speed_surface import speed_surface
from ssdsim.errors import ConfigError
from ssdsim.explore.asking import Asked, Questions
from ssdsim.explore.controls import controls
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.page.pack import packed, payload, rows

Want = Literal["expect", "run", "detail", "baselines", "surface"]
Answer = dict[str, Any]
MOST_LOOKAHEAD = 16
"""Of the SD that expectations are compared with."""


@dataclass
class Explorer:
    """Answers one question after the other, whoever asks.

    Attributes
    ----------
    questions
        From what is changed to setups.
    beside
        A packed run that stands above what is simulated; None: nothing does.

    """

    questions: Questions
    beside: Mapping[str, Any] | None = None

    def answer(self, changes: Mapping[str, Any], want: Want) -> Answer:
        """Return what is asked for; a refusal where the simulator refuses.

        Parameters
        ----------
        changes
            Options with their values, in place of those that all began with.
        want
            "expect": what is expected in the long run, "run": a page's payload, "detail": the same
            with what was predicted in each round, "baselines": the run's metrics beside AR and SD,
            "surface": tokens/s at other lookaheads and fan-outs.

        """
        try:
            asked = self.questions.asked(changes)
            found = self._answers[want](asked)
        except ConfigError as error:
            return {"ok": False, "refused": str(error)}
        return {"ok": True, **_live(asked), **found}

    @property
    def _answers(self) -> dict[Want, Callable[[Asked], Answer]]:
        return {
            "expect": _expectation,
            "run": self._run,
            "detail": partial(self._run, detailed=True),
            "baselines": _compared,
            "surface": _surface,
        }

    def page(self, token: str) -> dict[str, Any]:
        """Return the payload of a page that asks further.

        Raises
        ------
        ConfigError
            What all begins with cannot be simulated.

        """
        asked = self.questions.asked({})
        first = self._run(asked, detailed=True)["payload"]
        return {**first, "live": {"token": token, **_live(asked)}}

    def _run(self, asked: Asked, *, detailed: bool = False) -> Answer:
        above = [] if self.beside is None else [dict(self.beside)]
        below = {**packed(simulate(asked.setup, detailed=detailed)), "command": asked.command}
        return {"payload": payload(*above, below)}


def _live(asked: Asked) -> Answer:
    """Return what can be changed, and the command."""
    found = [asdict(control) for control in controls(asked.setting, asked.setup)]
    return {"controls": found, "command": asked.command}


def _expectation(asked: Asked) -> Answer:
    """Return the long-run values; why there are none, where they are not covered."""
    setup = asked.setup
    try:
        found = asdict(expect(setup))
    except ConfigError as error:
        return {"expectation": None, "uncovered": str(error)}
    ar, sd = _baselines(setup)
    speed = found["tokens_per_s"]
    over = {"over_ar": ar and speed / ar, "over_sd": sd and speed / sd}
    known = {name: None if isnan(value) else value for name, value in found.items()}
    return {"expectation": {**known, **over}}


def _baselines(setup: Setup) -> tuple[float, float]:
    """Return the expected tokens/s of AR and of SD at its best lookahead; 0 where not covered."""
    plain = replace(setup, method=Speculative(), lookahead=1)
    return _known_baselines(Kept(setup.acceptance), Kept(setup.machine), _Rest(plain))


@dataclass(frozen=True)
class _Rest:
    """What baselines depend on besides acceptance and machine, which are told by identity."""

    setup: Setup

    def __hash__(self) -> int:
        setup = self.setup
        return hash((setup.batch, setup.sampling, setup.workload, setup.seed))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Rest):
            return False
        names = ("batch", "sampling", "workload", "seed", "length", "verify", "drafter", "tree")
        return all(getattr(self.setup, name) == getattr(other.setup, name) for name in names)


@lru_cache(maxsize=32)
def _known_baselines(acceptance: Kept[Any], machine: Kept[Any], rest: _Rest) -> tuple[float, float]:
    setup = replace(rest.setup, acceptance=acceptance.thing, machine=machine.thing)
    tries = [replace(setup, lookahead=K) for K in range(1, MOST_LOOKAHEAD + 1)]
    return _speed(replace(setup, method=Autoregressive())), max(map(_speed, tries))


def _speed(setup: Setup) -> float:
    try:
        return expect(setup).tokens_per_s
    except ConfigError:
        return 0.0


def _compared(asked: Asked) -> Answer:
    """Return a run's metrics beside AR and SD, which are simulated once a machine."""
    run = simulate(asked.setup)
    compare(run, asked.setup)
    told = rows(run.metrics)
    return {"metrics": run.metrics, "baselines": run.info["baselines"], "rows": told}


def _surface(asked: Asked) -> Answer:
    return {"surface": speed_surface(asked.setup).plain("live")}
