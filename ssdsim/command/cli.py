"""`python -m ssdsim`: simulate a run and its baselines, print the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from omegaconf import DictConfig

from ssdsim.command import program
from ssdsim.command.config import register, setup_from

if TYPE_CHECKING:
    from ssdsim.engine.best_lookahead import BetterLookahead
    from ssdsim.engine.setup import Setup
    from ssdsim.engine.simulation import Simulation
    from ssdsim.run.tables import Sequence as SequenceRecord
    from ssdsim.run.trace import Run


@dataclass(frozen=True)
class Job:
    """A simulation and the simulations that it is compared with."""

    setup: "Setup"

    @property
    def prompts(self) -> int:
        """Sequences to decode."""
        return self.setup.workload.prompts

    def start(
        self, retired: "Callable[[SequenceRecord], None]", detailed: bool = False
    ) -> "Simulation":
        """Return the simulation, not begun yet."""
        from ssdsim.engine.simulation import Simulation

        return Simulation(self.setup, retired, spooled=True, detailed=detailed)

    def compare(self, run: "Run") -> "dict[str, Run]":
        """Simulate the baselines."""
        from ssdsim.engine.baselines import compare

        return compare(run, self.setup)

    def title(self, config: dict[str, Any]) -> str:
        """Say where outcomes and times come from."""
        names = ("acceptance", "latency", *(["drafter"] if self.setup.lookup else []))
        settings = {name: config["choices"][name] for name in names}
        if self.setup.serves:
            settings |= {name: config["choices"][name] for name in ("workload", "serving")}
        else:
            settings["batch"] = config["batch"]
        settings["temperature"] = config["temperature"]
        return " ".join(f"{name}={value}" for name, value in settings.items())

    def epilogue(self, run: "Run") -> str:
        """Say what a log leaves open, and for whose tokens a draft's acceptance is taken."""
        from ssdsim.engine.rank_range import range_sentence

        whose = self.setup.method.stands_for(self.setup.acceptance)
        taken = whose and f"assumed: {whose} are accepted as often as the draft's"
        return "\n".join(filter(None, (range_sentence(run), taken)))

    def advice(self, run: "Run") -> str:
        """Say which other K would do much better, if any."""
        from ssdsim.engine.best_lookahead import better_lookahead

        if self.setup.workload.open:
            return self._at_load(run)
        found = better_lookahead(self.setup)
        evenly = ", budget spread evenly" if found and found.evenly else ""
        return self._told(found, f"exact expectation{evenly}")

    def _at_load(self, run: "Run") -> str:
        """Say which other K would do much better at this load, or why nothing is compared."""
        from ssdsim.engine.baselines import MOST_TOKENS, prompts_of, too_long
        from ssdsim.engine.lookahead_at_load import better_at_load

        if too_long(self.setup):
            most = prompts_of(self.setup, MOST_TOKENS)
            return f"no AR and SD beside so many requests: workload.prompts={most} has them"
        return self._told(better_at_load(self.setup, run), "simulated at this load")

    def _told(self, found: "BetterLookahead | None", how: str) -> str:
        if found is None:
            return ""
        better = f"K={found.lookahead} would make {found.over_ar:.2f} × AR"
        return f"{better}, K={self.setup.lookahead} makes {found.own_over_ar:.2f} ({how})"

    def ranges(self, run: "Run", baselines: "dict[str, Run]") -> "dict[str, Run]":
        """Simulate the bounds of what a log leaves open."""
        from ssdsim.engine.rank_range import enter_range, rank_range

        ends = rank_range(self.setup)
        enter_range(run, ends, baselines)
        return ends

    def surface(self) -> dict[str, Any] | None:
        """Return the expected speeds at other lookaheads and fan-outs; None if not covered."""
        from ssdsim.engine.speed_surface import FEW, speed_surface
        from ssdsim.errors import ConfigError

        try:
            return speed_surface(self.setup, FEW).plain("precomputed")
        except ConfigError:
            return None


class Simulating:
    """The program of `python -m ssdsim`."""

    name: ClassVar[str] = "ssdsim"
    config: ClassVar[str] = "config"
    tuned: ClassVar[tuple[str, ...]] = ("simulated", "common")

    def register(self) -> None:
        """Fill Hydra's groups."""
        register()

    def prepare(self, config: DictConfig, choices: dict[str, Any], overridden: list[str]) -> Job:
        """Turn a config into a simulation's settings."""
        return Job(setup_from(config, choices, overridden))

    def close(self) -> None:
        """Hold nothing."""


def main() -> None:
    """Run the command line."""
    program.main(Simulating())
